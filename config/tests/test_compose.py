"""
What docker/ promises without anything having to run.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.capacity import MEBIBYTE, worker_count
from config.database import connections_needed
from config.env import Environment
from conftest import BASE_DIR

from . import compose

VARIABLES = {"DOMAIN": "api.example.com", "COMPOSE_PROFILES": "three-redis"}
DEPLOYED = compose.services(compose.DEPLOYMENT, VARIABLES)
DEVELOPED = compose.services(compose.DEVELOPMENT, {})
ALL = [
    pytest.param(name, service, id=f"{file}-{name}")
    for file, found in (("prod", DEPLOYED), ("dev", DEVELOPED))
    for name, service in found.items()
]
OWN = {name for name, service in DEPLOYED.items() if "build" in service}
NGINX = BASE_DIR / "nginx"
FILE: dict[str, Any] = yaml.safe_load((compose.DOCKER / compose.DEPLOYMENT).read_text(encoding="utf-8"))


# PostgreSQL's default, and what was measured for a connection that has read every table: 2.3 MiB, and its part of the page tables.
SUPERUSER_RESERVED, CONNECTION_MEBIBYTES = 3, 3


def mebibytes(size: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([mg])b?", size.lower()).groups()  # type: ignore[union-attr]
    return int(number) * (1024 if unit == "g" else 1)


def networks(name: str) -> set[str]:
    return set(DEPLOYED[name]["networks"])


@pytest.mark.parametrize(("name", "service"), ALL)
def test_a_service_says_how_it_restarts_logs_and_how_much_memory_it_may_take(name: str, service: dict[str, Any]) -> None:
    assert service["restart"] in ("unless-stopped", "on-failure:3", "no")
    assert service["logging"]["driver"] == "json-file"
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])


@pytest.mark.parametrize(("name", "service"), ALL)
def test_an_image_is_pinned_or_built_here(name: str, service: dict[str, Any]) -> None:
    assert "build" in service or re.fullmatch(r"[a-z0-9/]+:\d+\.\d+[a-z0-9.-]*", service["image"])


def test_the_base_image_is_pinned_to_a_release() -> None:
    foreign = [stage.image for stage in compose.stages().values() if stage.image not in compose.stages()]

    assert foreign
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", image) for image in foreign)


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_deployed_service_can_neither_write_its_image_nor_gain_rights(name: str) -> None:
    service = DEPLOYED[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert name in OWN or not service["user"].startswith(("0", "root"))


def test_the_image_runs_as_a_fixed_user_and_hands_signals_to_gunicorn() -> None:
    image = compose.stages()["production"]

    assert image.all("USER") == ["10001:10001"]
    # What is built unless a target is named.
    assert (list(compose.stages().values())[-1].image, list(compose.stages().values())[-1].instructions) == ("production", [])
    assert image.command("CMD")[0] == "gunicorn"
    assert json.loads(image.all("ENTRYPOINT")[0]) == ["/app/docker/entrypoint.sh"]
    assert 'exec "$@"' in (compose.DOCKER / "entrypoint.sh").read_text(encoding="utf-8")


def test_production_is_baked_in() -> None:
    baked = compose.stages()["base"].variables()

    assert (baked["ENVIRONMENT"], baked["ENV_FILE"]) == ("production", "")


def test_no_layer_of_the_image_was_given_a_secret() -> None:
    stages = compose.stages()
    layers = [text for name in ("base", "production") for keyword, text in stages[name].instructions if keyword in ("RUN", "ENV", "ARG")]

    assert not [text for text in layers if re.search(r"SECRET|PASSWORD|_URL", text)]
    assert stages["production"].image == "base"
    assert stages["production"].all("COPY") == ["--from=build /opt/venv /opt/venv", "--from=source /app /app"]


def test_the_libraries_are_the_locked_ones() -> None:
    (run,) = compose.stages()["build"].all("RUN")

    assert "pip wheel --require-hashes --no-deps --only-binary :all:" in run
    assert "install --no-index --no-deps" in run
    assert compose.stages()["build"].variables()["PIP_NO_CACHE_DIR"] == "1"


def test_nginx_alone_is_reached_from_outside() -> None:
    assert [name for name, service in DEPLOYED.items() if "ports" in service] == ["nginx"]
    assert [name for name in DEPLOYED if "front" in networks(name)] == ["nginx"]
    assert [name for name in DEPLOYED if "outward" in networks(name)] == ["worker"]
    assert all(FILE["networks"][name]["internal"] for name in ("web", "data"))


@pytest.mark.parametrize("name", ["postgres", "redis", "redis-cache", "redis-rate-limit", "redis-queue"])
def test_servers_of_data_are_on_the_inner_network_alone(name: str) -> None:
    assert networks(name) == {"data"}
    assert "data" not in networks("nginx")


def test_nginx_is_given_what_its_configuration_reads() -> None:
    nginx = DEPLOYED["nginx"]
    sources = [(compose.DOCKER / volume.split(":")[0]).resolve() for volume in nginx["volumes"]]
    read = (NGINX / "15-settings.envsh").read_text(encoding="utf-8")

    assert all(source.exists() for source in sources if source.parent.name != "secrets")
    # DOMAIN is for the probe.
    assert [name for name in nginx["environment"] if name != "DOMAIN" and not re.search(rf"\$\{{{name}:", read)] == []
    assert "/etc/nginx/tls/privkey.pem" in read


def test_nginx_sees_each_file_that_an_upgrade_replaces() -> None:
    volumes = [volume.split(":") for volume in DEPLOYED["nginx"]["volumes"]]

    # A file that is mounted by itself stays what it was when the container started.
    assert [source for source, *_ in volumes if not (compose.DOCKER / source).is_dir() and "/secrets/" not in source] == []


def test_the_image_of_nginx_sources_the_settings_before_it_fills_in_the_templates(tmp_path: Path) -> None:
    # As its entry point lists what it runs, with the scripts that the image brings.
    (place,) = [place for source, place, _ in (volume.split(":") for volume in DEPLOYED["nginx"]["volumes"]) if source == "../nginx"]
    folder = tmp_path / "docker-entrypoint.d"
    folder.mkdir()
    brought = ("10-listen-on-ipv6-by-default.sh", "15-local-resolvers.envsh", "20-envsubst-on-templates.sh", "30-tune-worker-processes.sh")
    for name in brought:
        (folder / name).touch()
    (tmp_path / place.removeprefix("/")).symlink_to(NGINX)

    listing = subprocess.run(
        ["/bin/sh", "-c", f"find '{folder}/' -follow -type f -print | sort -V"], capture_output=True, text=True, check=True
    )

    run = [Path(line).name for line in listing.stdout.split() if Path(line).suffix in (".sh", ".envsh")]
    assert set(run) == {*brought, "15-settings.envsh"}
    assert run.index("15-settings.envsh") < run.index("20-envsubst-on-templates.sh")
    assert (NGINX / "15-settings.envsh").stat().st_mode & 0o111


def test_ports_for_development_are_on_the_loopback_address() -> None:
    ports = [port for service in DEVELOPED.values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", DEPLOYED)
def test_no_value_of_the_file_is_a_secret(name: str) -> None:
    environment = DEPLOYED[name].get("environment", {})

    told = {key for key in environment if re.search(r"PASSWORD|SECRET|_URL|KEY", key)}
    assert all(key.endswith("_FILE") and environment[key].startswith("/run/secrets/") for key in told)
    assert {Path(environment[key]).name for key in told} <= set(DEPLOYED[name].get("secrets", []))


@pytest.mark.parametrize("name", sorted(OWN - {"create_first_superuser"}))
def test_the_password_of_the_superuser_is_given_to_who_creates_them_only(name: str) -> None:
    assert "admin_password" not in DEPLOYED[name]["secrets"]


@pytest.mark.parametrize("name", ["web", "worker", "beat"])
def test_a_service_waits_for_the_migrations_and_for_healthy_servers(name: str) -> None:
    conditions = {other: rule["condition"] for other, rule in DEPLOYED[name]["depends_on"].items()}

    assert {other for other, condition in conditions.items() if condition == "service_completed_successfully"} == {
        "migrate",
        "create_first_superuser",
        "create_first_tier",
    }
    healthy = {other for other, condition in conditions.items() if condition == "service_healthy"}
    assert healthy == {"postgres", "redis", "redis-cache", "redis-rate-limit", "redis-queue"}
    assert all("healthcheck" in DEPLOYED[other] for other in healthy)


def test_a_redis_of_the_other_profile_is_not_waited_for() -> None:
    rules = DEPLOYED["web"]["depends_on"]

    assert {name for name, rule in rules.items() if rule.get("required") is False} == {
        name for name in DEPLOYED if "profiles" in DEPLOYED[name] and name != "backup"
    }


def test_one_redis_answers_to_the_names_of_the_three() -> None:
    profiles = {name: service["profiles"] for name, service in DEPLOYED.items() if "profiles" in service}

    assert profiles.pop("backup") == ["backup"]
    assert profiles.pop("redis") == ["one-redis"]
    assert set(profiles) == set(DEPLOYED["redis"]["networks"]["data"]["aliases"])
    assert all(profile == ["three-redis"] for profile in profiles.values())


def test_a_backup_runs_on_demand_into_a_volume_that_the_image_lets_its_user_write() -> None:
    backup, image = DEPLOYED["backup"], compose.image("backup")
    ((volume, place),) = (text.split(":") for text in backup["volumes"])

    assert (backup["profiles"], backup["restart"]) == (["backup"], "no")
    assert volume in FILE["volumes"]
    assert backup["environment"]["BACKUPS_DIR"] == place
    assert image.folder(place) == {"owner": image.user, "group": image.user, "mode": "0700"}
    assert backup["secrets"] == DEPLOYED["migrate"]["secrets"]


def test_numbers_of_processes_come_from_variables() -> None:
    variables = {**VARIABLES, "WEB_REPLICAS": "5", "TASK_PROCESSES": "7"}
    services = compose.services(compose.DEPLOYMENT, variables)

    assert services["web"]["deploy"]["replicas"] == "5"
    assert services["web"]["environment"]["WEB_SERVERS"] == "5"
    assert "--concurrency=7" in services["worker"]["command"]


def test_the_database_gives_the_connections_of_an_upgrade_and_has_the_memory_for_them(tmp_path: Path) -> None:
    web, postgres = DEPLOYED["web"], DEPLOYED["postgres"]
    given = {name: value for name, _, value in (word.partition("=") for word in postgres["command"])}
    # New web servers beside the old ones, on a machine whose CPUs are more than their memory feeds.
    environment = Environment(web_servers=2 * int(web["deploy"]["replicas"]), _env_file=None)
    processes = worker_count(tmp_path, cpus=64, memory=mebibytes(web["mem_limit"]) * MEBIBYTE)
    needed = connections_needed(environment, web_processes=processes)

    assert needed["web"] == 480
    assert sum(needed.values()) <= int(given["max_connections"]) - SUPERUSER_RESERVED
    assert mebibytes(given["shared_buffers"]) + int(given["max_connections"]) * CONNECTION_MEBIBYTES <= mebibytes(postgres["mem_limit"])


def test_a_start_without_make_env_is_refused() -> None:
    with pytest.raises(KeyError, match="DOMAIN"):
        compose.services(compose.DEPLOYMENT, {})


def test_development_needs_no_file_and_says_that_it_is_local() -> None:
    own = [service for service in DEVELOPED.values() if "build" in service]

    assert all("env_file" not in service and service["build"]["target"] == "development" for service in own)
    assert {service["environment"].get("ENVIRONMENT", "the suite's own") for service in own} == {"local", "the suite's own"}


def test_the_checks_find_nothing() -> None:
    result = subprocess.run(["make", "docker-check"], cwd=BASE_DIR, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
