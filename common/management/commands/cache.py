from argparse import ArgumentParser
from collections import defaultdict
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError
from redis import Redis
from redis.exceptions import RedisError

from common.cache import invalidate
from common.cache_redis import connection
from common.models import PendingInvalidation


class Command(BaseCommand):
    help = "Show what the cache holds, or invalidate answers by prefix."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("stats", help="entries and versions by group, memory, and what is still to be invalidated")
        actions.add_parser("invalidate", help="have answers computed anew").add_argument("prefix", nargs="+", help="such as users:alice:*")

    def handle(self, *_: Any, action: str, **options: Any) -> None:
        redis = connection()
        if redis is None:
            self.stdout.write("The cache is off (CACHE_ENABLED=false).")
        elif action == "stats":
            self.show(redis)
        else:
            self.invalidate(options["prefix"])

    def invalidate(self, prefixes: list[str]) -> None:
        try:
            invalidate(*prefixes)
        except ValueError as exc:
            raise CommandError(str(exc)) from None
        pending = PendingInvalidation.objects.filter(prefix__in=[prefix.removesuffix(":*") for prefix in prefixes]).count()
        said = "Redis is away; to be invalidated once it is back" if pending else "Invalidated"
        self.stdout.write(f"{said}: {', '.join(prefixes)}")

    def show(self, redis: Redis) -> None:
        try:
            info: dict[str, Any] = redis.info()
            groups = _count(redis)
        except RedisError as exc:
            raise CommandError(f"Redis of the cache is away: {exc}") from None
        limit = info.get("maxmemory_human") if info.get("maxmemory") else "no limit"
        self.stdout.write(f"Redis is up ({info.get('redis_version')}), {info.get('used_memory_human')} of memory used, {limit}.")
        self.stdout.write(
            f"Keys found by the server since it started: {info.get('keyspace_hits')}, not found: {info.get('keyspace_misses')}."
        )
        self.stdout.write(f"Still to be invalidated: {PendingInvalidation.objects.count()}.")
        for group, (entries, versions) in sorted(groups.items()):
            self.stdout.write(f"{group}: {entries} entries, {versions} versions")


def _count(redis: Redis) -> dict[str, list[int]]:
    groups: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for key in redis.scan_iter(count=1000):
        kind, _, rest = cast("bytes", key).decode(errors="replace").partition(":")
        if kind in ("entry", "version"):
            groups[rest.partition(":")[0]][kind == "version"] += 1
    return groups
