"""
Any one key of the cache may be lost at any time, and every answer stays right.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction
from redis import Redis
from rest_framework.test import APIClient

from common.tests.concurrency import in_background

from ..models import Post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def redis() -> Iterator[Redis]:
    redis = Redis.from_url(os.environ["REDIS_CACHE_URL"])
    yield redis
    redis.close()


class Story:
    """
    Two writes over HTTP, each read before and after in two ways, and a key that is lost before one of the steps.
    """

    def __init__(self, anybody: APIClient, owner: APIClient, post: Post, lose: Callable[[int], object]) -> None:
        self.path = f"/api/v1/alice/post/{post.pk}"
        self.anybody, self.owner, self.lose = anybody, owner, lose
        self.step = 0

    def tell(self) -> list[list[str]]:
        return [self.write("Old"), self.read(), self.read(), self.write("New"), self.read(), self.read()]

    def write(self, title: str) -> list[str]:
        self._next()
        return [self.owner.patch(self.path, {"title": title}).json()["message"]]

    def read(self) -> list[str]:
        self._next()
        one, many = self.anybody.get(self.path).json(), self.anybody.get("/api/v1/alice/posts").json()
        return [one["title"], many["data"][0]["title"]]

    def _next(self) -> None:
        self.lose(self.step)
        self.step += 1


def test_any_key_may_be_lost_before_any_step(client: APIClient, client_for: Callable[[Any], APIClient], redis: Redis, post: Post) -> None:
    owner = client_for(post.author)
    keys: set[Any] = set()
    right = Story(client, owner, post, lambda _: keys.update(redis.keys("*"))).tell()
    keys.update(redis.keys("*"))

    told = {
        (key, lost): Story(client, owner, post, lambda step, key=key, lost=lost: step == lost and redis.delete(key)).tell()  # type: ignore[misc]
        for key, lost in itertools.product(keys, range(6))
    }

    assert right == [["Post updated"], ["Old"] * 2, ["Old"] * 2, ["Post updated"], ["New"] * 2, ["New"] * 2]
    assert len(keys) >= 6
    assert {case: answers for case, answers in told.items() if answers != right} == {}


@pytest.mark.parametrize("moment", ["before the write", "marked", "committed"])
def test_any_key_may_be_lost_during_a_write(client: APIClient, redis: Redis, post: Post, moment: str) -> None:
    path = f"/api/v1/alice/post/{post.pk}"
    client.get(path)
    keys = sorted(redis.keys("*"))
    titles = []

    for number, key in enumerate(keys):
        lose = {moment: key}
        client.get(path)
        redis.delete(lose.get("before the write", "none"))
        with transaction.atomic():
            # Runs after the commit and before what the write itself registers: its invalidation is still to come.
            transaction.on_commit(lambda lose=lose: [redis.delete(lose.get("committed", "none")), client.get(path)])  # type: ignore[misc]
            post.title = f"Title {number}"
            post.save()
            redis.delete(lose.get("marked", "none"))
            with in_background(lambda: client.get(path)) as early:
                early.result(30)
        titles.append(client.get(path).json()["title"])

    assert titles == [f"Title {number}" for number in range(len(keys))]
