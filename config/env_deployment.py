"""
What is missing or insecure anywhere but in local mode.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .env_keys import SAMPLE_VALUES, secret_key_problem

if TYPE_CHECKING:
    from .env import Environment


def deployment_problems(env: "Environment") -> Iterator[tuple[str, str]]:
    """
    Yield each variable and what is wrong with it.
    """
    if problem := secret_key_problem(env.secret_key.get_secret_value()):
        yield "SECRET_KEY", problem
    if not env.allowed_hosts:
        yield "ALLOWED_HOSTS", "is not set. Name the hosts that this site answers to, such as api.example.com."
    elif "*" in env.allowed_hosts:
        yield "ALLOWED_HOSTS", "must not contain *. Name the hosts that this site answers to."
    if unsafe := [origin for origin in env.cors_allowed_origins if not origin.startswith("https://")]:
        yield "CORS_ALLOWED_ORIGINS", f"holds {', '.join(unsafe)}. Only https:// is safe for the refresh cookie."
    yield from _server_problems(env)
    if env.email_url.get_secret_value() and not env.default_from_email:
        yield "DEFAULT_FROM_EMAIL", "is not set. Name the sender of the mails, such as Example <no-reply@example.com>."
    if env.require_verified_email and not env.email_url.get_secret_value():
        yield "EMAIL_URL", "is not set, but REQUIRE_VERIFIED_EMAIL is on: nobody could verify an address. Name a mail server."
    password = env.admin_password.get_secret_value()
    # `create_first_superuser` asks for more, but Django's validators cannot be asked before there are settings.
    if password in SAMPLE_VALUES or (password and not 8 <= len(password) <= 128):
        yield "ADMIN_PASSWORD", "is a sample value, or not of 8 to 128 characters. Choose another, or unset it where the superuser exists."


def _server_problems(env: "Environment") -> Iterator[tuple[str, str]]:
    if not env.has_database_server:
        yield "DATABASE_URL", "is not set, nor is POSTGRES_SERVER. Name a PostgreSQL, such as postgresql://user:password@host:5432/name."
    elif not env.database_url.get_secret_value():
        if env.postgres_server in SAMPLE_VALUES:
            yield "POSTGRES_SERVER", "is a sample value. Name the host of PostgreSQL."
        if env.postgres_password.get_secret_value() in SAMPLE_VALUES | {""}:
            yield "POSTGRES_PASSWORD", "is not set or a sample value. Set the password of POSTGRES_USER."
    elif env.database_conninfo().get("password") in SAMPLE_VALUES:
        yield "DATABASE_URL", "holds a sample password. Set the real one."
    for service in ("cache", "rate_limit", "queue"):
        if getattr(env, f"{service}_enabled") and not env.redis_server(service):
            name = service.upper()
            yield (
                f"REDIS_{name}_URL",
                f"is not set, nor is REDIS_{name}_HOST. Name a Redis, such as redis://host:6379/0, or set {name}_ENABLED=false.",
            )
