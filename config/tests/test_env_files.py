"""
What is read from files: `.env`, or what `ENV_FILE` names instead, and a file for each secret.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from .checkouts import copy_checkout
from .interpreters import bare_environment, python
from .test_env import PRODUCTION, SECRET, refusal, show

KEY = "env.secret_key.get_secret_value()"
PASSWORD = "env.postgres_password.get_secret_value()"


def written(path: Path, *lines: str) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def load_in_a_checkout(folder: Path, env_file: bytes | None = None, **variables: str) -> "subprocess.CompletedProcess[str]":
    """
    Load the environment in a project whose default file holds this, in a process that works elsewhere, and show `APP_NAME`.
    """
    checkout = copy_checkout(folder / "checkout")
    if env_file is not None:
        (checkout / ".env").write_bytes(env_file)
    environment = bare_environment(PYTHONPATH=str(checkout), **variables)
    if "ENV_FILE" not in variables:
        del environment["ENV_FILE"]
    code = "from config.env import load; print(load().app_name)"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


class TestSecretFiles:
    def test_name_of_the_file_may_stand_in_the_env_file(self, tmp_path: Path) -> None:
        url = "postgresql://app:secret@db/app"
        env_file = written(tmp_path / "env", f"DATABASE_URL_FILE={written(tmp_path / 'url', url)}")

        shown = show("env.database_url.get_secret_value(), env.embedded_services", ENV_FILE=env_file)

        assert shown == f"('{url}', ('valkey',))"

    def test_production_starts_with_secrets_in_files_that_the_env_file_names(self, tmp_path: Path) -> None:
        env_file = written(tmp_path / "env", f"SECRET_KEY_FILE={written(tmp_path / 'key', SECRET)}")

        result = python("import config.settings", **{**PRODUCTION, "SECRET_KEY": "", "ENV_FILE": env_file})

        assert (result.returncode, result.stderr) == (0, "")

    def test_path_counts_from_the_folder_of_the_project(self, tmp_path: Path) -> None:
        result = load_in_a_checkout(tmp_path, b"JWT_PREVIOUS_PUBLIC_KEYS_FILE=LICENSE\n")

        # It was found: what is wrong is what it holds.
        assert "  JWT_PREVIOUS_PUBLIC_KEYS: " in result.stderr
        assert "JWT_PREVIOUS_PUBLIC_KEYS_FILE" not in result.stderr

    @pytest.mark.parametrize(
        ("process", "lines", "read"),
        [
            ({"SECRET_KEY": "process", "SECRET_KEY_FILE": "{a}"}, ["SECRET_KEY=line", "SECRET_KEY_FILE={b}"], "process"),
            ({"SECRET_KEY_FILE": "{a}"}, ["SECRET_KEY=line", "SECRET_KEY_FILE={b}"], "file a"),
            ({}, ["SECRET_KEY_FILE={b}", "SECRET_KEY=line"], "line"),
            ({}, ["SECRET_KEY_FILE={b}"], "file b"),
            ({"SECRET_KEY": " ", "SECRET_KEY_FILE": "{a}"}, [], "file a"),
            ({"SECRET_KEY": "", "SECRET_KEY_FILE": ""}, ["SECRET_KEY= # blank", "SECRET_KEY_FILE={b}"], "file b"),
        ],
    )
    def test_process_wins_and_in_each_the_value_wins_over_its_file(
        self, tmp_path: Path, process: dict[str, str], lines: list[str], read: str
    ) -> None:
        paths = {name: written(tmp_path / name, f"file {name}") for name in ("a", "b")}
        env_file = written(tmp_path / "env", *(line.format(**paths) for line in lines))

        assert show(KEY, ENV_FILE=env_file, **{name: value.format(**paths) for name, value in process.items()}) == read

    def test_file_that_cannot_be_read_is_refused_by_name(self, tmp_path: Path) -> None:
        env_file = written(tmp_path / "env", "DATABASE_URL_FILE=/nowhere/url")

        assert "  DATABASE_URL_FILE: cannot be read (" in refusal(ENV_FILE=env_file)

    def test_file_that_the_process_makes_needless_may_be_missing(self, tmp_path: Path) -> None:
        env_file = written(tmp_path / "env", "SECRET_KEY_FILE=/nowhere/key")

        assert show(KEY, ENV_FILE=env_file, SECRET_KEY="from the process") == "from the process"


class TestEnvFile:
    def test_default_file_may_be_missing(self, tmp_path: Path) -> None:
        result = load_in_a_checkout(tmp_path)

        assert (result.stdout, result.stderr) == ("Django Boilerplate\n", "")

    def test_default_file_is_read_beside_manage_py(self, tmp_path: Path) -> None:
        assert load_in_a_checkout(tmp_path, b"APP_NAME=From the default file\n").stdout == "From the default file\n"

    @pytest.mark.parametrize("name", ["", " "])
    def test_blank_name_means_no_file(self, tmp_path: Path, name: str) -> None:
        assert load_in_a_checkout(tmp_path, b"APP_NAME=Not read\n", ENV_FILE=name).stdout == "Django Boilerplate\n"

    def test_default_file_that_is_not_utf_8_is_refused(self, tmp_path: Path) -> None:
        result = load_in_a_checkout(tmp_path, "APP_NAME=Caf\u00e9\n".encode("latin-1"))

        assert result.returncode == 1
        assert "  ENV_FILE: .env cannot be read (" in result.stderr
        assert "Traceback" not in result.stderr

    @pytest.mark.parametrize("name", ["missing", "folder"])
    def test_name_that_leads_to_no_file_is_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "folder").mkdir()

        assert f"  ENV_FILE: {tmp_path / name} cannot be read (" in refusal(ENV_FILE=str(tmp_path / name))

    def test_what_is_wrong_besides_is_told_too(self) -> None:
        message = refusal(ENV_FILE="/nowhere/env", ENVIRONMENT="production", ACCESS_TOKEN_EXPIRE_MINUTES="soon")

        names = [line.split(":")[0].strip() for line in message.splitlines()[1:]]
        assert names[:3] == ["ENV_FILE", "ACCESS_TOKEN_EXPIRE_MINUTES", "SECRET_KEY"]

    def test_names_that_are_not_known_are_ignored(self, tmp_path: Path) -> None:
        env_file = written(tmp_path / "env", "PGADMIN_LISTEN_PORT=80", "_ENV_FILE=/nowhere", "no assignment", "APP_NAME=Known")

        assert show("env.app_name", ENV_FILE=env_file) == "Known"


class TestLines:
    @pytest.mark.parametrize(
        ("line", "value"),
        [
            ('POSTGRES_PASSWORD="pa${ss}word"', "pa${ss}word"),
            ("POSTGRES_PASSWORD='pa${ss}word'", "pa${ss}word"),
            ("POSTGRES_PASSWORD=pa${HOME}$word", "pa${HOME}$word"),
            ('POSTGRES_PASSWORD="# hash"', "# hash"),
            ("POSTGRES_PASSWORD='# hash'", "# hash"),
            ("POSTGRES_PASSWORD=#hash", "#hash"),
            ("POSTGRES_PASSWORD=pass#word # a comment", "pass#word"),
            ("POSTGRES_PASSWORD= # a comment", ""),
            ("POSTGRES_PASSWORD=# a comment", ""),
            ("export POSTGRES_PASSWORD=\t# a comment", ""),
            ("postgres_password=lower case", "lower case"),
        ],
    )
    def test_value_is_read_as_it_is_written(self, tmp_path: Path, line: str, value: str) -> None:
        assert show(PASSWORD, ENV_FILE=written(tmp_path / "env", line)) == value

    def test_value_of_the_process_is_no_comment(self) -> None:
        assert show(PASSWORD, POSTGRES_PASSWORD="# hash") == "# hash"
