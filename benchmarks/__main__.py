"""
Measure what the API takes: `make bench`, or `make bench ARGS="--rows cached_post,profile --workers 4"`.

With settings given, each row is measured under the defaults and under them, in the same rounds.
"""

import argparse
import os
import sys
import time

import django

from . import growth, logins, profiles, report, seeds
from .load import require_wrk
from .rounds import Options, bench
from .rows import POSTS_EACH, ROWS, USERS
from .servers import Servers, servers

LOGIN = "login"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure what the API takes.")
    names = [row.name for row in ROWS] + [LOGIN]
    parser.add_argument("--rows", default="", help=f"the rows to measure, separated by commas: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--workers", help="processes of gunicorn to compare with the default")
    parser.add_argument("--threads", help="threads of a process to compare with the default")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of the environment to compare")
    parser.add_argument("--gunicorn", default="", metavar="ARGUMENTS", help="further arguments of gunicorn to compare")
    parser.add_argument("--growth", action="store_true", help="measure how rows grow with the data instead")
    parser.add_argument("--profile", action="store_true", help="show where the time of each call goes instead")
    parser.add_argument("--sizes", default="1000,100000,1000000", help="how many users and posts, of --growth")
    parser.add_argument("--publish", action="store_true", help="write the tables into docs/benchmarks.md")
    arguments = parser.parse_args()
    if not arguments.growth and (unknown := set(filter(None, arguments.rows.split(","))) - set(names)):
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    return arguments


def options_of(arguments: argparse.Namespace) -> Options:
    variables = dict(pair.split("=", 1) for pair in arguments.set)
    if arguments.workers:
        variables["WEB_CONCURRENCY"] = arguments.workers
    further = arguments.gunicorn.split() + (["--threads", arguments.threads] if arguments.threads else [])
    rows = [name for name in arguments.rows.split(",") if name]
    return Options(arguments.rounds, arguments.seconds, arguments.connections, rows, further, variables)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def measure(running: Servers, options: Options, *, is_published: bool) -> None:
    say("seeding")
    fill(running)
    samples = []
    with bench(running, options) as started:
        table = started.run(say)
        if options.wants(LOGIN):
            for number in range(1, options.rounds + 1):
                say(f"logins, round {number} of {options.rounds}")
                web = next(iter(started.sites.values())).web
                samples.append(logins.measure(web, connections=options.connections, seconds=options.seconds))
    how = f"{options.rounds} rounds of {options.seconds} s a row, {options.connections} connections"
    parts = [report.heading(how), report.rows_table(table)]
    parts += [report.changes_table(table)] if options.arguments or options.variables else []
    parts += [report.logins_table(samples)] if samples else []
    text = "\n\n".join([*parts, report.processes_table(table)])
    path = report.save("rows", text, {**report.figures(table), "logins": [sample._asdict() for sample in samples]})
    print(text)
    say(f"saved as {path}")
    if is_published:
        report.publish("rows", text)


def profile(running: Servers, options: Options, *, is_published: bool) -> None:
    say("seeding")
    fill(running)
    text = "\n\n".join([report.heading(f"{profiles.CALLS} calls a row"), profiles.measure(running, options, say)])
    path = report.save("profile", text, {})
    print(text)
    say(f"saved as {path}")
    if is_published:
        report.publish("profile", text)


def fill(running: Servers) -> None:
    authors = (author for _ in range(POSTS_EACH) for author in range(1, USERS + 1))
    seeds.seed(running, seeds.migrate(running), users=USERS, authors=authors)


def main() -> None:
    arguments = parse()
    require_wrk()
    options = options_of(arguments)
    with servers() as running:
        os.environ.update(running.environment, DJANGO_SETTINGS_MODULE="config.settings")
        django.setup()
        if arguments.growth:
            growth.measure(running, options, [int(size) for size in arguments.sizes.split(",")], is_published=arguments.publish, say=say)
        elif arguments.profile:
            profile(running, options, is_published=arguments.publish)
        else:
            measure(running, options, is_published=arguments.publish)


if __name__ == "__main__":
    main()
