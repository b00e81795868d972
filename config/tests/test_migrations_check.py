"""
The check that keeps migrations from breaking the code that runs while they are applied, on a copy of the project.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from common.tests.servers import child_environment

from .checkouts import copy_checkout

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

MIGRATION = """
from django.db import migrations, models
from django.db.models import F


class Migration(migrations.Migration):
    dependencies = [("posts", "0002_one_index_of_authors")]
    operations = [{operation}]
"""


def check(folder: Path, operation: str = "") -> "subprocess.CompletedProcess[str]":
    copy = copy_checkout(folder / "checkout")
    if operation:
        (copy / "posts/migrations/0003_change.py").write_text(MIGRATION.format(operation=operation), encoding="utf-8")
    command = [sys.executable, "-m", "config.migrations_check"]
    return subprocess.run(command, cwd=copy, env=child_environment(), capture_output=True, text=True, check=False)


def test_the_projects_own_migrations_pass(tmp_path: Path) -> None:
    result = check(tmp_path)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ('migrations.RemoveField("post", "text")', "Dropping columns"),
        ('migrations.RenameField("post", "text", "body")', "Renaming columns"),
        ('migrations.RenameModel("post", "article")', "Renaming tables"),
        ('migrations.DeleteModel("post")', "Dropping table"),
        ('migrations.AddField("post", "views", models.IntegerField(default=0))', "NOT NULL constraint"),
        ('migrations.AlterField("post", "media_url", models.CharField(max_length=2048, default=""))', "NOT NULL constraint"),
    ],
)
def test_one_that_breaks_running_code_is_refused(tmp_path: Path, operation: str, reason: str) -> None:
    result = check(tmp_path, operation)

    assert result.returncode == 1, result.stdout + result.stderr
    assert "(posts, 0003_change)... ERR" in result.stdout
    assert reason.lower() in result.stdout.lower()


@pytest.mark.parametrize(
    "operation",
    [
        'migrations.AddField("post", "views", models.IntegerField(null=True))',
        'migrations.AddField("post", "views", models.IntegerField(default=0, db_default=0))',
    ],
)
def test_one_that_running_code_does_not_notice_passes(tmp_path: Path, operation: str) -> None:
    result = check(tmp_path, operation)

    assert result.returncode == 0, result.stdout + result.stderr
