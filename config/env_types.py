"""
The types of the environment's values, and what is wrong with one that does not fit.
"""

import ipaddress
import re
from email.utils import parseaddr
from typing import Annotated, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ProgrammingError
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from common.rates import Rate

ORIGIN = r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?"


def _split(value: object) -> object:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _networks(value: list[str]) -> list[str]:
    for network in value:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError(f"has {network!r}, which is no network; one reads 10.0.0.0/8") from None
    return value


def _rate(value: object) -> object:
    if value is None or isinstance(value, Rate):
        return value
    if value == "0":
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,7})", str(value))
    if not match:
        raise ValueError("must read <calls>/<seconds>, such as 20/60, or 0 to switch it off")
    return Rate(int(match[1]), int(match[2]))


def _postgres_url(value: SecretStr) -> SecretStr:
    scheme = urlsplit(value.get_secret_value()).scheme
    if scheme and scheme not in ("postgres", "postgresql"):
        raise ValueError("must be a PostgreSQL URL, such as postgresql://user:password@host:5432/name")
    try:
        parameters = conninfo_to_dict(value.get_secret_value())
    except ProgrammingError:
        raise ValueError("cannot be read; it reads postgresql://user:password@host:5432/name") from None
    # One for each host, which may be blank.
    for port in str(parameters.get("port") or "").split(","):
        if port and not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
            raise ValueError("has a port that is none; one is a number from 1 to 65535")
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if url and not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must start with redis://, rediss:// or unix://")
    try:
        _ = urlsplit(url).port
    except ValueError:
        # Without the original text, which may repeat a part of the password.
        raise ValueError("has a port that is none, or a password in which / ? # or @ is not written as %2F %3F %23 or %40") from None
    return value


class MailServer(NamedTuple):
    host: str = ""
    port: int = 25
    user: str = ""
    password: str = ""
    use_ssl: bool = False
    use_tls: bool = False


def mail_server(url: str) -> MailServer:
    """
    Read `smtp://user:password@host:587?tls=true` or `smtps://…`; raises `ValueError` for anything else. Blank: no server.
    """
    if not url:
        return MailServer()
    parts = urlsplit(url)
    options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    is_encrypted, tls = parts.scheme == "smtps", options.pop("tls", ["false"])
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or parts.fragment or options:
        raise ValueError("This is no URL of a mail server.")
    if tls not in (["true"], ["false"]) or (is_encrypted and tls == ["true"]):
        raise ValueError("Give either smtps:// or tls=true.")
    port = parts.port or (465 if is_encrypted else 587 if tls == ["true"] else 25)
    return MailServer(parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or ""), is_encrypted, tls == ["true"])


def _email_url(value: SecretStr) -> SecretStr:
    try:
        mail_server(value.get_secret_value())
    except ValueError:
        raise ValueError("must read smtp://user:password@host:587?tls=true or smtps://user:password@host:465") from None
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError("must be a URL such as https://app.example.com")
    return value.rstrip("/")


def _sender(value: str) -> str:
    if value:
        _email(parseaddr(value)[1])
    return value


def _origins(values: list[str]) -> list[str]:
    for value in values:
        if not re.fullmatch(ORIGIN, value):
            raise ValueError(f"must list origins such as https://app.example.com, with neither path nor *; {value!r} is none")
    return values


def _trusted_origins(values: list[str]) -> list[str]:
    for value in values:
        if not re.fullmatch(ORIGIN, value.replace("://*.", "://", 1)):
            raise ValueError(
                f"must list origins such as https://app.example.com or https://*.example.com, without a path; {value!r} is none"
            )
    return values


def _username(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]{2,20}", value):
        raise ValueError("must be 2 to 20 characters out of a-z and 0-9")
    return value


def _email(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+|[^@\s]+@localhost", value):
        raise ValueError("must be an e-mail address")
    return value


Networks = Annotated[list[str], NoDecode, BeforeValidator(_split), AfterValidator(_networks)]
List = Annotated[list[str], NoDecode, BeforeValidator(_split)]
Origins = Annotated[list[str], NoDecode, BeforeValidator(_split), AfterValidator(_origins)]
TrustedOrigins = Annotated[list[str], NoDecode, BeforeValidator(_split), AfterValidator(_trusted_origins)]
RateOrOff = Annotated[Rate | None, NoDecode, BeforeValidator(_rate)]
PostgresURL = Annotated[SecretStr, AfterValidator(_postgres_url)]
RedisURL = Annotated[SecretStr, AfterValidator(_redis_url)]
EmailURL = Annotated[SecretStr, AfterValidator(_email_url)]
HTTPURL = Annotated[str, AfterValidator(_http_url)]
Sender = Annotated[str, AfterValidator(_sender)]
Port = Annotated[int, Field(ge=1, le=65535)]
Username = Annotated[str, AfterValidator(_username)]
Email = Annotated[str, AfterValidator(_email)]
BLANK = SecretStr("")
