"""
What stops the project before it serves anything. Each case is a child interpreter with an environment of its own.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import BASE_DIR

from .interpreters import bare_environment, python

SECRET = "0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMN"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": SECRET,
    "ALLOWED_HOSTS": "api.example.com",
    "DATABASE_URL": "postgresql://app:a-real-password@db.example.com:5432/app",
    "REDIS_CACHE_URL": "redis://redis.example.com:6379/0",
    "REDIS_RATE_LIMIT_URL": "redis://redis.example.com:6379/1",
    "REDIS_QUEUE_URL": "redis://redis.example.com:6379/2",
}
ORIGINAL_SAMPLE = """
# ------------- app settings -------------
APP_NAME="Your app name here"
APP_DESCRIPTION="Your app description here"
APP_VERSION="0.1"
CONTACT_NAME="Your name"
CONTACT_EMAIL="Your email"
LICENSE_NAME="The license you picked"
POSTGRES_USER="your_postgres_user"
POSTGRES_PASSWORD="your_password"
POSTGRES_SERVER="your_server" # default "localhost", if using docker compose you should use "db"
POSTGRES_PORT=5432 # default "5432", if using docker compose you should use "5432"
POSTGRES_DB="your_db"
PGADMIN_DEFAULT_EMAIL="your_email_address"
PGADMIN_DEFAULT_PASSWORD="your_password"
PGADMIN_LISTEN_PORT=80
SECRET_KEY= # result of openssl rand -hex 32
ALGORITHM= # pick an algorithm, default HS256
ACCESS_TOKEN_EXPIRE_MINUTES= # minutes until token expires, default 30
REFRESH_TOKEN_EXPIRE_DAYS= # days until token expires, default 7
ADMIN_NAME="your_name"
ADMIN_EMAIL="your_email"
ADMIN_USERNAME="your_username"
ADMIN_PASSWORD="your_password"
REDIS_CACHE_HOST="your_host" # default "localhost", if using docker compose you should use "redis"
REDIS_CACHE_PORT=6379 # default "6379", if using docker compose you should use "6379"
CLIENT_CACHE_MAX_AGE=30 # default "30"
REDIS_QUEUE_HOST="your_host" # default "localhost", if using docker compose you should use "redis"
REDIS_QUEUE_PORT=6379 # default "6379", if using docker compose you should use "6379"
TIER_NAME="free"
REDIS_RATE_LIMIT_HOST="localhost"   # default="localhost", if using docker compose you should use "redis"
REDIS_RATE_LIMIT_PORT=6379          # default=6379, if using docker compose you should use "6379"
DEFAULT_RATE_LIMIT_LIMIT=10         # default=10
DEFAULT_RATE_LIMIT_PERIOD=3600      # default=3600
TEST_NAME="Tester User"
TEST_EMAIL="test@tester.com"
TEST_USERNAME="testeruser"
TEST_PASSWORD="Str1ng$t"
ENVIRONMENT="local"
"""
SHOW = "from config.env import load; env = load(); print(({expression}))"


def run(command: list[str], **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = bare_environment(**variables)
    return subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=60, check=False)


def show(expression: str, **variables: str) -> str:
    result = python(SHOW.format(expression=expression), **variables)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def refusal(**variables: str) -> str:
    result = python("import config.settings", **variables)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    return result.stderr


class TestLocal:
    def test_nothing_has_to_be_set(self) -> None:
        assert show("env.environment, env.embedded_services") == "('local', ('postgres', 'valkey'))"

    def test_blank_means_default(self) -> None:
        assert show("env.access_token_expire_minutes, env.algorithm", ACCESS_TOKEN_EXPIRE_MINUTES="", ALGORITHM="  ") == "(30, 'HS256')"

    def test_unknown_names_are_ignored(self) -> None:
        assert show("env.app_name", PGADMIN_LISTEN_PORT="80", SOMETHING_ELSE="x") == "Django Boilerplate"

    def test_a_named_server_is_not_started(self) -> None:
        assert show("env.embedded_services", POSTGRES_SERVER="localhost") == "('valkey',)"

    def test_a_service_that_is_off_needs_no_server(self) -> None:
        off = {f"{service}_ENABLED": "false" for service in ("CACHE", "RATE_LIMIT", "QUEUE")}

        assert show("env.embedded_services", **off) == "('postgres',)"

    def test_host_and_port_make_a_url_with_a_database_of_its_own(self) -> None:
        assert show("env.redis_server('queue')", REDIS_QUEUE_HOST="redis", REDIS_QUEUE_PORT="6380") == "redis://redis:6380/2"

    def test_postgres_names_make_a_connection(self) -> None:
        names = {
            "POSTGRES_SERVER": "db",
            "POSTGRES_USER": "u",
            "POSTGRES_PASSWORD": "p@ss/word",
            "POSTGRES_DB": "d",
            "POSTGRES_PORT": "5433",
        }

        shown = show("sorted(env.database_conninfo().items())", **names)

        assert shown == "[('dbname', 'd'), ('host', 'db'), ('password', 'p@ss/word'), ('port', '5433'), ('user', 'u')]"

    def test_a_secret_is_read_from_the_file_that_its_name_with_file_names(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(f"{SECRET}\n", encoding="utf-8")

        assert show("env.secret_key.get_secret_value()", SECRET_KEY_FILE=str(tmp_path / "key")) == SECRET

    def test_the_process_environment_wins_over_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "env").write_text("APP_NAME=From the file\nTIER_NAME=gold\n", encoding="utf-8")

        shown = show("env.app_name, env.tier_name", ENV_FILE=str(tmp_path / "env"), APP_NAME="From the process")

        assert shown == "('From the process', 'gold')"

    def test_importing_settings_starts_nothing_and_opens_no_connection(self) -> None:
        code = "import sys, config.settings; print('psycopg_pool' in sys.modules, config.embedded.held_lock())"

        assert run([sys.executable, "-c", code]).stdout.strip() == "False None"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("ENVIRONMENT", "prod", "'local', 'staging' or 'production'"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "soon", "valid integer"),
        ("POSTGRES_PORT", "70000", "less than or equal to 65535"),
        ("DATABASE_URL", "mysql://x/y", "must be a PostgreSQL URL"),
        ("DATABASE_URL", "postgresql://app:a@db:99999/app", "has a port that is none"),
        ("DATABASE_URL", "postgresql://app:a@db:0/app", "has a port that is none"),
        ("DATABASE_URL", "postgresql://app:a@db:5432,other:543x/app", "has a port that is none"),
        ("REDIS_CACHE_URL", "http://x", "must start with redis://"),
        ("REDIS_CACHE_URL", "localhost", "must start with redis://"),
        ("REDIS_QUEUE_URL", "localhost:6379", "must start with redis://"),
        ("REDIS_RATE_LIMIT_URL", "redis://redis:99999/1", "has a port that is none"),
        ("CSRF_TRUSTED_ORIGINS", "app.example.com", "must list origins"),
        ("CSRF_TRUSTED_ORIGINS", "https://app.example.com,https://*", "'https://*' is none"),
        ("CSRF_TRUSTED_ORIGINS", "https://*.", "must list origins"),
        ("CSRF_TRUSTED_ORIGINS", "https://app.example.com/", "must list origins"),
        ("LOGIN_RATE_LIMIT", "many", "<calls>/<seconds>"),
        ("ADMIN_USERNAME", "your_username", "2 to 20 characters out of a-z and 0-9"),
        ("ADMIN_EMAIL", "your_email", "must be an e-mail address"),
        ("CACHE_ENABLED", "perhaps", "valid boolean"),
        ("SECRET_KEY_FILE", "/nowhere/key", "cannot be read"),
    ],
)
def test_a_value_that_does_not_parse_is_refused_by_name(name: str, value: str, text: str) -> None:
    message = refusal(**{name: value})

    assert f"  {name}: " in message
    assert text in message


class TestProduction:
    def test_starts_with_all_that_is_required(self) -> None:
        assert python("import config.settings", **PRODUCTION).returncode == 0

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SECRET_KEY", ""),
            ("SECRET_KEY", "short"),
            ("SECRET_KEY", "a" * 60),
            ("SECRET_KEY", "django-insecure-0123456789-abcdefghijklmnopqrstuvwxyz-ABC"),
            ("ALLOWED_HOSTS", ""),
            ("ALLOWED_HOSTS", "*"),
            ("ALLOWED_HOSTS", "api.example.com,*"),
            ("DATABASE_URL", ""),
            ("CSRF_TRUSTED_ORIGINS", "http://app.example.com"),
            ("CSRF_TRUSTED_ORIGINS", "https://app.example.com,http://*.example.com"),
            ("DATABASE_URL", "postgresql://app:your_password@db/app"),
            ("DATABASE_URL", "postgresql://your_postgres_user:real@db/app"),
            ("DATABASE_URL", "postgresql://app:real@your_server/app"),
            ("DATABASE_URL", "postgresql://app:real@db,your_server/app"),
            ("DATABASE_URL", "postgresql://app:real@db/your_db"),
            ("REDIS_CACHE_URL", ""),
            ("REDIS_CACHE_URL", "redis://your_host:6379/0"),
            ("REDIS_CACHE_URL", "redis://:your_password@redis:6379/0"),
            ("REDIS_RATE_LIMIT_URL", ""),
            ("REDIS_QUEUE_URL", ""),
            ("ADMIN_PASSWORD", "your_password"),
            ("ADMIN_PASSWORD", "7 chars"),
            ("ADMIN_PASSWORD", "x" * 129),
        ],
    )
    @pytest.mark.parametrize("environment", ["staging", "production"])
    def test_refuses_what_is_missing_or_insecure_by_name(self, environment: str, name: str, value: str) -> None:
        message = refusal(**{**PRODUCTION, "ENVIRONMENT": environment, name: value})

        assert message.startswith(f"Refusing to start (ENVIRONMENT={environment}):\n  {name}: ")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("POSTGRES_PASSWORD", ""),
            ("POSTGRES_PASSWORD", "your_password"),
            ("POSTGRES_SERVER", "your_server"),
            ("POSTGRES_USER", "your_postgres_user"),
            ("POSTGRES_DB", "your_db"),
        ],
    )
    def test_refuses_sample_values_of_the_database(self, name: str, value: str) -> None:
        names = {"DATABASE_URL": "", "POSTGRES_SERVER": "db", "POSTGRES_PASSWORD": "a-real-password", name: value}

        assert f"  {name}: " in refusal(**{**PRODUCTION, **names})

    def test_all_problems_are_in_one_message(self) -> None:
        message = refusal(ENVIRONMENT="production", ACCESS_TOKEN_EXPIRE_MINUTES="soon")

        names = [line.split(":")[0].strip() for line in message.splitlines()[1:]]
        assert names == [
            "ACCESS_TOKEN_EXPIRE_MINUTES",
            "SECRET_KEY",
            "ALLOWED_HOSTS",
            "DATABASE_URL",
            "REDIS_CACHE_URL",
            "REDIS_RATE_LIMIT_URL",
            "REDIS_QUEUE_URL",
        ]

    def test_a_service_that_is_off_needs_no_redis(self) -> None:
        off = {"CACHE_ENABLED": "false", "REDIS_CACHE_URL": ""}

        assert python("import config.settings", **{**PRODUCTION, **off}).returncode == 0

    def test_no_secret_is_in_the_message(self) -> None:
        assert "your_password" not in refusal(**{**PRODUCTION, "DATABASE_URL": "postgresql://app:your_password@db/app"})

    @pytest.mark.parametrize(
        "command",
        [
            ["manage.py", "check"],
            ["manage.py", "migrate"],
            ["-m", "gunicorn", "--config", "config/gunicorn.conf.py", "--bind", "127.0.0.1:0", "config.wsgi"],
            ["-m", "celery", "--app", "config", "worker"],
            ["-m", "celery", "--app", "config", "beat"],
        ],
        ids=lambda command: " ".join(command[:4]),
    )
    def test_every_entry_point_refuses(self, command: list[str]) -> None:
        result = run([sys.executable, *command], **{**PRODUCTION, "SECRET_KEY": ""})

        assert result.returncode != 0
        assert "  SECRET_KEY: is not set." in result.stderr

    def test_passes_djangos_deployment_check(self) -> None:
        result = run([sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"], **PRODUCTION)

        assert result.returncode == 0, result.stderr


class TestTheOriginalsSample:
    def test_the_two_values_that_break_a_rule_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "env").write_text(ORIGINAL_SAMPLE, encoding="utf-8")

        message = refusal(ENV_FILE=str(tmp_path / "env"))

        assert [line.split(":")[0].strip() for line in message.splitlines()[1:]] == ["ADMIN_EMAIL", "ADMIN_USERNAME"]

    def test_the_rest_is_read_with_blanks_as_defaults(self, tmp_path: Path) -> None:
        sample = ORIGINAL_SAMPLE.replace('"your_email"', '"me@example.com"').replace('"your_username"', '"myself"')
        (tmp_path / "env").write_text(sample, encoding="utf-8")

        shown = show(
            "env.app_name, env.postgres_port, env.algorithm, env.access_token_expire_minutes, "
            "env.client_cache_max_age, env.redis_server('cache')",
            ENV_FILE=str(tmp_path / "env"),
        )

        assert shown == "('Your app name here', 5432, 'HS256', 30, 30, 'redis://your_host:6379/0')"
