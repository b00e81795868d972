"""
What the API has to answer, kept beside the database by those who write to it.

Each `Owner` has users, posts and tiers that nobody else writes, and lists every state of them, the one that a write is about to make
included. A read may show any state from the last one that was acknowledged before it began to the last one that was begun before it ended.
"""

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = tuple[int, Any]


@dataclass(eq=False)
class Given:
    """
    What the server chose for a row; shared by all states of it, and empty until the row is there.
    """

    id: int = 0
    created_at: str = ""

    def __deepcopy__(self, memo: Any) -> "Given":
        return self


@dataclass
class PostRow:
    title: str
    text: str
    given: Given = field(default_factory=Given)
    is_deleted: bool = False

    def shown(self, user: "UserRow") -> dict[str, Any]:
        return {
            "id": self.given.id,
            "title": self.title,
            "text": self.text,
            "media_url": None,
            "created_by_user_id": user.given.id,
            "created_at": self.given.created_at,
        }


@dataclass
class LimitRow:
    path: str
    limit: int
    given: Given = field(default_factory=Given)

    def shown(self, tier: "TierRow") -> dict[str, Any]:
        name = f"{self.path}:{self.limit}:60"
        return {"id": self.given.id, "tier_id": tier.given.id, "name": name, "path": self.path, "limit": self.limit, "period": 60}


@dataclass
class TierRow:
    name: str
    given: Given = field(default_factory=Given)
    limits: list[LimitRow] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        return {"id": self.given.id, "name": self.name, "created_at": self.given.created_at}


@dataclass
class UserRow:
    username: str
    name: str
    email: str
    given: Given = field(default_factory=Given)
    tier: Given | None = None
    is_deleted: bool = False
    posts: list[PostRow] = field(default_factory=list)

    def shown(self, viewer: "Viewer") -> dict[str, Any]:
        return {
            "id": self.given.id,
            "name": self.name,
            "username": self.username,
            "email": self.email if viewer.is_superuser or viewer.user is self.given else None,
            "profile_image_url": "https://profileimageurl.com",
            "tier_id": self.tier and self.tier.id,
        }


@dataclass(frozen=True)
class Viewer:
    name: str = "anonymous"
    user: Given | None = None
    is_superuser: bool = False


def page_of(rows: list[dict[str, Any]], number: int, size: int, count: int) -> Answer:
    rows = sorted(rows, key=lambda row: row["id"])
    start = (number - 1) * size
    return 200, {
        "data": rows[start : start + size],
        "total_count": count,
        "has_more": count > start + size,
        "page": number,
        "items_per_page": size,
    }


def missing(what: str) -> Answer:
    return 404, {"detail": f"{what} not found"}


@dataclass
class State:
    """
    One owner's rows at one time.
    """

    users: list[UserRow] = field(default_factory=list)
    tiers: list[TierRow] = field(default_factory=list)

    def live_users(self) -> list[UserRow]:
        return [user for user in self.users if not user.is_deleted]

    def user(self, username: str) -> UserRow | None:
        return next((user for user in self.live_users() if user.username == username), None)

    def posts_of(self, user: UserRow) -> list[PostRow]:
        """
        Return the posts that a user of another state has in this one.
        """
        return [post for each in self.live_users() if each.given is user.given for post in each.posts if not post.is_deleted]

    def tier(self, name: str) -> TierRow | None:
        return next((tier for tier in self.tiers if tier.name == name), None)

    def limits_of(self, tier: TierRow) -> list[LimitRow]:
        return [limit for each in self.tiers if each.given is tier.given for limit in each.limits]


def page_in(path: str) -> list[int]:
    return [int(text.partition("=")[2]) for text in path.partition("?")[2].split("&") if text] or [1, 10]


def is_common(path: str) -> bool:
    """
    Say whether a path lists what all owners have.
    """
    return path.partition("?")[0] in ("users", "tiers")


def answers(states: list[State], path: str, viewer: Viewer) -> list[Answer]:
    """
    Return what a GET of one of an owner's paths may be answered with that runs while the owner goes through these states.

    What an answer is made of is asked one after another: who the path names, which there are, how many. Each may be of a later state; a
    number that is kept was right before the others were asked for.
    """
    page = page_in(path)
    words = path.partition("?")[0].split("/")
    orders = itertools.combinations_with_replacement(states, 3)
    kinds = [each for one, two, three in orders for each in ((one, two, three), (two, three, one))]
    return [answer_from(words, page, viewer, *kind) for kind in kinds]


def answer_from(words: list[str], page: list[int], viewer: Viewer, first: State, last: State, counted: State) -> Answer:
    match words:
        case ["user", username, *rest]:
            user = first.user(username)
            return user_answer(first, user, viewer, show_tier=bool(rest)) if user else missing("User")
        case ["tier", name, *rest]:
            tier = first.tier(name)
            return tier_answer(tier, rest, last, counted) if tier else missing("Tier")
        case [username, *rest]:
            user = first.user(username)
            return posts_answer(user, rest, page, last, counted) if user else missing("User")
    raise ValueError(words)


def user_answer(state: State, user: UserRow, viewer: Viewer, *, show_tier: bool) -> Answer:
    if not show_tier:
        return 200, user.shown(viewer)
    tier = next((tier for tier in state.tiers if tier.given is user.tier), None)
    if tier is None:
        return missing("Tier")
    return 200, {**user.shown(viewer), "tier_name": tier.name, "tier_created_at": tier.given.created_at}


def posts_answer(user: UserRow, rest: list[str], page: list[int], last: State, counted: State) -> Answer:
    posts = [post.shown(user) for post in last.posts_of(user)]
    if rest == ["posts"]:
        return page_of(posts, page[0], page[1], len(counted.posts_of(user)))
    return next(((200, post) for post in posts if post["id"] == int(rest[1])), missing("Post"))


def tier_answer(tier: TierRow, rest: list[str], last: State, counted: State) -> Answer:
    limits = [limit.shown(tier) for limit in last.limits_of(tier)]
    match rest:
        case []:
            return 200, tier.shown()
        case ["rate_limits"]:
            return page_of(limits, 1, 10, len(counted.limits_of(tier)))
    return next(((200, limit) for limit in limits if limit["id"] == int(rest[1])), missing("Rate Limit"))


class History:
    """
    All states of one owner's rows, and how many of them a reader may no longer see.
    """

    def __init__(self) -> None:
        self.states = [State()]
        self.acknowledged = 0

    @property
    def now(self) -> State:
        return self.states[-1]

    @contextmanager
    def writing(self, state: State) -> Iterator[None]:
        """
        Send what makes this state, a changed copy of `now`; once the block ends it has been acknowledged.
        """
        self.states.append(state)
        yield
        self.acknowledged = len(self.states) - 1

    def changed(self) -> State:
        return copy.deepcopy(self.now)


@dataclass
class Read:
    """
    One read: what came, and for each owner whom it concerns the first and the last state that it may show.
    """

    path: str
    viewer: Viewer
    windows: list[tuple[History, int, int]]
    status: int
    body: Any
    where: str

    def problem(self) -> str:
        """
        Say what is wrong with the answer; empty where nothing is.
        """
        if is_common(self.path):
            return self._list_problem()
        ((history, first, last),) = self.windows
        allowed = answers(history.states[first : last + 1], self.path, self.viewer)
        return "" if (self.status, self.body) in allowed else f"{self}\nallowed: {allowed}"

    def __str__(self) -> str:
        return f"GET {self.path} as {self.viewer.name} from {self.where}: {self.status} {self.body}"

    def _list_problem(self) -> str:
        rows, count, (number, size) = self.body["data"], self.body["total_count"], page_in(self.path)
        # All rows are on the first page; any other that is asked for is past the end.
        if (self.status, self.body) != page_of(rows if number == 1 else [], number, size, count):
            return f"{self}\nis no list"
        known, fewest, most = set(), 0, 0
        for history, first, last in self.windows:
            ids = {row.given.id for state in history.states for row in self._rows(state)}
            allowed = [self._shown(state) for state in history.states[first : last + 1]]
            if number == 1 and [row for row in rows if row["id"] in ids] not in allowed:
                return f"{self}\nallowed of one owner: {allowed}"
            known |= ids
            fewest, most = fewest + min(map(len, allowed)), most + max(map(len, allowed))
        others = [row["username"] for row in rows if row["id"] not in known] if self._is_of_users else []
        # The one superuser is nobody's, and always there.
        is_right = others == ["admin"] if self._is_of_users and number == 1 else not others
        if not is_right or not fewest <= count - self._is_of_users <= most:
            return f"{self}\nunknown: {others}, allowed: {fewest} to {most}"
        return ""

    @property
    def _is_of_users(self) -> bool:
        return self.path.startswith("users")

    def _rows(self, state: State) -> list[Any]:
        return list(state.users if self._is_of_users else state.tiers)

    def _shown(self, state: State) -> list[dict[str, Any]]:
        users = [user.shown(self.viewer) for user in state.live_users()]
        shown = users if self._is_of_users else [tier.shown() for tier in state.tiers]
        return sorted(shown, key=lambda row: row["id"])
