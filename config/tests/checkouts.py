"""
Copies of this checkout, for what writes into it.
"""

import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from common.tests.servers import child_environment
from conftest import BASE_DIR

from .environment import TEST_DIR

# The same in all processes of one run.
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)

# What is made here and not kept in Git. Other processes make and remove it while it is copied.
MADE = (
    *(".venv*", ".local", ".git", ".env", "__pycache__", "*_cache", ".hypothesis", ".coverage*", "htmlcov"),
    *("node_modules", "built", "staticfiles", "backups", "secrets", ".secrets-*"),
)


def copy_checkout(folder: Path) -> Path:
    """
    Copy what Git keeps of this checkout into a new folder, and return that.
    """
    return Path(shutil.copytree(BASE_DIR, folder, ignore=shutil.ignore_patterns(*MADE)))


def collect_static() -> None:
    """
    Give static files their final names, once in a run of the suite.

    They are made elsewhere and moved here one by one, the list of names last: web servers of other tests may read them at any time.
    """
    with (TEST_DIR / "static.lock").open("a+") as lock, tempfile.TemporaryDirectory(dir=TEST_DIR) as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if lock.read() == RUN:
            return
        made = copy_checkout(Path(folder, "checkout")) / "staticfiles"
        variables = {"ENVIRONMENT": "production", "ALLOWED_HOSTS": "localhost", "SECRET_KEY": secrets.token_urlsafe(50)}
        command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"]
        subprocess.run(command, cwd=made.parent, env=child_environment(**variables), check=True, capture_output=True)
        for path in sorted(filter(Path.is_file, made.rglob("*")), key=lambda path: path.name == "staticfiles.json"):
            target = BASE_DIR / path.relative_to(made.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        lock.truncate(0)
        lock.write(RUN)
