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
from .rows import API, COLD_LIST, ROWS, Row
from .servers import CACHE, Servers, Web, celery_worker, gunicorn

CONNECTIONS = (1, 16, 128)
SECONDS = 2
BOUND = 1.5
PAGE = 25
ALLOWED = "last page"


class Deep(NamedTuple):
    """
    Pages of which each is asked for once, over one connection, as what was asked for before is cached.
    """

    title: str
    requests: list[Request]


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
    from common.pagination import CURSOR_SALT  # It wants the settings, which the command line has prepared by now.

    # A cursor names the id before the page.
    cursor = signing.dumps([str(size - 11)], salt=CURSOR_SALT)
    end = Row("end", "end of the users, by cursor", lambda _: [Request("GET", f"{API}/users?cursor={cursor}")])
    # To anonymous callers these are answered from the cache.
    lists = [users(items) for items in (10, 100)]
    replaced = {COLD_LIST.name, *(row.name for row in lists)}
    return [*(row for row in ROWS if not row.is_yardstick and row.name not in replaced), *lists, end]


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
        Deep("first pages of the posts of who wrote half of them, nothing cached", asked("user1/posts", first)),
        Deep("last pages of the same, by number", asked("user1/posts", last(posts))),
        Deep("first pages of users, nothing cached", asked("users", first)),
        Deep("last pages of users, by number", asked("users", last(size))),
    ]


def ask_once(web: Web, sent: Sequence[Request]) -> float:
    """
    Return the median of the milliseconds that an answer takes.
    """
    client = http.client.HTTPConnection(urlsplit(web.url).netloc, timeout=60)
    times = []
    for request in sent:
        began = time.perf_counter()
        client.request(request.method, request.path, headers={"X-Forwarded-For": "203.0.113.1", "X-Forwarded-Proto": "https"})
        response = client.getresponse()
        body = response.read()
        times.append((time.perf_counter() - began) * 1000)
        if response.status != 200:
            raise SystemExit(f"{request.path}: {response.status} {body[:500]!r}")
    return statistics.median(times)


def measure(running: Servers, options: Options, sizes: Sequence[int], *, is_published: bool, say: Callable[[str], None]) -> None:
    """
    Print, save and on demand publish the medians of each row at each size.
    """
    password_hash = seeds.migrate(running)
    found: dict[str, dict[int, dict[int, float]]] = {}
    for size in sizes:
        say(f"seeding {size:,} users and posts")
        seed(running, password_hash, size)
        with gunicorn(running, "config.wsgi") as web, celery_worker(running):
            say("measuring")
            for title, connections, p50 in _measured(running, Site(web), size, options):
                found.setdefault(title, {}).setdefault(connections, {})[size] = p50
    text = f"{report.heading(f'{SECONDS} s for each number of connections')}\n\n{table(found, sizes)}"
    path = report.save("growth", text, found)
    print(text)
    say(f"saved as {path}")
    if is_published:
        report.publish("growth", text)


def _measured(running: Servers, site: Site, size: int, options: Options) -> list[tuple[str, int, float]]:
    figures = []
    for row in rows(size):
        if not options.wants(row.name):
            continue
        sent = row.requests(site.tokens)
        for connections in CONNECTIONS:
            load(site.web.url, sent, connections=connections, seconds=WARM_SECONDS)
            result = load(site.web.url, sent, connections=connections, seconds=SECONDS)
            if result.failed:
                raise SystemExit(f"{row.title}: {result.failed} calls failed")
            figures.append((row.title, connections, result.p50))
    for deep in deep_pages(size):
        running.redis(CACHE).flushdb()
        ask_once(site.web, deep.requests[:1])
        figures.append((deep.title, 1, ask_once(site.web, deep.requests[1:])))
    return figures


def table(found: dict[str, dict[int, dict[int, float]]], sizes: Sequence[int]) -> str:
    """
    Show for each row and number of connections the medians in milliseconds, from the smallest size to the largest, and the growth.
    """
    lines = []
    for title, by_connections in found.items():
        cells = []
        for connections in CONNECTIONS:
            p50 = by_connections.get(connections)
            grown = max(p50.values()) / p50[sizes[0]] if p50 else 0
            mark = "" if grown <= BOUND or title.startswith(ALLOWED) else " **!**"
            cells.append(f"{' → '.join(f'{p50[size]:.2f}' for size in sizes)} ({grown:.1f}x){mark}" if p50 else "")
        lines.append([title, *cells])
    header = ("p50 ms at " + " → ".join(f"{size:,}" for size in sizes), *(f"{number} connections" for number in CONNECTIONS))
    return report.markdown(header, lines)
