"""
What is read from files: variables out of the one that `ENV_FILE` names, and secrets out of those that `NAME_FILE` names.
"""

import re
from collections.abc import Collection, Mapping
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

DEFAULT = ".env"
# `NAME= # what it is for` means a blank; the reader of the format takes the remark for the value.
REMARK = re.compile(r"^([ \t]*(?:export[ \t]+)?[A-Za-z_]\w*[ \t]*=)[ \t]*# .*$", re.MULTILINE)


def read_files(
    env_file: str | None, process: Mapping[str, str], secrets: Collection[str], folder: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """
    Return the values that the process environment leaves to files, by field, and what is wrong with each file, by variable.

    `NAME` wins over `NAME_FILE`, and what the process environment has of the two over what the file of variables has. Relative paths count
    from the folder in the file of variables, from the working directory in the process environment. Without `env_file` the default one is
    read if there is one; where it is blank, none.
    """
    given = {name.upper(): value for name, value in process.items() if value.strip()}
    lines, problems = _variables(env_file, folder)
    # A file that something else makes needless may be missing.
    needed = [name for name in secrets if not {name, f"{name}_FILE"} & given.keys()]
    values = {**_secrets(needed, lines, folder, problems), **lines, **_secrets(secrets, given, Path(), problems)}
    return {name.lower(): value for name, value in values.items() if name not in given}, problems


def _variables(env_file: str | None, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    name = (DEFAULT if env_file is None else env_file).strip()
    path = folder / name
    if not name or (env_file is None and not path.exists()):
        return {}, {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        return {}, {"ENV_FILE": f"{name} cannot be read ({exc}). Name a readable file, as UTF-8, or leave it blank for none."}
    values = dotenv_values(stream=StringIO(REMARK.sub(r"\1", text)), interpolate=False)
    return {name.upper(): value for name, value in values.items() if value and value.strip()}, {}


def _secrets(names: Collection[str], source: Mapping[str, str], folder: Path, problems: dict[str, str]) -> dict[str, str]:
    values = {}
    for name in names:
        if path := source.get(f"{name}_FILE"):
            try:
                values[name] = (folder / path).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, ValueError) as exc:
                problems[f"{name}_FILE"] = f"cannot be read ({exc}). Name a readable file that holds the value."
    return values
