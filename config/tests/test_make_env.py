"""
`make env`, and whether what it writes is enough for production.
"""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from conftest import BASE_DIR

from . import compose

SECRETS = {
    "secret_key",
    "postgres_password",
    "admin_password",
    "redis_password",
    "redis_cache_url",
    "redis_rate_limit_url",
    "redis_queue_url",
}


def make_env(checkout: Path, *variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", "env", f"PYTHON={sys.executable}", *variables], cwd=checkout, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(BASE_DIR / "docker", tmp_path / "docker", ignore=shutil.ignore_patterns(".env", "secrets"))
    shutil.copy(BASE_DIR / "Makefile", tmp_path)
    return tmp_path


@pytest.fixture
def written(checkout: Path) -> Path:
    result = make_env(checkout, "DOMAIN=api.example.com")
    assert result.returncode == 0, result.stderr
    return checkout / "docker"


def secrets_in(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in (folder / "secrets").iterdir() if path.is_file()}


def environment(folder: Path, name: str) -> dict[str, str]:
    """
    Return what Compose hands to a service, with the secrets where they are on this machine.
    """
    variables = compose.read_variables(folder / ".env")
    service = compose.services(compose.DEPLOYMENT, variables)[name]
    values = {**variables, **compose.stages()["base"].variables(), **service["environment"]}
    return {key: str(value).replace("/run/secrets", str(folder / "secrets")) for key, value in values.items() if key != "PATH"}


def show(expression: str, variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    code = f"from config import settings; print(({expression}))"
    return subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("service", ["web", "create_first_superuser"])
def test_a_service_starts_in_production_with_what_was_written(written: Path, service: str) -> None:
    shown = show("settings.ENVIRONMENT, settings.ALLOWED_HOSTS, settings.TRUSTED_PROXY_COUNT", environment(written, service))

    assert (shown.stdout, shown.stderr) == ("('production', ['api.example.com'], 1)\n", "")


def test_the_settings_hold_the_secrets_of_the_files(written: Path) -> None:
    values = (
        "settings.SECRET_KEY, settings.DATABASES['default']['PASSWORD'], settings.CACHES['default']['LOCATION'], settings.CELERY_BROKER_URL"
    )

    shown = show(values, environment(written, "web"))

    found = secrets_in(written)
    expected = (found["secret_key"], found["postgres_password"], found["redis_cache_url"], found["redis_queue_url"])
    assert shown.stdout == f"{expected}\n"


def test_a_mail_server_goes_into_its_file(written: Path) -> None:
    (written / "secrets/email_url").write_text("smtps://user:pass@mail.example.com:465\n", encoding="utf-8")
    variables = {**environment(written, "worker"), "DEFAULT_FROM_EMAIL": "no-reply@example.com"}

    assert show("settings.EMAIL_HOST, settings.EMAIL_USE_SSL", variables).stdout == "('mail.example.com', True)\n"


def test_every_secret_that_compose_mounts_is_written(written: Path) -> None:
    mounted = re.findall(r"file: secrets/(\S+)", (compose.DOCKER / compose.DEPLOYMENT).read_text(encoding="utf-8"))

    assert mounted
    assert set(mounted) == set(secrets_in(written))


def test_secrets_are_long_and_made_anew_each_time(written: Path) -> None:
    first = secrets_in(written)
    shutil.rmtree(written / "secrets")
    (written / ".env").unlink()
    assert make_env(written.parent, "DOMAIN=api.example.com").returncode == 0

    second = secrets_in(written)

    assert all(len(first[name]) >= 20 and first[name] != second[name] for name in SECRETS)
    assert first["redis.conf"] == f"requirepass {first['redis_password']}\n"


def test_only_the_owner_reaches_the_secrets_and_a_container_may_read_them(written: Path) -> None:
    assert stat.S_IMODE((written / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((written / ".env").stat().st_mode) == 0o600
    files = [path for path in (written / "secrets").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o644}
    assert stat.S_IMODE((written / "secrets/tls").stat().st_mode) == 0o755


def test_neither_the_settings_nor_the_output_show_a_secret(checkout: Path) -> None:
    result = make_env(checkout, "DOMAIN=api.example.com")

    told = result.stdout + result.stderr + (checkout / "docker/.env").read_text(encoding="utf-8")
    found = secrets_in(checkout / "docker")
    assert [name for name in SECRETS if found[name] in told] == []


def test_nothing_is_overwritten(written: Path) -> None:
    before = secrets_in(written), (written / ".env").read_text(encoding="utf-8")

    result = make_env(written.parent, "DOMAIN=other.example.com")

    assert result.returncode != 0
    assert "Nothing is overwritten" in result.stderr
    assert (secrets_in(written), (written / ".env").read_text(encoding="utf-8")) == before


@pytest.mark.parametrize("left", [".env", "secrets"])
def test_nothing_is_written_beside_what_is_left_of_an_earlier_deployment(written: Path, left: str) -> None:
    other = written / ("secrets" if left == ".env" else ".env")
    shutil.rmtree(other) if other.is_dir() else other.unlink()

    assert make_env(written.parent, "DOMAIN=api.example.com").returncode != 0
    assert not other.exists()


@pytest.mark.parametrize(
    "domain", ["", "Upper.example.com", "a b", "https://api.example.com", "-a.example.com", "a..b", "x" * 64, "*", "a,b"]
)
def test_what_is_no_host_name_is_refused_and_leaves_nothing(checkout: Path, domain: str) -> None:
    result = make_env(checkout, f"DOMAIN={domain}")

    assert result.returncode != 0
    assert "make env DOMAIN=api.example.com" in result.stderr
    assert not (checkout / "docker/.env").exists()
    assert not list((checkout / "docker").glob("*secrets*"))


@pytest.mark.parametrize("redis", ["one", "three"])
def test_one_redis_or_three_is_a_variable(checkout: Path, redis: str) -> None:
    assert make_env(checkout, "DOMAIN=api.example.com", f"REDIS={redis}").returncode == 0

    assert compose.read_variables(checkout / "docker/.env")["COMPOSE_PROFILES"] == f"{redis}-redis"


def test_without_openssl_nothing_is_left(checkout: Path) -> None:
    command = [sys.executable, "docker/write_env.py", "api.example.com", "three"]
    result = subprocess.run(command, cwd=checkout, env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False)

    assert "needs openssl" in result.stderr
    assert sorted(path.name for path in (checkout / "docker").glob(".*")) == []
    assert not (checkout / "docker/secrets").exists()


def test_the_first_certificate_is_for_the_domain_and_fits_its_key(written: Path) -> None:
    certificate = x509.load_pem_x509_certificate((written / "secrets/tls/fullchain.pem").read_bytes())
    key = load_pem_private_key((written / "secrets/tls/privkey.pem").read_bytes(), None)

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["api.example.com"]
    assert certificate.public_key() == key.public_key()


def test_git_leaves_out_what_was_written() -> None:
    paths = ["docker/.env", "docker/secrets/secret_key", "docker/.secrets-abc/secret_key"]

    ignored = subprocess.run(["git", "check-ignore", *paths], cwd=BASE_DIR, capture_output=True, text=True, check=False)

    assert ignored.stdout.split() == paths
