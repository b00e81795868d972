"""
The rows of the table: what each sends, and what it is to reach.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .load import Request
from .seeds import CALLERS, PASSWORD

API = "/api/v1"
# Each has so many posts: 10 pages of 25, so that a round asks for no page twice.
USERS, POSTS_EACH = 1000, 250
POST = json.dumps({"title": "Hello", "text": "The quick brown fox jumps over the lazy dog. " * 5, "media_url": None})


@dataclass(frozen=True)
class Row:
    """
    One kind of call. `requests` makes what is sent in turn from the callers' tokens; the goals are a share of a bare WSGI `hello` and the
    99th percentile in milliseconds.
    """

    name: str
    title: str
    requests: Callable[[Sequence[str]], list[Request]]
    goal_share: float | None = None
    goal_p99: float | None = None
    application: str = "api"
    is_cold: bool = False  # The cache is emptied before each measurement.
    is_task: bool = False  # A worker runs meanwhile.
    is_uncached: bool = False  # Asked of a gunicorn with `CACHE_ENABLED=false`.

    @property
    def is_yardstick(self) -> bool:
        return self.application != "api"


def _get(path: str) -> Callable[[Sequence[str]], list[Request]]:
    return lambda _: [Request("GET", path)]


def _each(method: str, path: str, body: str = "") -> Callable[[Sequence[str]], list[Request]]:
    """
    Each caller in turn; `{number}` in the path is theirs.
    """
    return lambda tokens: [Request(method, path.format(number=number), token, body) for number, token in enumerate(tokens, 1)]


def _pages(_: Sequence[str]) -> list[Request]:
    return [
        Request("GET", f"{API}/user{author}/posts?page={page}&items_per_page=25")
        for page in range(1, POSTS_EACH // 25 + 1)
        for author in range(1, USERS + 1)
    ]


HELLO = "hello"
YARDSTICKS = (
    Row(HELLO, "bare WSGI `hello`", _get("/"), application="benchmarks.yardsticks:plain"),
    Row("redis", "bare WSGI with one Redis GET", _get("/redis"), application="benchmarks.yardsticks:plain"),
    Row("view", "bare Django view, no middleware", _get("/"), application="benchmarks.bare_django:application"),
)
# Posts are dealt out in turn, so post 20 is `user20`'s, for whom nothing is written meanwhile.
READS = (
    Row("cached_post", "cached post", _get(f"{API}/user20/post/20"), 0.40, 10),
    Row("cached_list", "cached list of 10 posts", _get(f"{API}/user20/posts?page=1&items_per_page=10"), 0.38, 12),
    Row("users_10", "list of 10 of 1,000 users, nothing cached", _get(f"{API}/users?page=1&items_per_page=10"), 0.14, 30, is_uncached=True),
    Row("users_100", "the same, 100 items", _get(f"{API}/users?page=1&items_per_page=100"), 0.06, 60, is_uncached=True),
    Row("profile", "own profile with bearer token", _each("GET", f"{API}/user/me/"), 0.18, 20),
)
CREATE = Row("create_post", "create a post (cached lists invalidated)", _each("POST", f"{API}/user{{number}}/post", POST), 0.08, 40)
COLD_LIST = Row("posts_25", "list of 25 posts, nothing cached", _pages, 0.08, 40, is_cold=True)
TASKS = (
    Row("task", "start a task, anonymous", lambda _: [Request("POST", f"{API}/tasks/task?message=hello")], 0.10, 40, is_task=True),
    Row("task_tier", "start a task, bearer with tier", _each("POST", f"{API}/tasks/task?message=hello"), 0.09, 40, is_task=True),
)
ROWS = (*YARDSTICKS, *READS, CREATE, COLD_LIST, *TASKS)
LOGINS = [
    Request("POST", f"{API}/login", "", json.dumps({"username": f"user{number}", "password": PASSWORD})) for number in range(1, CALLERS + 1)
]
# Held against what the processors can hash, in a table of its own.
LOGIN = Row("login", "log in", lambda _: LOGINS)
