"""
Imports go one way, so that an app can be taken out and what it stands on can be read without it.
"""

import ast
from pathlib import Path

import pytest

from common.apps import own_apps
from conftest import BASE_DIR

ORDER = ("posts", "accounts", "tasks", "tiers", "common")
APPS = ("config", *own_apps())
FILES = sorted(
    path
    for app in APPS
    for path in (file.relative_to(BASE_DIR) for file in (BASE_DIR / app).rglob("*.py"))
    if not {"tests", "migrations"} & set(path.parts)
)


def may_import(app: str) -> set[str]:
    """
    Return the apps that one may import.

    One that `ORDER` does not name stands above all that it names: it may import these, none of them may import it, and of two such apps
    neither the other.
    """
    if app == "config":
        return set(APPS)
    return {app, *ORDER[ORDER.index(app) + 1 if app in ORDER else 0 :]}


def imported_apps(path: Path) -> set[str]:
    names = []
    for node in ast.walk(ast.parse((BASE_DIR / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
    return {name.split(".")[0] for name in names} & set(APPS)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_one_way(path: Path) -> None:
    assert imported_apps(path) - may_import(path.parts[0]) == set()


def test_an_app_that_the_order_does_not_name_stands_on_top() -> None:
    assert may_import("comments") == {"comments", *ORDER}
    assert all("comments" not in may_import(app) for app in ORDER)
    assert may_import("accounts") == {"accounts", "tasks", "tiers", "common"}


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
