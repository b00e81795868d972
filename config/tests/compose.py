"""
What the files of `docker/` say, read as Docker and Compose read them.
"""

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from conftest import BASE_DIR

DOCKER = BASE_DIR / "docker"
DEPLOYMENT, DEVELOPMENT = "compose.yaml", "compose.dev.yaml"
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<operator>:?[-?])(?P<word>[^}]*))?\})")


def read_variables(path: Path) -> dict[str, str]:
    """
    Read an env file of plain `NAME=value` lines.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def interpolated(value: Any, variables: dict[str, str]) -> Any:
    """
    Fill in `${NAME}`, `${NAME:-default}` and `${NAME:?refusal}`; `$$` is a dollar. Raises `KeyError` for what is not set and has to be.
    """
    if isinstance(value, dict):
        return {key: interpolated(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, variables) for item in value]
    return VARIABLE.sub(lambda match: _replacement(match, variables), value) if isinstance(value, str) else value


def _replacement(match: "re.Match[str]", variables: dict[str, str]) -> str:
    if match[0] == "$$":
        return "$"
    found, operator = variables.get(match["name"]), match["operator"] or ""
    if found or (found is not None and not operator.startswith(":")):
        return found
    if not operator.endswith("-"):
        raise KeyError(match["name"])
    return match["word"]


def services(file: str, variables: dict[str, str]) -> dict[str, dict[str, Any]]:
    """
    Return the services of a compose file with its variables filled in, whatever their profile.
    """
    found: dict[str, dict[str, Any]] = interpolated(yaml.safe_load((DOCKER / file).read_text(encoding="utf-8"))["services"], variables)
    return found


def probe(service: dict[str, Any]) -> list[str]:
    """
    Return the command that Docker runs to learn whether a service is healthy.
    """
    kind, *command = service["healthcheck"]["test"]
    return ["/bin/sh", "-c", *command] if kind == "CMD-SHELL" else command


@dataclass(frozen=True)
class Stage:
    image: str
    name: str
    instructions: list[tuple[str, str]]

    def all(self, keyword: str) -> list[str]:
        return [text for name, text in self.instructions if name == keyword]

    def variables(self) -> dict[str, str]:
        """
        Return what its `ENV` sets, without quotes, which it does not use.
        """
        return dict(pair.split("=", 1) for text in self.all("ENV") for pair in text.split())

    @property
    def user(self) -> str:
        return self.all("USER")[-1].partition(":")[0]

    def folder(self, place: str) -> dict[str, str] | None:
        """
        Return owner, group and mode of a folder that is made with `install --directory`, and None for one that is not.
        """
        made = [text for text in self.all("RUN") if text.startswith("install --directory ") and text.endswith(f" {place}")]
        return dict(re.findall(r"--(owner|group|mode)=(\S+)", made[-1])) if made else None

    def command(self, keyword: str) -> list[str]:
        found: list[str] = json.loads(self.all(keyword)[-1].rpartition("CMD ")[2])
        return found


def stages() -> dict[str, Stage]:
    """
    Read the Dockerfile: each stage by its name, in the order of the file.
    """
    text = "\n".join(line for line in (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    found: dict[str, Stage] = {}
    for line in text.replace("\\\n", " ").splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword == "FROM":
            image, _, name = rest.partition(" AS ")
            stage = found[name] = Stage(image, name, [])
        elif keyword:
            stage.instructions.append((keyword, " ".join(rest.split())))
    return found


def image(target: str = "production") -> Stage:
    """
    Return what building a target makes: its instructions after those of the stages that it is built from.
    """
    stage = stages()[target]
    under = image(stage.image).instructions if stage.image in stages() else []
    return Stage(stage.image, stage.name, under + stage.instructions)


def build_context(root: Path) -> list[Path]:
    """
    List, relative to `root`, the files that `.dockerignore` lets into the image.
    """
    found = []
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        # Looked into even when it is left out itself, where a later line lets something below back in.
        folders[:] = [
            name for name in folders if is_let_in(here / name) or any(rule.startswith(f"!{here / name}/") for rule in ignore_rules())
        ]
        found += [here / name for name in files if is_let_in(here / name)]
    return sorted(found)


@cache
def ignore_rules() -> list[str]:
    lines = (BASE_DIR / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def is_let_in(path: Path) -> bool:
    """
    Say what the last line of `.dockerignore` says that fits the path or a folder above it; without one it is let in.
    """
    names = [str(path), *map(str, path.parents)][:-1]
    fitting = (rule for rule in reversed(ignore_rules()) if any(_expression(rule).fullmatch(name) for name in names))
    return next(fitting, "!").startswith("!")


@cache
def _expression(rule: str) -> "re.Pattern[str]":
    # `*` stays inside one name, and `**/` stands for any number of folders, none included.
    pattern = rule.removeprefix("!")
    inside = re.escape(pattern.removeprefix("**/")).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    return re.compile(("(.*/)?" if pattern.startswith("**/") else "") + inside)
