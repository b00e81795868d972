"""
Write `docs/configuration.md` and `.env.example` from `config.env`: `make docs`. A test holds both against the code.
"""

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from common.rates import Rate

from .env import BASE_DIR, Environment

CONFIGURATION = BASE_DIR / "docs" / "configuration.md"
EXAMPLE = BASE_DIR / ".env.example"

# The first variable of each group.
GROUPS = {
    "environment": "Application",
    "allowed_hosts": "Web",
    "secret_key": "Tokens and sessions",
    "database_url": "Database",
    "cache_enabled": "Redis: cache, limits, queue",
    "default_rate_limit_limit": "Limits",
    "email_url": "Mail",
    "admin_name": "First superuser and tier",
}
# Read by something else than the settings.
OTHERS = (
    (
        "ENV_FILE",
        ".env",
        "File, beside `manage.py`, from which variables are read that the process environment does not set; "
        "blank: none. Named here, it has to exist.",
    ),
    ("TEST_DATABASE_URL", "", "PostgreSQL for `make test`, instead of an embedded one."),
    ("TEST_REDIS_URL", "", "Redis or Valkey for `make test`, instead of an embedded one; databases 0 to 14 are emptied."),
    ("PGADMIN_DEFAULT_EMAIL", "", "Accepted, not used by the application: login of pgAdmin."),
    ("PGADMIN_DEFAULT_PASSWORD", "", "Accepted, not used by the application: password of pgAdmin."),
    ("PGADMIN_LISTEN_PORT", "", "Accepted, not used by the application: port of pgAdmin."),
    ("TEST_NAME", "", "Accepted, not used: the tests bring their own users."),
    ("TEST_EMAIL", "", "Accepted, not used."),
    ("TEST_USERNAME", "", "Accepted, not used."),
    ("TEST_PASSWORD", "", "Accepted, not used."),
)

INTRODUCTION = """# Configuration

Every variable that the project reads, once, with its default and its meaning.
Values come from the process environment, else from `.env`.
In each of the two a secret `NAME` may stand in a file of its own, which `NAME_FILE` names; `NAME` wins over `NAME_FILE`.
In `.env` relative paths count from the project's folder, values are taken as they are written, `$` included, and `NAME= # …` is blank.
A blank value means the default, unknown names are ignored, and a value that does not parse is an error.

Locally nothing has to be set.
With `ENVIRONMENT=staging` or `production`, a value that is missing or insecure stops every entry point before it serves anything,
with one message that names all problems.

This page and `.env.example` are written by `make docs` from `config/env.py`.
"""


def default_of(field: FieldInfo) -> str:
    """
    Return a field's default as one would write it in the environment.
    """
    value = field.default
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Rate):
        return f"{value.limit}/{value.period}"
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, list) else str(value)


def variables() -> list[tuple[str, str, str, str, bool]]:
    """
    Return group, name, default, meaning and whether it is a secret, of every variable.
    """
    rows, group = [], ""
    for name, field in Environment.model_fields.items():
        group = GROUPS.get(name, group)
        rows.append((group, name.upper(), default_of(field), str(field.description), field.annotation is SecretStr))
    return rows + [("Tests and tools", name, default, meaning, False) for name, default, meaning in OTHERS]


def configuration_page() -> str:
    lines, last = [INTRODUCTION], ""
    for group, name, default, meaning, is_secret in variables():
        if group != last:
            lines.append(f"\n## {group}\n\n| variable | default | meaning |\n| --- | --- | --- |")
            last = group
        secret = f" Secret: `{name}_FILE` is read too." if is_secret else ""
        lines.append(f"| `{name}` | {f'`{default}`' if default else ''} | {meaning.replace('|', chr(92) + '|')}{secret} |")
    return "\n".join(lines) + "\n"


def example_file() -> str:
    lines, last = ["# Copy to .env and take away the # before what you set. docs/configuration.md tells the same."], ""
    for group, name, default, meaning, _ in variables():
        if group != last:
            lines += ["", f"# {group}"]
            last = group
        lines += [f"# {meaning}", f"# {name}={default}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    CONFIGURATION.write_text(configuration_page(), encoding="utf-8")
    EXAMPLE.write_text(example_file(), encoding="utf-8")
