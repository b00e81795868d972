"""
Clients that write through every door, the API and the admin's pages, each to rows of its own.
"""

import random
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from accounts.models import User
from common.tests.servers import Server
from conftest import PASSWORD
from tiers.models import Tier

from ..models import Post
from .consistency import Given, History, PostRow, State, UserRow

IN_ADMIN = {User: "accounts/user", Post: "posts/post", Tier: "tiers/tier"}


def connect(*, kept: bool = False) -> requests.Session:
    """
    Return a session with a connection for each request, since a write cannot be repeated that met a connection which the server was just
    closing; or a `kept` one, for what can be.
    """
    session = requests.Session()
    if kept:
        session.mount("http://", HTTPAdapter(max_retries=Retry(3)))
    else:
        session.headers["Connection"] = "close"
    return session


class Site:
    """
    The admin of one server, signed in.
    """

    def __init__(self, server: Server) -> None:
        self.url = f"{server.url}/admin"
        self.session = connect()
        self.session.get(f"{self.url}/login/", timeout=30)
        self.submit("login/", {"username": "admin", "password": PASSWORD, "next": "/admin/"})

    def submit(self, path: str, data: dict[str, Any]) -> None:
        form = {**data, "csrfmiddlewaretoken": self.session.cookies["csrftoken"]}
        response = self.session.post(f"{self.url}/{path}", data=form, timeout=30, allow_redirects=False)
        assert response.status_code == 302, response.text

    def act(self, model: type[Any], action: str, rows: list[Any], **data: Any) -> None:
        self.submit(f"{IN_ADMIN[model]}/", {"action": action, "_selected_action": [row.given.id for row in rows], **data})


class Owner:
    """
    One client: `number` tells its names from those of the others, `chance` is what it decides by.
    """

    def __init__(self, number: int, servers: list[Server], chance: random.Random, superuser: str) -> None:
        self.number = number
        self.servers = servers
        self.chance = chance
        self.history = History()
        self.site = Site(chance.choice(servers))
        self.http = connect()
        self.superuser = superuser
        self.tokens: dict[Given, str] = {}
        self.written = 0
        self.usernames = [f"u{number}x{letter}" for letter in "abc"]
        self.tier_names = [f"tier{number}{letter}" for letter in "abc"]

    def call(self, method: str, path: str, token: str, body: Any = None, *, status: int = 200) -> Any:
        url = f"{self.chance.choice(self.servers).api}/{path}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = self.http.request(method, url, json=body, headers=headers, timeout=30)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    def token(self, user: UserRow) -> str:
        if user.given not in self.tokens:
            self.tokens[user.given] = self.call("POST", "login", "", {"username": user.username, "password": PASSWORD})["access_token"]
        return self.tokens[user.given]

    def write(self) -> None:
        """
        Do one write that the present state allows, chosen by chance.
        """
        state = self.history.changed()
        doors = [door for door, weight in DOORS.items() for _ in range(weight)]
        while not self.chance.choice(doors)(self, state):
            pass

    def fresh(self) -> str:
        self.written += 1
        return f"{self.number} wrote {self.written}"

    def user(self, state: State, *, is_deleted: bool = False) -> UserRow | None:
        user: UserRow | None = self.one([user for user in state.users if user.is_deleted == is_deleted])
        return user

    def post(self, state: State, *, is_deleted: bool = False) -> tuple[UserRow, PostRow] | tuple[None, None]:
        found = [(user, post) for user in state.live_users() for post in user.posts if post.is_deleted == is_deleted]
        return self.one(found) or (None, None)

    def one(self, rows: list[Any]) -> Any:
        return self.chance.choice(rows) if rows else None

    def free_name(self, names: list[str], taken: list[str]) -> str | None:
        name: str | None = self.one([name for name in names if name not in taken])
        return name


def took(given: Given, row: Any) -> None:
    """
    Fill in what the server chose, read from an answer or from the database.
    """
    if isinstance(row, dict):
        given.id, given.created_at = row["id"], row.get("created_at", "")
    else:
        given.id, given.created_at = row.pk, row.created_at.isoformat().replace("+00:00", "Z")


DOORS: dict[Callable[[Owner, State], bool], int] = {}


def door(weight: int) -> Callable[[Callable[[Owner, State], bool]], Callable[[Owner, State], bool]]:
    """
    Register a way to write: it changes the state, sends what makes it so, and returns whether the state allowed it.
    """

    def register(write: Callable[[Owner, State], bool]) -> Callable[[Owner, State], bool]:
        DOORS[write] = weight
        return write

    return register
