"""
The second table: the same rows at a thousand, a hundred thousand and a million users and posts, with few connections and many.
"""

import http.client
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import NamedTuple
from urllib.parse import urlsplit

from django.core import signing

from . import report, seeds
from .load import Request, load
from .rounds import WARM_SECONDS, Options, Site
from .rows import API, COLD_LIST, LOGIN, LOGINS, ROWS, Row
from .servers import CACHE, Servers, Web, celery_worker, gunicorn

SIZES = (1_000, 100_000, 1_000_000)
# One user has half of the posts, and ten last pages of 18 of them are asked for.
LEAST = 400
CONNECTIONS = (1, 16, 128)
SECONDS = 2
BOUND = 1.5
PAGE = 25
ALLOWED = "last page"
# By title and number of connections, milliseconds at each size.
Figures = dict[str, dict[int, dict[int, float]]]


class Deep(NamedTuple):
    """
    Pages of which each is asked for once, over one connection, as what was asked for before is cached; and logins, which are so slow that
    many at once would be refused.
    """

    name: str
    title: str
    requests: list[Request]


def names() -> list[str]:
    """
    Return what `--rows` may name.
    """
    return [*(row.name for row in rows(LEAST)), *(deep.name for deep in deep_pages(LEAST))]


def seed(running: Servers, password_hash: str, size: int) -> None:
    """
    Give one post to each of the first half of the users, so that post 20 is of `user20`, and the other half of the posts to `user1`.
    """
    half = size // 2
    seeds.seed(running, password_hash, users=size, authors=chain(range(1, half + 1), repeat(1, size - half)))


def rows(size: int) -> list[Row]:
    """
    Return the rows that many clients can ask for at once: those of the first table, without what only its own data can show.
    """
    end = Row("users_end", "end of the users, by cursor", lambda _: [Request("GET", f"{API}/users?cursor={_cursor(size - 11)}")])
    # To anonymous callers these are answered from the cache.
    lists = [users(items) for items in (10, 100)]
    replaced = {COLD_LIST.name, *(row.name for row in lists)}
    return [*(row for row in ROWS if not row.is_yardstick and row.name not in replaced), *lists, end]


def _cursor(before: int) -> str:
    from common.pagination import CURSOR_SALT  # It wants the settings, which the command line has prepared by now.

    # A cursor names the id before the page.
    return signing.dumps([str(before)], salt=CURSOR_SALT)


def users(items: int) -> Row:
    def requests(tokens: Sequence[str]) -> list[Request]:
        return [Request("GET", f"{API}/users?page=1&items_per_page={items}", token) for token in tokens]

    return Row(f"users_{items}", f"list of {items} users, signed in", requests)


def deep_pages(size: int) -> list[Deep]:
    posts = size // 2
    sizes = range(PAGE - 9, PAGE + 1)
    first = [(number, items) for items in sizes for number in range(1, 11)]

    def last(rows: int) -> list[tuple[int, int]]:
        # Of a million each takes a good part of a second.
        return [(rows // items - number, items) for items in sizes[:3] for number in range(10)]

    def asked(path: str, pages: Sequence[tuple[int, int]]) -> list[Request]:
        return [Request("GET", f"{API}/{path}?page={number}&items_per_page={items}") for number, items in pages]

    return [
        Deep("first_posts", "first pages of the posts of who wrote half of them, nothing cached", asked("user1/posts", first)),
        Deep("last_posts", "last pages of the same, by number", asked("user1/posts", last(posts))),
        Deep("first_users", "first pages of users, nothing cached", asked("users", first)),
        Deep("last_users", "last pages of users, by number", asked("users", last(size))),
        Deep(LOGIN.name, f"{LOGIN.title}, one after another", LOGINS),
    ]


def ask_once(web: Web, sent: Sequence[Request]) -> float:
    """
    Return the median of the milliseconds that an answer takes.
    """
    client = http.client.HTTPConnection(urlsplit(web.url).netloc, timeout=60)
    times = []
    for request in sent:
        began = time.perf_counter()
        headers = {"X-Forwarded-For": "203.0.113.1", "X-Forwarded-Proto": "https"}
        headers |= {"Content-Type": "application/json"} if request.body else {}
        client.request(request.method, request.path, request.body or None, headers)
        response = client.getresponse()
        body = response.read()
        times.append((time.perf_counter() - began) * 1000)
        if response.status != 200:
            raise SystemExit(f"{request.path}: {response.status} {body[:500]!r}")
    return statistics.median(times)


def measure(
    running: Servers, options: Options, *, sizes: Sequence[int], connections: Sequence[int], say: Callable[[str], None]
) -> tuple[str, Figures]:
    """
    Return a table of the medians of each wanted row at each size, under the given settings, and the medians themselves.
    """
    password_hash = seeds.migrate(running)
    found: Figures = {}
    for size in sizes:
        say(f"seeding {size:,} users and posts")
        seed(running, password_hash, size)
        site = gunicorn(running, "config.wsgi", arguments=options.arguments, variables=options.variables)
        with site as web, celery_worker(running):
            say("measuring")
            for title, number, p50 in _measured(running, Site(web), size, options, connections):
                found.setdefault(title, {}).setdefault(number, {})[size] = p50
    return table(found, sizes), found


def _measured(running: Servers, site: Site, size: int, options: Options, connections: Sequence[int]) -> list[tuple[str, int, float]]:
    figures = []
    for row in rows(size):
        if not options.wants(row.name):
            continue
        sent = row.requests(site.tokens)
        for number in connections:
            load(site.web.url, sent, connections=number, seconds=WARM_SECONDS)
            result = load(site.web.url, sent, connections=number, seconds=options.seconds)
            if result.failed:
                raise SystemExit(f"{row.title}: {result.failed} calls failed")
            figures.append((row.title, number, result.p50))
    for deep in (deep for deep in deep_pages(size) if options.wants(deep.name)):
        running.redis(CACHE).flushdb()
        ask_once(site.web, deep.requests[:1])
        figures.append((deep.title, 1, ask_once(site.web, deep.requests[1:])))
    return figures


def table(found: Figures, sizes: Sequence[int]) -> str:
    """
    Show for each row and number of connections the medians in milliseconds, from the smallest size to the largest, and the growth.
    """
    lines, connections = [], sorted({number for by_connections in found.values() for number in by_connections})
    for title, by_connections in found.items():
        cells = []
        for number in connections:
            p50 = by_connections.get(number)
            grown = max(p50.values()) / p50[sizes[0]] if p50 else 0
            mark = "" if grown <= BOUND or title.startswith(ALLOWED) else " **!**"
            cells.append(f"{' → '.join(f'{p50[size]:.2f}' for size in sizes)} ({grown:.1f}x){mark}" if p50 else "")
        lines.append([title, *cells])
    header = ("p50 ms at " + " → ".join(f"{size:,}" for size in sizes), *(f"{number} connections" for number in connections))
    return report.markdown(header, lines)
