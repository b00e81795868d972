"""
Imports go one way, so that an app can be taken out and what it stands on can be read without it.
"""

import ast
from pathlib import Path

import pytest

from conftest import BASE_DIR

ORDER = ("config", "posts", "accounts", "tasks", "tiers", "common")
FILES = sorted(
    path.relative_to(BASE_DIR) for app in ORDER for path in (BASE_DIR / app).rglob("*.py") if not {"tests", "migrations"} & set(path.parts)
)


def imported_apps(path: Path) -> set[str]:
    names = []
    for node in ast.walk(ast.parse((BASE_DIR / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
    return {name.split(".")[0] for name in names} & set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_one_way(path: Path) -> None:
    app = path.parts[0]
    allowed = set(ORDER[ORDER.index(app) :])

    assert imported_apps(path) - allowed == set()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_module_is_too_long_to_read(path: Path) -> None:
    assert len((BASE_DIR / path).read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_module_is_a_drawer(path: Path) -> None:
    # Django looks for a database backend in a module of this name.
    assert path.stem not in {"utils", "helpers", "misc", "core", "base"} or path == Path("common/postgresql/base.py")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_nothing_happens_behind_a_signal(path: Path) -> None:
    text = (BASE_DIR / path).read_text(encoding="utf-8")

    assert "@receiver" not in text
    assert ".connect(" not in text or "socket" in text
