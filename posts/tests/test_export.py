import csv
import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.tests.factories import enter_admin
from posts.models import Post
from tasks.models import Status, Task
from tasks.running import run

from ..tasks import COLUMNS, MAX_CHARACTERS, export_posts
from .factories import make_post

pytestmark = pytest.mark.django_db


def rows(result: dict[str, Any]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(result["csv"])))


def test_it_holds_the_users_posts_oldest_first(alice: Any, bob: Any) -> None:
    posts = [make_post(alice, title=f"Post {number}", text='a "b",\nc', media_url="https://example.com/") for number in range(3)]
    make_post(alice, title="Deleted").soft_delete()
    make_post(bob)

    result = export_posts(alice.pk)

    assert (result["rows"], result["filename"]) == (3, f"posts-{alice.pk}.csv")
    assert tuple(rows(result)[0]) == COLUMNS
    assert [(row["id"], row["title"], row["text"], row["media_url"]) for row in rows(result)] == [
        (str(post.pk), post.title, post.text, post.media_url) for post in posts
    ]


def test_without_posts_it_has_only_its_head(alice: Any) -> None:
    assert export_posts(alice.pk) == {"filename": f"posts-{alice.pk}.csv", "rows": 0, "csv": ",".join(COLUMNS) + "\r\n"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_formula_is_a_text(alice: Any, text: str) -> None:
    make_post(alice, text=text)

    assert rows(export_posts(alice.pk))[0]["text"] == f"'{text}"


@pytest.mark.django_db(transaction=True)
def test_one_that_is_too_large_fails_and_says_so(alice: Any) -> None:
    text = "x" * 63_206
    Post.objects.bulk_create(Post(author=alice, title="Long", text=text) for _ in range(MAX_CHARACTERS // len(text) + 1))
    call_command("export_posts", "alice")

    run(str(Task.objects.get().pk))

    assert Task.objects.get().error == "ExportTooLargeError: The export is larger than 5000000 characters."


@pytest.mark.django_db(transaction=True)
def test_the_command_starts_a_task_of_the_user(alice: Any) -> None:
    output = io.StringIO()
    make_post(alice)

    call_command("export_posts", "alice", stdout=output)

    task = Task.objects.get()
    assert output.getvalue() == f"Task {task.pk.hex} exports the posts of 'alice'.\n"
    assert (task.owner, task.queue_name, task.function) == (alice, "slow", "export_posts")
    run(str(task.pk))
    task = Task.objects.get()
    assert task.status == Status.SUCCEEDED
    assert task.result is not None
    assert task.result["rows"] == 1


def test_the_command_refuses_an_unknown_user(db: None) -> None:
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        call_command("export_posts", "nobody")


def test_the_admin_starts_one_task_for_each_author(admin: Any, alice: Any, bob: Any) -> None:
    posts = [make_post(alice), make_post(alice), make_post(bob)]

    page = enter_admin().post("/admin/posts/post/", {"action": "export", "_selected_action": [post.pk for post in posts]}, follow=True)

    assert sorted(Task.objects.values_list("args", flat=True)) == [[alice.pk], [bob.pk]]
    assert set(Task.objects.values_list("owner", flat=True)) == {admin.pk}
    assert all(task.pk.hex in page.content.decode() for task in Task.objects.all())
