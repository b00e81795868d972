"""
How the database finds an author's posts: by one index, however many they are.
"""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from ..models import Post

pytestmark = pytest.mark.django_db(transaction=True)

# Half of them alice's, written last, which misleads who goes by the order of writing or by what authors have on average.
MANY = """
INSERT INTO posts_post (author_id, title, text, created_at, updated_at)
SELECT CASE WHEN n > 10000 THEN %(alice)s ELSE %(first)s + n %% 1000 END, 'Hello', repeat('World ', 50), now(), now()
FROM generate_series(1, 20000) AS n
"""
USERS = """
INSERT INTO accounts_user
    (id, name, username, email, password, profile_image_url, is_active, is_staff, is_superuser, created_at, updated_at)
SELECT %(first)s + n, 'User', 'user' || n, n || '@example.com', '', '', true, false, false, now(), now() FROM generate_series(0, 999) AS n
"""


@pytest.fixture
def many(alice: Any) -> int:
    """
    Return the id of one of alice's posts, before which she has 5,000.
    """
    with connection.cursor() as cursor:
        # Room that posts of other tests left would be filled first, in whatever order.
        cursor.execute("TRUNCATE posts_post")
        for statement in (USERS, MANY):
            cursor.execute(statement, {"alice": alice.pk, "first": alice.pk + 1000})
        cursor.execute("ANALYZE posts_post, accounts_user")
    return int(Post.objects.filter(author=alice).values_list("pk", flat=True)[5000])


@pytest.mark.parametrize(
    "path", ["posts", "posts?page=2", "posts?page=100", "posts?page=900", "posts?cursor=", "post/{id}"], ids=lambda path: path.strip("?={}")
)
def test_posts_are_found_by_their_author_without_sorting(client: APIClient, many: int, path: str) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(f"/api/v1/alice/{path.format(id=many)}").status_code == 200

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {queries[0]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Sort" not in plan, plan
    # One post may as well be found by its own id.
    assert f"using {'posts_post_pkey' if path == 'post/{id}' and 'posts_post_pkey' in plan else 'post_author'} on posts_post" in plan, plan
