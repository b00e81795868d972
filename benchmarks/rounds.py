"""
The first table: rounds in which every row has its turn, so that whatever else the machine does meets all rows.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from . import processes, seeds
from .counting import CALLS, Counts, count
from .load import Load, Request, load
from .rows import HELLO, ROWS, USERS, YARDSTICKS, Row
from .servers import CACHE, Servers, Web, celery_worker, gunicorn

DEFAULT, CHANGED = "default", "changed"
WARM_SECONDS = 1
# With so few calls at once hardly one waits for another: the 99th percentile is nearly what a call takes by itself.
FEW = 2


@dataclass(frozen=True)
class Options:
    """
    How much is measured, and which settings are held against the defaults: arguments for gunicorn and variables of the environment.
    """

    rounds: int = 3
    seconds: int = 4
    connections: int = 16
    rows: Sequence[str] = ()
    arguments: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> str:
        """
        Name the settings that differ from the defaults.
        """
        return " ".join([*(f"{name}={value}" for name, value in self.variables.items()), *self.arguments])

    def wants(self, name: str) -> bool:
        return not self.rows or name in self.rows


class Sample(NamedTuple):
    """
    One measurement: calls a second, their share of the round's `hello`, milliseconds, failures, and microseconds of processor time that a
    call takes from gunicorn's workers, from PostgreSQL and from Valkey; and the 99th percentile over `FEW` connections.
    """

    rate: float
    share: float
    p50: float
    p99: float
    failed: int
    web_us: float
    postgres_us: float
    valkey_us: float
    few_p99: float = 0


def median(samples: Sequence[Sample]) -> Sample:
    """
    Return the median of each figure; of the failures, the sum.
    """
    middle = [statistics.median(column) for column in zip(*samples, strict=True)]
    return Sample(*middle)._replace(failed=sum(sample.failed for sample in samples))


class Site:
    """
    A gunicorn with the API under one choice of settings, and its callers' tokens.
    """

    def __init__(self, web: Web) -> None:
        self.web = web
        self.idle_mib = self.memory()
        self.tokens = [seeds.log_in(web.url, number) for number in range(1, seeds.CALLERS + 1)]

    def memory(self) -> float:
        """
        Return how many MiB the largest worker shares with nobody.
        """
        return max(map(processes.private_mib, self.web.pids()))


@dataclass
class Table:
    """
    What was found: by row and choice of settings the samples, by row the counts, by choice the memory of a worker and the seconds to start.
    """

    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    memory: dict[str, tuple[float, float]] = field(default_factory=dict)
    start_seconds: dict[str, float] = field(default_factory=dict)


class Bench:
    """
    The gunicorns that are measured, all on the same servers.
    """

    def __init__(
        self, servers: Servers, options: Options, yardsticks: Mapping[str, Web], sites: Mapping[str, Site], uncached: Mapping[str, Web]
    ) -> None:
        self.servers, self.options, self.yardsticks, self.sites, self.uncached = servers, options, yardsticks, sites, uncached
        self.table = Table(start_seconds={choice: site.web.start_seconds for choice, site in sites.items()})

    def run(self, say: Callable[[str], None]) -> None:
        rows = [row for row in ROWS if row.name == HELLO or self.options.wants(row.name)]
        say("counting statements and round trips")
        for row in rows:
            if not row.is_yardstick:
                self.table.counts[row.name] = self._count(row)
        for number in range(1, self.options.rounds + 1):
            say(f"round {number} of {self.options.rounds}")
            self.hello = 0.0
            for row in (row for row in rows if not row.is_task):
                self._measure(row)
            if tasks := [row for row in rows if row.is_task]:
                with celery_worker(self.servers):
                    for row in tasks:
                        self._measure(row)

    def weigh(self) -> Table:
        """
        See what the workers hold after all that they were sent, and return what was found.
        """
        self.table.memory = {choice: (site.idle_mib, site.memory()) for choice, site in self.sites.items()}
        return self.table

    def load(self, web: Web, sent: Sequence[Request], seconds: int) -> Load:
        return load(web.url, sent, connections=self.options.connections, seconds=seconds)

    def _load_little(self, web: Web, row: Row, sent: Sequence[Request]) -> Load:
        if row.is_cold:
            self.servers.redis(CACHE).flushdb()
        return load(web.url, sent, connections=FEW, seconds=max(1, self.options.seconds // 2))

    def _webs(self, row: Row) -> dict[str, Web]:
        if row.is_yardstick:
            return {DEFAULT: self.yardsticks[row.application]}
        return dict(self.uncached) if row.is_uncached else {choice: site.web for choice, site in self.sites.items()}

    def _count(self, row: Row) -> Counts:
        web = self._webs(row)[DEFAULT]
        sent = row.requests(self.sites[DEFAULT].tokens)
        # Every thread has a connection to the database of its own, which is opened here.
        self.load(web, sent, WARM_SECONDS)
        if row.is_cold:
            # The last pages, which that has not put into the cache; what is known of their authors is there from the ones before.
            sent = [*sent[-2 * USERS :][:CALLS], *sent[-USERS:][:CALLS]]
        return count(self.servers, web, sent)

    def _measure(self, row: Row) -> None:
        for choice, web in self._webs(row).items():
            sent = row.requests(self.sites[choice].tokens)
            if row.is_cold:
                self.servers.redis(CACHE).flushdb()
            else:
                self.load(web, sent, WARM_SECONDS)
            sample = sampled(self.servers, web, lambda: self.load(web, sent, self.options.seconds))  # noqa: B023 - called at once
            little = self._load_little(web, row, sent)
            sample = sample._replace(few_p99=little.p99, failed=sample.failed + little.failed)
            if row.name == HELLO:
                self.hello = sample.rate
            # Where nothing was answered there is no share.
            share = sample.rate / self.hello if self.hello else 0.0
            self.table.samples.setdefault((row.name, choice), []).append(sample._replace(share=share))


def sampled(servers: Servers, web: Web, measure: Callable[[], Load]) -> Sample:
    """
    Measure, and see what it takes from each kind of process. The share is left at 0.
    """
    kinds = (web.pids(), servers.postgres_pids(), servers.valkey_pids())
    before = list(map(processes.cpu_seconds, kinds))
    found = measure()
    taken = [now - then for now, then in zip(map(processes.cpu_seconds, kinds), before, strict=True)]
    calls = max(1, found.calls)
    return Sample(found.rate, 0, found.p50, found.p99, found.failed, *(seconds / calls * 1e6 for seconds in taken))


@contextmanager
def bench(servers: Servers, options: Options) -> Iterator[Bench]:
    """
    Start a gunicorn for each yardstick, one with the API as it comes, and one without its cache; where settings are given, both with those.
    """
    choices: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {DEFAULT: ((), {})}
    if options.arguments or options.variables:
        choices[CHANGED] = (options.arguments, options.variables)
    with ExitStack() as stack:
        # They have no database whose connections could be counted.
        bare = {"DATABASE_TRANSACTION_POOLING": "true"}
        yardsticks = {
            name: stack.enter_context(gunicorn(servers, name, variables=bare)) for name in sorted({row.application for row in YARDSTICKS})
        }
        sites = {
            choice: Site(stack.enter_context(gunicorn(servers, "config.wsgi", arguments=arguments, variables=variables)))
            for choice, (arguments, variables) in choices.items()
        }
        uncached = {
            choice: stack.enter_context(
                gunicorn(servers, "config.wsgi", arguments=arguments, variables={**variables, "CACHE_ENABLED": "false"})
            )
            for choice, (arguments, variables) in choices.items()
            if any(row.is_uncached and options.wants(row.name) for row in ROWS)
        }
        yield Bench(servers, options, yardsticks, sites, uncached)
