"""
Measure what the API takes: `make bench`, or `make bench ARGS="--rows cached_post,profile --workers 4"`.

With settings given, each row is measured under the defaults and under them, in the same rounds.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import django

from . import growth, logins, profiles, report, seeds
from .arguments import FIRST, GROWTH, PROFILE, Plan, parse
from .load import require_wrk
from .rounds import CHANGED, bench
from .rows import LOGIN, POSTS_EACH, USERS
from .servers import Servers, servers


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def rows(running: Servers, plan: Plan) -> tuple[str, Any]:
    fill(running)
    options = plan.options
    samples: dict[str, list[logins.LoginSample]] = {}
    with bench(running, options) as started:
        started.run(say)
        for number in range(1, options.rounds + 1) if options.wants(LOGIN.name) else ():
            say(f"logins, round {number} of {options.rounds}")
            for choice, site in started.sites.items():
                found = logins.measure(site.web, connections=options.connections, seconds=options.seconds)
                samples.setdefault(choice, []).append(found)
        table = started.weigh()
    how = f"{options.rounds} rounds of {options.seconds} s a row, {options.connections} connections, medians"
    parts = [report.heading(how, changed=options.settings), report.rows_table(table)]
    parts += [report.changes_table(table)] if any(choice == CHANGED for _, choice in table.samples) else []
    parts += [report.logins_table(samples)] if samples else []
    of_logins = {choice: [sample._asdict() for sample in found] for choice, found in samples.items()}
    return "\n\n".join([*parts, report.processes_table(table)]), {**report.figures(table), "logins": of_logins}


def grown(running: Servers, plan: Plan) -> tuple[str, Any]:
    options = replace(plan.options, seconds=plan.growth_seconds)
    text, figures = growth.measure(running, options, sizes=plan.sizes, connections=plan.connections, say=say)
    how = f"{options.seconds} s for each number of connections, medians"
    return f"{report.heading(how, under=options.settings)}\n\n{text}", figures


def profile(running: Servers, plan: Plan) -> tuple[str, Any]:
    fill(running)
    heading = report.heading(f"{profiles.CALLS} calls a row, {profiles.LOGIN_CALLS} logins", under=plan.options.settings)
    return f"{heading}\n\n{profiles.measure(running, plan.options, say)}", {}


def fill(running: Servers) -> None:
    say("seeding")
    authors = (author for _ in range(POSTS_EACH) for author in range(1, USERS + 1))
    seeds.seed(running, seeds.migrate(running), users=USERS, authors=authors)


MEASURED: dict[str, Callable[[Servers, Plan], tuple[str, Any]]] = {FIRST: rows, GROWTH: grown, PROFILE: profile}


def main() -> None:
    plan = parse()
    require_wrk()
    # What was started is ended too where a time limit ends this.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with servers() as running:
        os.environ.update(running.environment, DJANGO_SETTINGS_MODULE="config.settings")
        django.setup()
        for name in plan.tables:
            text, figures = MEASURED[name](running, plan)
            path = report.save(name, text, figures)
            print(text, end="\n\n", flush=True)
            say(f"saved as {path}")
            if plan.is_published:
                report.publish(name, text)


if __name__ == "__main__":
    main()
