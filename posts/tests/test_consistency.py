"""
Random reads and writes by several clients against several processes: every read agrees with the database as it was while it was under way.
"""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from common.tests.concurrency import in_thread
from common.tests.servers import Server, served
from conftest import PASSWORD

from . import doors
from .consistency import Read, Viewer, is_common
from .owners import DOORS, Owner, connect

OWNERS = 4
WRITES_OF_TEN = 3
# A page that is full, or past the end, does not tell how many there are in all; one past the end is never answered from the cache.
PAGES = ("page=1&items_per_page=10", "page=2&items_per_page=10", "page=1&items_per_page=3", "page=9&items_per_page=3")
USERS = ("users", "users", "users?page=2&items_per_page=100")
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


class Reader:
    """
    Reads what all owners write, at every server, by turns as anybody, as a superuser and as one of the owner's own users.
    """

    def __init__(self, me: Owner, owners: list[Owner]) -> None:
        self.me = me
        self.owners = owners
        self.chance = me.chance
        # One connection each, so that the answers come from several processes.
        self.lines = [(server, connect(kept=True)) for server in me.servers for _ in range(2)]
        self.kept: dict[str, tuple[str, Any]] = {}
        self.last = ("users", me)
        self.reads: list[Read] = []
        self.seen: Counter[str] = Counter()
        self.others: list[Reader] = []

    def read(self) -> None:
        # Half of the reads repeat what somebody has just read, so that the cache has it.
        if self.chance.random() < 0.5:
            path, whose = self.last = self.path()
        else:
            path, whose = self.chance.choice(self.others).last
        histories = [owner.history for owner in self.owners] if is_common(path) else [whose.history]
        viewer, headers = self.viewer()
        tag, body = self.kept.get(path, ("", None)) if viewer.name == "anonymous" and self.chance.random() < 0.3 else ("", None)
        if tag:
            headers["If-None-Match"] = tag
        server, session = self.chance.choice(self.lines)
        first = [history.acknowledged for history in histories]
        response = session.get(f"{server.api}/{path}", headers=headers, timeout=30)
        windows = [(history, seen, len(history.states) - 1) for history, seen in zip(histories, first, strict=True)]
        found = response.headers.get("X-Cache", "-")
        self.seen[f"{response.status_code} {found}"] += 1
        if response.status_code == 304:
            status = 200
        else:
            status, body = response.status_code, response.json()
            if "ETag" in response.headers:
                self.kept[path] = (response.headers["ETag"], body)
        where = f"{server.url}, X-Cache {found}, {response.headers['Date']}"
        self.reads.append(Read(path, viewer, windows, status, body, where))

    def path(self) -> tuple[str, Owner]:
        whose = self.chance.choice(self.owners)
        state = whose.history.states[whose.history.acknowledged]
        # One in five names nobody has at present.
        there = self.chance.random() < 0.8
        username = self.chance.choice([user.username for user in state.live_users() if there] or whose.usernames)
        tier = self.chance.choice([tier.name for tier in state.tiers if there] or whose.tier_names)
        posts = [post.given.id for user in state.users for post in user.posts if post.given.id] or [1]
        limits = [limit.given.id for row in state.tiers for limit in row.limits if limit.given.id] or [1]
        paths = (
            *(f"{username}/posts?{page}" for page in PAGES),
            *[f"{username}/post/{self.chance.choice(posts)}"] * 3,
            *[f"user/{username}"] * 2,
            f"user/{username}/tier",
            f"tier/{tier}",
            f"tier/{tier}/rate_limits",
            f"tier/{tier}/rate_limit/{self.chance.choice(limits)}",
        )
        return self.chance.choice((*paths, *USERS, "tiers")), whose

    def viewer(self) -> tuple[Viewer, dict[str, str]]:
        kind = self.chance.random()
        if kind < 0.1:
            return Viewer("superuser", is_superuser=True), {"Authorization": f"Bearer {self.me.superuser}"}
        if kind < 0.25 and (user := self.me.user(self.me.history.now)):
            return Viewer(user.username, user.given), {"Authorization": f"Bearer {self.me.token(user)}"}
        return Viewer(), {}


def run(reader: Reader, steps: int) -> Reader:
    for _ in range(steps):
        if reader.chance.randrange(10) < WRITES_OF_TEN:
            reader.me.write()
        else:
            reader.read()
    return reader


@pytest.fixture
def servers(admin: Any, tmp_path: Path) -> Iterator[list[Server]]:
    unguarded = {"LOGIN_RATE_LIMIT": "0", "LOGIN_FAILURE_LIMIT": "0", "REGISTRATION_RATE_LIMIT": "0", "LOG_LEVEL": "WARNING"}
    with ExitStack() as stack:
        yield [stack.enter_context(served(tmp_path, WEB_CONCURRENCY="2", **unguarded)) for _ in range(2)]


@pytest.mark.parametrize("steps", [2000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_every_read_agrees_with_the_database(servers: list[Server], steps: int, request: pytest.FixtureRequest) -> None:
    seed = request.config.getoption("randomly_seed", 0)
    print(f"{steps} steps; the same decisions again with --randomly-seed={seed}")
    login = requests.post(f"{servers[0].api}/login", json={"username": "admin", "password": PASSWORD}, timeout=30)
    superuser = login.json()["access_token"]
    owners = [Owner(number, servers, random.Random(f"{seed}/{number}"), superuser) for number in range(OWNERS)]
    readers = [Reader(owner, owners) for owner in owners]
    for reader in readers:
        reader.others = readers

    with ThreadPoolExecutor(OWNERS) as pool:
        for call in [in_thread(lambda reader=reader: run(reader, steps // OWNERS), pool) for reader in readers]:  # type: ignore[misc]
            call.result()

    problems = [problem for reader in readers for read in reader.reads if (problem := read.problem())]
    seen = sum((reader.seen for reader in readers), Counter[str]())
    print(dict(seen), "writes:", sum(len(owner.history.states) - 1 for owner in owners), "reads:", seen.total())
    assert not problems, "\n\n".join(problems)
    assert seen["200 hit"] > steps / 20, "The cache was hardly used."


def test_every_door_is_used() -> None:
    assert {write.__name__ for write in DOORS} >= {"register", "change_user", "restore_users", "remove_user", "set_tier", "remove_tier"}
    assert doors.MOST_USERS * OWNERS < 10, "All users have to fit on one page."
