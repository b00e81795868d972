"""
What is missing or insecure anywhere but in local mode.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from .env_keys import SAMPLE_VALUES, secret_key_problem
from .env_types import mail_server

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
    for name, origins in (("CORS_ALLOWED_ORIGINS", env.cors_allowed_origins), ("CSRF_TRUSTED_ORIGINS", env.csrf_trusted_origins)):
        if unsafe := [origin for origin in origins if not origin.startswith("https://")]:
            yield name, f"holds {', '.join(unsafe)}. Only https:// is safe for the refresh cookie."
    yield from _server_problems(env)
    mail = mail_server(env.email_url.get_secret_value())
    if found := _samples(host=mail.host, user=mail.user, password=mail.password):
        yield "EMAIL_URL", found
    if mail.host and not env.default_from_email:
        yield "DEFAULT_FROM_EMAIL", "is not set. Name the sender of the mails, such as Example <no-reply@example.com>."
    if env.require_verified_email and not mail.host:
        yield "EMAIL_URL", "is not set, but REQUIRE_VERIFIED_EMAIL is on: nobody could verify an address. Name a mail server."
    password = env.admin_password.get_secret_value()
    # `create_first_superuser` asks for more, but Django's validators cannot be asked before there are settings.
    if password in SAMPLE_VALUES or (password and not 8 <= len(password) <= 128):
        yield "ADMIN_PASSWORD", "is a sample value, or not of 8 to 128 characters. Choose another, or unset it where the superuser exists."


def _server_problems(env: "Environment") -> Iterator[tuple[str, str]]:
    if not env.has_database_server:
        yield "DATABASE_URL", "is not set, nor is POSTGRES_SERVER. Name a PostgreSQL, such as postgresql://user:password@host:5432/name."
    elif env.database_url.get_secret_value():
        # A password may be missing: servers ask for none on a socket or for a certificate, and libpq has files of its own.
        parts = env.database_conninfo()
        if found := _samples(host=parts.get("host"), user=parts.get("user"), password=parts.get("password"), name=parts.get("dbname")):
            yield "DATABASE_URL", found
    else:
        for name in ("postgres_server", "postgres_user", "postgres_db"):
            if getattr(env, name) in SAMPLE_VALUES:
                yield name.upper(), "is a sample value. Name what PostgreSQL really has."
        if env.postgres_password.get_secret_value() in SAMPLE_VALUES | {""}:
            yield "POSTGRES_PASSWORD", "is not set or a sample value. Set the password of POSTGRES_USER."
    for service in ("cache", "rate_limit", "queue"):
        if getattr(env, f"{service}_enabled"):
            yield from _redis_problems(env, service)


def _redis_problems(env: "Environment", service: Literal["cache", "rate_limit", "queue"]) -> Iterator[tuple[str, str]]:
    name, url = service.upper(), urlsplit(env.redis_server(service))
    if not url.scheme:
        text = f"is not set, nor is REDIS_{name}_HOST. Name a Redis, such as redis://host:6379/0, or set {name}_ENABLED=false."
        yield f"REDIS_{name}_URL", text
    elif getattr(env, f"redis_{service}_url").get_secret_value():
        if found := _samples(host=url.hostname, user=url.username, password=url.password):
            yield f"REDIS_{name}_URL", found
    elif getattr(env, f"redis_{service}_host") in SAMPLE_VALUES:
        yield f"REDIS_{name}_HOST", "is a sample value. Name the host of a Redis."


def _samples(**parts: str | None) -> str:
    found = [part for part, value in parts.items() if SAMPLE_VALUES & set((value or "").split(","))]
    return f"holds a sample {', '.join(found)}. Put in what is real." if found else ""
