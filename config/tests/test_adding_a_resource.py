"""
The app in docs/resources.md, made in a copy of the project as the page says, and everything that should know of it then.
"""

import re
import subprocess
import sys
from pathlib import Path
from tomllib import loads

import pytest

from common.tests.servers import child_environment
from conftest import BASE_DIR

from .checkouts import copy_checkout

PAGE = (BASE_DIR / "docs" / "resources.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(comments/\S+)`\n\n```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
IN_SETTINGS, IN_URLS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
BREAKING = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("{app}", "0001_initial")]
    operations = [migrations.RemoveField("{model}", "{field}")]
"""


def test_no_list_of_apps_is_kept_where_one_could_be_forgotten() -> None:
    tools = loads((BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))["tool"]

    assert "testpaths" not in tools["pytest"]["ini_options"]
    assert tools["mypy"]["files"] == ["."]
    assert tools["coverage"]["run"]["source"] == ["."]


def insert(path: Path, line: str, before: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, f"{line}{before}"), encoding="utf-8")


@pytest.fixture(scope="module")
def checkout(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = copy_checkout(tmp_path_factory.mktemp("resource") / "checkout")
    for name, text in {**FILES, "comments/__init__.py": "", "comments/tests/__init__.py": ""}.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text, encoding="utf-8")
    insert(copy / "config/settings.py", IN_SETTINGS, "]\nMIDDLEWARE = [")
    insert(copy / "config/urls.py", IN_URLS, "    # Last of the API")
    return copy


def run(checkout: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], cwd=checkout, env=child_environment(**variables), capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
class TestTheAppOfThePage:
    def test_its_code_is_as_the_linter_wants_it(self, checkout: Path) -> None:
        for command in (["check"], ["format", "--check"]):
            result = run(checkout, "-m", "ruff", *command)

            assert result.returncode == 0, result.stdout

    def test_its_migration_is_generated_and_checked(self, checkout: Path) -> None:
        generated = run(checkout, "manage.py", "makemigrations", "comments")
        assert generated.returncode == 0, generated.stderr
        assert run(checkout, "manage.py", "makemigrations", "--check", "--dry-run").returncode == 0

        for app, model, field in (("comments", "comment", "text"), ("common", "pendinginvalidation", "prefix")):
            added = checkout / app / "migrations" / "0002_breaking.py"
            added.write_text(BREAKING.format(app=app, model=model, field=field), encoding="utf-8")
            result = run(checkout, "-m", "config.migrations_check")
            added.unlink()

            assert result.returncode == 1
            assert f"({app}, 0002_breaking)... ERR" in result.stdout

    def test_its_tests_and_those_of_all_apps_run_and_pass(self, checkout: Path) -> None:
        assert run(checkout, "manage.py", "makemigrations", "comments").returncode == 0
        # Servers of its own: it is another project.
        own = dict.fromkeys(("TEST_DATABASE_URL", "TEST_REDIS_URL", "PYTEST_ADDOPTS", "DJANGO_SETTINGS_MODULE"), "")
        whole = "ids_are_unique or in_reading_order or description_validates or has_a_budget or model_of_the_admin or order_does_not_name"

        result = run(checkout, "-m", "pytest", "--verbose", "-k", f"comment or {whole}", **own)

        assert result.returncode == 0, result.stdout
        for test in (
            "comments/tests/test_api.py::test_alice_changes_her_comment",
            "config/tests/test_imports.py::test_imports_go_one_way[comments/views.py]",
            "config/tests/test_budgets.py::test_a_call_costs_what_its_budget_says[updateComment",
            "config/tests/test_budgets.py::test_every_operation_has_a_budget",
            "config/tests/test_admin_queries.py::test_a_list_costs_the_same_for_more_rows[Comment]",
            "config/tests/test_admin_queries.py::test_every_model_of_the_admin_is_counted",
            "common/tests/test_openapi.py::test_operation_ids_are_unique_and_stay_what_they_are",
            "common/tests/test_openapi.py::TestEveryOperation::test_says_how_it_refuses[post /api/v1/comment]",
            "common/tests/test_every_route.py::TestEveryCall::test_superusers_never_meet_a_server_error[DELETE api/v1/comment/",
        ):
            assert re.search(rf"^{re.escape(test)}.*PASSED", result.stdout, re.MULTILINE), f"{test} did not run: {result.stdout[-3000:]}"
