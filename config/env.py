"""
The typed environment: every variable that the project reads, its type, default and meaning.

Values come from the process environment, else from the file that `ENV_FILE` names (`.env`). In each a secret may stand in a file of its own,
which `NAME_FILE` names; `NAME` wins. A blank value means the default, unknown names are ignored. `load()` refuses with one message that lists
every problem.
"""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.rates import Rate

from .env_deployment import deployment_problems
from .env_files import read_files
from .env_keys import SECRET_KEY_COMMAND, key_problems
from .env_types import (
    BLANK,
    HTTPURL,
    Email,
    EmailURL,
    List,
    Networks,
    Origins,
    Port,
    PostgresURL,
    RateOrOff,
    RedisURL,
    Sender,
    TrustedOrigins,
    Username,
)

BASE_DIR = Path(__file__).resolve().parent.parent
LOCAL_DIR = BASE_DIR / ".local"

Services = Literal["postgres", "valkey"]


class ConfigurationError(SystemExit):
    """
    Raised while settings load; its text lists all problems. As a `SystemExit` it ends every entry point with status 1 and no traceback.
    """

    def __init__(self, environment: str, problems: dict[str, str]) -> None:
        lines = [f"Refusing to start (ENVIRONMENT={environment}):", *(f"  {name}: {text}" for name, text in problems.items())]
        super().__init__("\n".join(lines))


class Environment(BaseSettings):
    """
    One attribute a variable, in lower case; `description` and `group` feed `docs/configuration.md` and `.env.example`.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    # fmt: off
    environment: Literal["local", "staging", "production"] = Field("local", description="Where this runs. Everything but `local` refuses missing and insecure values.")
    app_name: str = Field("Django Boilerplate", description="Title of the API in its documentation, and of the admin.")
    app_description: str = Field("A Django REST API.", description="Description of the API in its documentation.")
    app_version: str = Field("0.1.0", description="Version of the API in its documentation.")
    contact_name: str = Field("", description="Whom the API's documentation names as contact.")
    contact_email: str = Field("", description="The contact's address in the API's documentation.")
    license_name: str = Field("MIT", description="License that the API's documentation names.")

    allowed_hosts: List = Field([], description="Host names that this site answers to, separated by commas. Local default: the loopback names. Required otherwise; `*` is refused.")
    csrf_trusted_origins: TrustedOrigins = Field([], description="Further origins (`https://app.example.com`, or `https://*.example.com` for all below a name) whose pages may use the admin's forms and the refresh cookie. Only `https://` outside local.")
    cors_allowed_origins: Origins = Field([], description="Origins (`https://app.example.com`) whose pages may call the API with the refresh cookie, by CORS; blank: none. `*` is refused. On another site they need `REFRESH_COOKIE_SAMESITE=None` too.")
    trusted_proxy_count: int = Field(0, ge=0, le=16, description="How many proxies in front of this site append to `X-Forwarded-For`. With 0 that header is not read.")
    trusted_proxy_networks: Networks = Field(["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"], description="Networks, separated by commas, of the proxies that `TRUSTED_PROXY_COUNT` counts. `X-Forwarded-…` of whoever connects from elsewhere is not read.")
    max_body_bytes: int = Field(1_048_576, ge=1024, description="Size in bytes over which a request body is refused with 413.")
    client_cache_max_age: int = Field(60, ge=0, description="Seconds for which clients and shared caches may keep public answers; 0 makes them ask each time.")
    metrics_networks: Networks = Field(["127.0.0.0/8", "::1/128"], description="Networks, separated by commas, from which `/metrics` is answered; 404 for others.")
    port: Port = Field(8000, description="Port on which `make run` and gunicorn listen.")
    web_concurrency: int | None = Field(None, ge=1, le=256, description="Number of gunicorn worker processes; blank: one for each CPU, as many as fit into the memory, of the machine or of its container.")
    web_threads: int = Field(24, ge=1, le=256, description="Requests that a gunicorn worker process serves at once. While passwords are hashed up to 16 of them wait for that.")
    web_servers: int = Field(1, ge=1, le=1000, description="How many gunicorns share the database; counted against its connections when one starts.")
    task_processes: int = Field(2, ge=0, le=1000, description="How many processes run tasks, those of all workers together; counted as well.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Lowest level of the log lines that are written.")

    log_file: str = Field("", description="File that the log is written to as well, rotated at 10 MB, five kept; blank: standard output only.")

    secret_key: SecretStr = Field(BLANK, description=f"Key of all signatures: at least 50 characters, made by `{SECRET_KEY_COMMAND}`. Local default: generated once under `.local/`. Required otherwise.")
    secret_key_fallbacks: SecretStr = Field(BLANK, description="Other secret keys, separated by commas: what they signed is good too. To rotate, name the next key here first, then make it `SECRET_KEY` and name the earlier one here.")
    algorithm: Literal["HS256", "HS384", "HS512", "RS256", "EdDSA"] = Field("HS256", description="How tokens are signed: `HS…` with `SECRET_KEY`, `RS256` and `EdDSA` with `JWT_PRIVATE_KEY`. To change it, name `SECRET_KEY` in `SECRET_KEY_FALLBACKS` for a while.")
    jwt_private_key: SecretStr = Field(BLANK, description="Private key as PEM: RSA of 2,048 bits or more for `RS256`, Ed25519 for `EdDSA`, which require it.")
    jwt_previous_public_keys: SecretStr = Field(BLANK, description="Other public keys as PEM, one after another: tokens that they verify are good too.")
    jwt_issuer: str = Field("django-boilerplate", description="Who issues the tokens (`iss`). A token of another issuer is refused, whoever signed it.")
    access_token_expire_minutes: int = Field(30, ge=1, le=1440, description="Minutes for which an access token lives.")
    refresh_token_expire_days: int = Field(7, ge=1, le=365, description="Days for which a session lives after its last refresh.")
    session_max_days: int = Field(90, ge=1, le=3650, description="Days after which a session ends, however often it was refreshed.")
    refresh_reuse_grace_seconds: int = Field(10, ge=0, le=300, description="Seconds in which a refresh token that was just rotated still gives the same successor.")
    auth_cache_seconds: int = Field(30, ge=0, le=300, description="Seconds for which an authentication may be answered by the cache where a process that ended a session could not reach Redis; 0: every request asks the database.")
    refresh_cookie_samesite: Literal["Lax", "Strict", "None"] = Field("Lax", description="`SameSite` of the refresh cookie; `None` forces `Secure`.")
    refresh_cookie_prefix: Literal["", "__Secure-"] = Field("", description="Put before the name of the refresh cookie; `__Secure-` forces `Secure`, and browsers hold to it.")
    password_hash_concurrency: int = Field(2, ge=1, le=64, description="Passwords that a process hashes at once, at 19 MiB each; the others wait, two seconds at most.")

    database_url: PostgresURL = Field(BLANK, description="PostgreSQL as `postgresql://user:password@host:5432/name`, without a password where the server asks for none (a socket, a certificate) or `.pgpass` has it; wins over `POSTGRES_*`. Local default: an embedded server. Required otherwise, or `POSTGRES_*`.")
    postgres_server: str = Field("", description="Host of PostgreSQL.")
    postgres_port: Port = Field(5432, description="Port of PostgreSQL.")
    postgres_user: str = Field("postgres", description="User of PostgreSQL.")
    postgres_password: SecretStr = Field(BLANK, description="Password of PostgreSQL. Required with `POSTGRES_SERVER` outside local.")
    postgres_db: str = Field("postgres", description="Name of the database.")

    database_statement_timeout: int = Field(30, ge=0, le=86_400, description="Seconds after which the database ends a statement; 0: never. Migrations are exempt.")
    database_lock_timeout: int = Field(10, ge=0, le=86_400, description="Seconds that a statement waits for a lock, in migrations too; 0: for ever.")
    database_idle_transaction_timeout: int = Field(60, ge=0, le=86_400, description="Seconds after which the database ends a transaction in which nothing happens; 0: never.")
    database_transaction_pooling: bool = Field(False, description="`true` where `DATABASE_URL` leads to PgBouncer in transaction mode: nothing is used that outlives a transaction. The timeouts above are then set by `ALTER ROLE`, and migrations need the server's own address.")
    backups_dir: str = Field("backups", description="Folder, from the project's on, where `make backup` keeps its files.")
    backups_keep: int = Field(7, ge=1, le=10_000, description="How many backups are kept; the oldest go first.")

    cache_enabled: bool = Field(True, description="`false` runs without the cache's Redis: every answer is read from the database.")
    cache_timeout_ms: int = Field(50, ge=1, le=10_000, description="Milliseconds after which the cache's Redis counts as away: answers are then read from the database.")
    redis_cache_url: RedisURL = Field(BLANK, description="Redis or Valkey of the cache, as `redis://host:6379/0`; wins over host and port. Local default: an embedded server. Required otherwise, or the host.")
    redis_cache_host: str = Field("", description="Host of the cache's Redis (database 0).")
    redis_cache_port: Port = Field(6379, description="Port of the cache's Redis.")
    rate_limit_enabled: bool = Field(True, description="`false` runs without limits by tier; the guards on login and registration stay, counted in each process.")
    redis_rate_limit_url: RedisURL = Field(BLANK, description="Redis or Valkey of the limits; wins over host and port. Local default: an embedded server. Required otherwise, or the host.")
    redis_rate_limit_host: str = Field("", description="Host of the limits' Redis (database 1).")
    redis_rate_limit_port: Port = Field(6379, description="Port of the limits' Redis.")
    queue_enabled: bool = Field(True, description="`false` runs without the broker: the task endpoints answer 503, and mails are sent in the process.")
    redis_queue_url: RedisURL = Field(BLANK, description="Redis or Valkey of the broker; wins over host and port. Local default: an embedded server. Required otherwise, or the host.")
    redis_queue_host: str = Field("", description="Host of the broker's Redis (database 2).")
    redis_queue_port: Port = Field(6379, description="Port of the broker's Redis.")
    task_record_days: int = Field(30, ge=1, le=3650, description="Days after which the record of a finished task is removed.")

    default_rate_limit_limit: int = Field(10, ge=0, le=2_147_483_647, description="Calls that the default limit admits in a period.")
    default_rate_limit_period: int = Field(3600, ge=1, le=31_536_000, description="Period of the default limit in seconds.")
    login_rate_limit: RateOrOff = Field(Rate(60, 60), description="Login attempts from one address, as `<calls>/<seconds>`; `0` is off.")
    login_failure_limit: int = Field(5, ge=0, le=1000, description="Wrong passwords for one name, from wherever, that cost nothing; each further one doubles the seconds, up to 60, for which the name is refused. `0` is off, whatever `LOGIN_RATE_LIMIT` says.")
    registration_rate_limit: RateOrOff = Field(Rate(100, 3600), description="Registrations from one address, as `<calls>/<seconds>`; `0` is off.")

    email_url: EmailURL = Field(BLANK, description="Mail server, as `smtp://user:password@host:587?tls=true` or `smtps://…`. Local default: mails are shown on the console. Blank otherwise: mails fail, and say so in their task.")
    default_from_email: Sender = Field("", description="Sender of the mails, such as `Example <no-reply@example.com>`. Required with `EMAIL_URL`.")
    frontend_url: HTTPURL = Field("", description="Address of the pages that links in mails lead to: `/reset-password?token=…` and `/verify-email?token=…` below it. Blank: mails show the token itself.")
    require_verified_email: bool = Field(False, description="`true` refuses the login of users who have not verified their e-mail address, and sends new users a mail for that.")

    admin_name: str = Field("Admin", min_length=2, max_length=30, description="Name of the first superuser.")
    admin_email: Email = Field("admin@example.com", description="E-mail address of the first superuser.")
    admin_username: Username = Field("admin", description="Username of the first superuser: 2 to 20 characters out of a-z and 0-9.")
    admin_password: SecretStr = Field(BLANK, description="Password of the first superuser: 8 to 128 characters, neither common, nor like its names, nor only digits. Local default: generated and shown once. Required by `create_first_superuser` otherwise.")
    tier_name: str = Field("free", min_length=1, max_length=64, pattern=r"^[^/]+$", description="Name of the tier that `create_first_tier` creates.")
    default_tier: str = Field("", description="Name of the tier that a new user gets; blank: none.")
    # fmt: on

    @model_validator(mode="before")
    @classmethod
    def drop_blank(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if not isinstance(value, str) or value.strip()}

    @property
    def is_local(self) -> bool:
        return self.environment == "local"

    @property
    def fallback_keys(self) -> list[str]:
        return [key.strip() for key in self.secret_key_fallbacks.get_secret_value().split(",") if key.strip()]

    @property
    def has_database_server(self) -> bool:
        return bool(self.database_url.get_secret_value() or self.postgres_server)

    def redis_server(self, service: Literal["cache", "rate_limit", "queue"]) -> str:
        """
        Return the URL of a service's Redis, or an empty string where none is named.
        """
        url: SecretStr = getattr(self, f"redis_{service}_url")
        host: str = getattr(self, f"redis_{service}_host")
        if url.get_secret_value() or not host:
            return url.get_secret_value()
        database = {"cache": 0, "rate_limit": 1, "queue": 2}[service]
        return f"redis://{host}:{getattr(self, f'redis_{service}_port')}/{database}"

    def database_conninfo(self) -> dict[str, Any]:
        """
        Return what libpq needs to connect to the named server; meaningless where none is named.
        """
        url = self.database_url.get_secret_value()
        if not url:
            password = quote(self.postgres_password.get_secret_value(), safe="")
            url = f"postgresql://{quote(self.postgres_user, safe='')}:{password}@{self.postgres_server}:{self.postgres_port}/{quote(self.postgres_db, safe='')}"
        return dict(conninfo_to_dict(url))

    @property
    def embedded_services(self) -> tuple[Services, ...]:
        """
        Name the servers that local mode has to start, because neither a URL nor a host says where they are.
        """
        if not self.is_local:
            return ()
        needs_valkey = any(
            getattr(self, f"{service}_enabled") and not self.redis_server(service) for service in ("cache", "rate_limit", "queue")
        )
        return (*(() if self.has_database_server else ("postgres",)), *(("valkey",) if needs_valkey else ()))


def load() -> Environment:
    """
    Read the environment, or raise `ConfigurationError` that names every problem.
    """
    fields = Environment.model_fields
    secret_names = [name.upper() for name, field in fields.items() if field.annotation is SecretStr]
    found, problems = read_files(os.environ.get("ENV_FILE"), os.environ, secret_names, BASE_DIR)
    values: dict[str, Any] = {name: value for name, value in found.items() if name in fields}
    try:
        env = Environment(**values)
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False):
            name = str(error["loc"][0])
            problems[name.upper()] = f"{error['msg'].removeprefix('Value error, ')}. {fields[name].description}"
        # Read once more without what is wrong, so that what is missing besides is told in the same breath.
        defaults = {name: field.get_default() for name, field in fields.items() if name.upper() in problems}
        env = Environment(**{**values, **defaults})
    for name, text in key_problems(env):
        problems.setdefault(name, text)
    if not env.is_local or "ENVIRONMENT" in problems:
        for name, text in deployment_problems(env):
            problems.setdefault(name, text)
    if problems:
        raise ConfigurationError("invalid" if "ENVIRONMENT" in problems else env.environment, problems)
    return env


def local_secret_key() -> str:
    """
    Return this checkout's own secret key, made by whoever asks first; sessions so survive a restart.
    """
    path = LOCAL_DIR / "secret_key"
    LOCAL_DIR.mkdir(exist_ok=True)
    if not path.exists():
        # A link appears whole or not at all, so that processes that start together agree on one key.
        with tempfile.NamedTemporaryFile("w", dir=LOCAL_DIR) as draft:
            draft.write(secrets.token_urlsafe(50))
            draft.flush()
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
    return path.read_text()
