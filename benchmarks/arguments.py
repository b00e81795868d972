"""
What `make bench` may be told, and what contradicts itself.
"""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import growth
from .rounds import Options
from .rows import LOGIN, ROWS

FIRST, GROWTH, PROFILE = "rows", "growth", "profile"
# What each table other than the first passes over, so that it is refused there.
WITHOUT = {
    GROWTH: ("rounds",),
    PROFILE: ("rounds", "seconds", "connections", "sizes", "workers", "threads", "gunicorn"),
}


# What makes a table that does not belong into docs/benchmarks.md.
PARTIAL = ("rows", "connections", "sizes", "workers", "threads", "set", "gunicorn")


@dataclass(frozen=True)
class Plan:
    """
    The tables that are wanted, and how they are measured. `connections` and `sizes` are those of the growth table.
    """

    tables: Sequence[str]
    options: Options
    growth_seconds: int
    connections: Sequence[int]
    sizes: Sequence[int]
    is_published: bool


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def sizes(text: str) -> list[int]:
    found = [positive(size) for size in text.split(",")]
    if min(found) < growth.LEAST:
        raise argparse.ArgumentTypeError(f"less than {growth.LEAST} have too few pages")
    return found


def setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    return name, value


def parse(arguments: Sequence[str] | None = None) -> Plan:
    """
    Return what the command line asks for; it is refused, rather than passed over, where it asks for what cannot be.
    """
    parser = _parser()
    found = parser.parse_args(arguments)
    tables = _tables(found)
    if mistake := _mistake(found, tables):
        parser.error(mistake)
    rows = [name for name in found.rows.split(",") if name]
    further = shlex.split(found.gunicorn) + (["--threads", str(found.threads)] if found.threads else [])
    variables = dict(found.set or []) | ({"WEB_CONCURRENCY": str(found.workers)} if found.workers else {})
    given = {name: value for name in ("rounds", "seconds", "connections") if (value := getattr(found, name))}
    return Plan(
        tables=tables,
        options=Options(rows=rows, arguments=further, variables=variables, **given),
        growth_seconds=found.seconds or growth.SECONDS,
        connections=[found.connections] if found.connections else growth.CONNECTIONS,
        sizes=found.sizes or growth.SIZES,
        is_published=found.publish,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure what the API takes.")
    growing = ", ".join(name for name in growth.names() if name not in _names())
    measured = parser.add_argument_group("what is measured")
    which = measured.add_mutually_exclusive_group()
    which.add_argument("--growth", action="store_true", help="only how rows grow with the data")
    which.add_argument("--profile", action="store_true", help="only where the time of each call goes")
    measured.add_argument("--rows", default="", help=f"separated by commas: {', '.join(_names())}; of growth also {growing}")
    measured.add_argument("--rounds", type=positive, help=f"of the first table ({Options.rounds})")
    measured.add_argument("--seconds", type=positive, help=f"of each measurement ({Options.seconds}; of growth {growth.SECONDS})")
    numbers = ", ".join(map(str, growth.CONNECTIONS))
    measured.add_argument("--connections", type=positive, help=f"at once ({Options.connections}; of growth {numbers})")
    measured.add_argument("--sizes", type=sizes, help=f"how many users and posts, of growth ({','.join(map(str, growth.SIZES))})")
    measured.add_argument("--publish", action="store_true", help="write the tables into docs/benchmarks.md")
    settings = parser.add_argument_group("settings, which the first table holds against the defaults")
    settings.add_argument("--workers", type=positive, help="processes of gunicorn")
    settings.add_argument("--threads", type=positive, help="threads of a process")
    settings.add_argument("--set", type=setting, action="append", metavar="NAME=VALUE", help="a variable of the environment")
    settings.add_argument("--gunicorn", default="", metavar="ARGUMENTS", help="of gunicorn, with an equals sign: --gunicorn=--reuse-port")
    return parser


def _names() -> list[str]:
    return [row.name for row in (*ROWS, LOGIN)]


def _tables(found: argparse.Namespace) -> Sequence[str]:
    """
    Return both tables where nothing else is asked for, or sizes, which only the second has.
    """
    if found.growth or found.profile:
        return (GROWTH,) if found.growth else (PROFILE,)
    is_plain = not any(value for name, value in vars(found).items() if name != "publish")
    return (FIRST, GROWTH) if is_plain or found.sizes else (FIRST,)


def _mistake(found: argparse.Namespace, tables: Sequence[str]) -> str:
    names: Mapping[str, Sequence[str]] = {FIRST: _names(), GROWTH: growth.names(), PROFILE: _names()}
    unknown = set(filter(None, found.rows.split(","))) - {name for table in tables for name in names[table]}
    if unknown:
        return f"there is no row {', '.join(sorted(unknown))}"
    if passed_over := [name for name in WITHOUT.get(tables[0], ()) if getattr(found, name)]:
        return f"--{tables[0]} has no --{', --'.join(passed_over)}"
    if found.publish and (partial := [name for name in PARTIAL if getattr(found, name)] + _fewer(found, tables[0])):
        return f"--publish replaces whole tables, so it goes with no --{', --'.join(partial)}"
    return ""


def _fewer(found: argparse.Namespace, table: str) -> list[str]:
    least = {"rounds": Options.rounds, "seconds": growth.SECONDS if table == GROWTH else Options.seconds}
    return [f"{name} below {number}" for name, number in least.items() if (getattr(found, name) or number) < number]
