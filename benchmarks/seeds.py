"""
Users and posts by COPY, and callers who are signed in over HTTP.

The users are `user1`, `user2` and so on; all have one password, hashed once.
"""

import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import requests
from psycopg import Connection, sql

from config.env import BASE_DIR

from .servers import CACHE, Servers

PASSWORD = "Str1ngst!"  # noqa: S105 - of users who live as long as the run
CALLERS = 16
TIER = 1
HASH = "from django.contrib.auth.hashers import make_password; print(make_password('{}'))"
USERS = "id name username email password profile_image_url is_active is_staff is_superuser is_email_verified tier_id created_at updated_at"
POSTS = "id author_id title text created_at updated_at"


def migrate(servers: Servers) -> str:
    """
    Create the tables and return the hash of everybody's password.
    """
    environment = {**servers.environment, "LOG_LEVEL": "ERROR"}
    output = ""
    for command in (["migrate", "--verbosity", "0"], ["shell", "--verbosity", "0", "--command", HASH.format(PASSWORD)]):
        process = subprocess.run(
            [sys.executable, "manage.py", *command], cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        output = process.stdout
    return output.strip()


def seed(servers: Servers, password_hash: str, *, users: int, authors: Iterable[int]) -> None:
    """
    Fill the emptied tables with so many users and a post for each of the authors' ids; `user1` to `user16` have a tier.
    """
    now = datetime.now(UTC)
    user_rows = (_user(number, password_hash, now) for number in range(1, users + 1))
    text = "The quick brown fox jumps over the lazy dog. " * 5
    post_rows = ((number, author, f"Post {number}", text, now, now) for number, author in enumerate(authors, 1))
    with servers.database() as connection:
        connection.execute("TRUNCATE accounts_user, posts_post, tasks_task, tiers_tier CASCADE")
        connection.execute("INSERT INTO tiers_tier (id, name, created_at, updated_at) VALUES (%s, 'pro', now(), now())", [TIER])
        connection.execute(
            'INSERT INTO tiers_ratelimit (tier_id, name, path, "limit", period, created_at, updated_at)'
            " VALUES (%s, 'tasks', 'api_v1_tasks_task', 2147483647, 3600, now(), now())",
            [TIER],
        )
        _copy(connection, "accounts_user", USERS, user_rows)
        _copy(connection, "posts_post", POSTS, post_rows)
        connection.execute("VACUUM ANALYZE accounts_user, posts_post")
    servers.redis(CACHE).flushall()


def _user(number: int, password_hash: str, now: datetime) -> tuple[Any, ...]:
    name, tier = f"user{number}", TIER if number <= CALLERS else None
    texts = (f"User {number}", name, f"{name}@example.com", password_hash, "https://profileimageurl.com")
    return (number, *texts, True, False, False, True, tier, now, now)


def _copy(connection: Connection[Any], table: str, columns: str, rows: Iterable[tuple[Any, ...]]) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, columns.split()))
    with connection.cursor() as cursor:
        with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)) as copy:
            for row in rows:
                copy.write_row(row)
        highest = sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), max(id)) FROM {}")
        cursor.execute(highest.format(sql.Literal(table), sql.Identifier(table)))


def log_in(url: str, number: int) -> str:
    """
    Return an access token of `user<number>`.
    """
    body = {"username": f"user{number}", "password": PASSWORD}
    response = requests.post(f"{url}/api/v1/login", json=body, headers={"X-Forwarded-Proto": "https"}, timeout=30)
    response.raise_for_status()
    return str(response.json()["access_token"])
