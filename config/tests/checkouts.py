"""
Copies of this checkout, for what writes into it.
"""

import shutil
from pathlib import Path

from conftest import BASE_DIR

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
