import re

from common.apps import own_apps
from config import env_docs
from config.env import Environment
from conftest import BASE_DIR

CONFIGURATION = env_docs.CONFIGURATION.read_text(encoding="utf-8")
EXAMPLE = env_docs.EXAMPLE.read_text(encoding="utf-8")
README = (BASE_DIR / "README.md").read_text(encoding="utf-8")


def test_the_configuration_page_is_what_make_docs_writes() -> None:
    assert env_docs.configuration_page() == CONFIGURATION


def test_the_example_is_what_make_docs_writes() -> None:
    assert env_docs.example_file() == EXAMPLE


def test_every_variable_stands_once_in_the_configuration_page() -> None:
    names = re.findall(r"^\| `([A-Z_]+)`", CONFIGURATION, re.MULTILINE)

    assert len(names) == len(set(names))
    assert {name.upper() for name in Environment.model_fields} <= set(names)


def test_every_variable_stands_once_in_the_example() -> None:
    names = re.findall(r"^# ([A-Z_]+)=", EXAMPLE, re.MULTILINE)

    assert len(names) == len(set(names))
    assert {name.upper() for name in Environment.model_fields} <= set(names)


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)

    assert [link for link in links if not link.startswith("http") and not (BASE_DIR / link).exists()] == []


def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        str(path.relative_to(BASE_DIR))
        for app in ("config", *own_apps())
        for path in (BASE_DIR / app).rglob("*.py")
        if "tests" not in path.parts and re.search(r"os\.(environ(\.get|\[\")|getenv)", path.read_text(encoding="utf-8"))
    }

    assert readers == {"config/env.py"}
