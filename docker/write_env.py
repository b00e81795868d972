"""
`make env DOMAIN=api.example.com`: write what docker/compose.yaml needs, every secret new.

It leaves docker/.env, which holds no secret, and docker/secrets/. Compose mounts a secret file as it is, with its owner and mode, and each
image runs as another user, so the files can be read by all; that only its owner enters the folder is what keeps them. Runs on Python alone,
with `openssl` for a certificate to begin with.
"""

import argparse
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SETTINGS = """\
# Written by `make env`. Secrets are in the files under secrets/; docs/configuration.md lists what else may stand here.
ENVIRONMENT=production

# The site.
DOMAIN={domain}
ALLOWED_HOSTS={domain}
HTTP_PORT=80
HTTPS_PORT=443
# How many proxies append to X-Forwarded-For: NGINX alone, or 2 where a CDN stands in front, whose networks are then named.
TRUSTED_PROXY_COUNT=1
CDN_NETWORKS=

# How many web servers, and how many processes for tasks.
WEB_REPLICAS=2
TASK_PROCESSES=2
# three-redis: one each for cache, limits and queue; one-redis: one for all, in less memory.
COMPOSE_PROFILES={redis}-redis

# The first superuser, whose password is in secrets/admin_password, and the first tier.
ADMIN_NAME=Admin
ADMIN_USERNAME=admin
ADMIN_EMAIL=admin@{domain}
TIER_NAME=free

# Mails: write smtp://user:password@host:587?tls=true into secrets/email_url, and name their sender here.
DEFAULT_FROM_EMAIL=
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make env", description="Write docker/.env and docker/secrets/.")
    parser.add_argument("domain")
    parser.add_argument("redis", choices=("one", "three"))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    if not re.fullmatch(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", arguments.domain):
        sys.exit("Name the host that this site answers to, in lower case: make env DOMAIN=api.example.com")
    taken = [path for path in (arguments.folder / ".env", arguments.folder / "secrets") if os.path.lexists(path)]
    if taken:
        sys.exit(f"Nothing is overwritten; move away what is there already: {', '.join(map(str, taken))}")
    write(arguments.folder, arguments.domain, arguments.redis)
    print(f"Written: {arguments.folder}/.env and {arguments.folder}/secrets/, for https://{arguments.domain}")
    print(f"The first superuser is 'admin'; the password is in {arguments.folder}/secrets/admin_password")
    print(f"The certificate is self-signed: put your own over {arguments.folder}/secrets/tls/fullchain.pem and privkey.pem")


def write(folder: Path, domain: str, redis: str) -> None:
    # In a draft that is moved into place whole: what is there is complete, or there is nothing.
    draft = Path(tempfile.mkdtemp(prefix=".secrets-", dir=folder))
    try:
        for name, value in secret_values().items():
            (draft / name).write_text(value, encoding="utf-8")
            (draft / name).chmod(0o644)
        write_certificate(draft / "tls", domain)
        settings = draft / ".env"
        settings.touch(0o600)
        settings.write_text(SETTINGS.format(domain=domain, redis=redis), encoding="utf-8")
        settings.rename(folder / ".env")
        draft.rename(folder / "secrets")
    except BaseException:
        shutil.rmtree(draft)
        raise


def secret_values() -> dict[str, str]:
    """
    Return the content of each secret file, all of them new; a mail server is nothing that could be made up.
    """
    redis = secrets.token_urlsafe(32)
    servers = ("cache", "rate_limit", "queue")
    urls = {f"redis_{name}_url": f"redis://:{redis}@redis-{name.replace('_', '-')}:6379/{servers.index(name)}" for name in servers}
    return {
        "secret_key": secrets.token_urlsafe(50),
        "postgres_password": secrets.token_urlsafe(32),
        "admin_password": secrets.token_urlsafe(16),
        "redis_password": redis,
        "redis.conf": f"requirepass {redis}\n",
        **urls,
        "email_url": "",
    }


def write_certificate(folder: Path, domain: str) -> None:
    """
    Sign a certificate with its own key, for a first start. Ends the program where `openssl` cannot.
    """
    folder.mkdir()
    names = ["-subj", f"/CN={domain[:64]}", "-addext", f"subjectAltName=DNS:{domain}"]
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    try:
        subprocess.run(["openssl", "req", "-x509", *key, "-days", "397", *names, *files], check=True, capture_output=True, text=True)  # noqa: S607
    except FileNotFoundError:
        sys.exit("Making a certificate needs openssl. Install it and run this again.")
    except subprocess.CalledProcessError as exc:
        sys.exit(f"openssl made no certificate: {exc.stderr.strip()}")
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    main()
