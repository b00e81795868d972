"""
What is wrong with the keys that sign.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from common.signing_keys import private_key, public_keys

if TYPE_CHECKING:
    from .env import Environment

SAMPLE_VALUES = {"changethis", "change-me", "your_password", "your_postgres_user", "your_server", "your_host", "your_db"}
SECRET_KEY_COMMAND = 'python -c "import secrets; print(secrets.token_urlsafe(50))"'  # noqa: S105 - how to make one
KEY_FILE_COMMANDS = {
    "RS256": "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out jwt.pem",
    "EdDSA": "openssl genpkey -algorithm ed25519 -out jwt.pem",
}


def secret_key_problem(value: str) -> str:
    """
    Say what makes a secret key insecure, by the rule of Django's own deployment check (`security.W009`); blank if nothing does.
    """
    if not value:
        return f"is not set. Generate one with: {SECRET_KEY_COMMAND}"
    if len(value) < 50 or len(set(value)) < 5 or value.startswith("django-insecure-") or value in SAMPLE_VALUES:
        return f"is too short, repetitive or a sample; it needs 50 characters or more. Generate one with: {SECRET_KEY_COMMAND}"
    return ""


def key_problems(env: "Environment") -> Iterator[tuple[str, str]]:
    """
    Yield each variable and what is wrong with it; in local mode only that without which nothing can be signed.
    """
    if command := KEY_FILE_COMMANDS.get(env.algorithm):
        advice = f"Make one with: {command} (and name it by JWT_PRIVATE_KEY_FILE)"
        pem = env.jwt_private_key.get_secret_value()
        if not pem:
            yield "JWT_PRIVATE_KEY", f"is not set; ALGORITHM={env.algorithm} signs with it. {advice}"
        elif problem := _private_key_problem(pem, env.algorithm):
            yield "JWT_PRIVATE_KEY", f"{problem}. {advice}"
    try:
        public_keys(env.jwt_previous_public_keys.get_secret_value())
    except ValueError as exc:
        yield "JWT_PREVIOUS_PUBLIC_KEYS", f"{exc}. Give RSA or Ed25519 public keys as PEM, one after another."
    for number, key in enumerate(env.fallback_keys, 1):
        if not env.is_local and (problem := secret_key_problem(key)):
            yield "SECRET_KEY_FALLBACKS", f"holds a key (number {number}) that {problem}"


def _private_key_problem(pem: str, algorithm: str) -> str:
    try:
        _, public = private_key(pem)
    except ValueError as exc:
        return str(exc)
    return "" if public.algorithm == algorithm else f"is a key for {public.algorithm}, not for {algorithm}"
