"""
The mail server and the sender, as the environment names them.
"""

from pathlib import Path

import pytest

from config.env_types import MailServer, mail_server

from .interpreters import python
from .test_env import PRODUCTION, refusal, show

READ = (
    "from config import settings as s; print(s.EMAIL_BACKEND.split('.')[-2], s.EMAIL_HOST, s.EMAIL_PORT, s.EMAIL_USE_TLS, s.EMAIL_ENABLED)"
)
SENDER = "Example <no-reply@example.com>"
SMTP = {"EMAIL_URL": "smtp://user:pass@mail.example.com:587?tls=true", "DEFAULT_FROM_EMAIL": SENDER}


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("", MailServer()),
        ("smtp://localhost", MailServer("localhost", 25)),
        ("smtp://mail?tls=true", MailServer("mail", 587, use_tls=True)),
        ("smtp://mail:2525?tls=false", MailServer("mail", 2525)),
        ("smtps://mail", MailServer("mail", 465, use_ssl=True)),
        ("smtps://mail:4650?tls=false", MailServer("mail", 4650, use_ssl=True)),
        ("smtp://user%40example.com:p%2Fw%3F@mail:587?tls=true", MailServer("mail", 587, "user@example.com", "p/w?", False, True)),
        ("smtp://[::1]:25", MailServer("::1", 25)),
    ],
)
def test_url_names_a_server(url: str, server: MailServer) -> None:
    assert mail_server(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail",
        "smtp://",
        "smtp://user:password@",
        "smtp://mail:port",
        "smtp://mail:99999",
        "smtp://mail?tls=yes",
        "smtp://mail?tls",
        "smtp://mail?ssl=true",
        "smtp://mail?tls=true&tls=false",
        "smtps://mail?tls=true",
        "smtp://mail/path",
        "smtp://mail#x",
    ],
)
def test_url_that_names_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        mail_server(url)


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, "console  25 False True"),
        (SMTP, "smtp mail.example.com 587 True True"),
        ({**PRODUCTION, **SMTP}, "smtp mail.example.com 587 True True"),
        (PRODUCTION, "dummy  25 False False"),
    ],
    ids=["local", "local with a server", "production with a server", "production without one"],
)
def test_mails_go_where_the_environment_says(environment: dict[str, str], shown: str) -> None:
    result = python(READ, **environment)

    assert (result.stdout.strip(), result.stderr) == (shown, "")


def test_bad_url_is_refused_without_its_password() -> None:
    text = refusal(EMAIL_URL="smtp://user:tops3cret@mail?tls=maybe")

    assert "EMAIL_URL: must read smtp://user:password@host:587?tls=true" in text
    assert "tops3cret" not in text


def test_server_needs_a_sender_outside_local() -> None:
    assert "DEFAULT_FROM_EMAIL: is not set" in refusal(**{**PRODUCTION, "EMAIL_URL": SMTP["EMAIL_URL"]})


def test_required_verification_needs_a_server_outside_local() -> None:
    assert "EMAIL_URL: is not set, but REQUIRE_VERIFIED_EMAIL is on" in refusal(**PRODUCTION, REQUIRE_VERIFIED_EMAIL="true")


@pytest.mark.parametrize("sender", ["nobody", "Example", "Example <nobody>"])
def test_sender_has_an_address(sender: str) -> None:
    assert "DEFAULT_FROM_EMAIL: must be an e-mail address" in refusal(DEFAULT_FROM_EMAIL=sender)


@pytest.mark.parametrize(
    ("url", "kept"), [("https://app.example.com/", "https://app.example.com"), ("http://localhost:3000/x", "http://localhost:3000/x")]
)
def test_frontend_is_a_url_without_its_last_slash(url: str, kept: str) -> None:
    assert show("env.frontend_url", FRONTEND_URL=url) == kept


@pytest.mark.parametrize("url", ["app.example.com", "ftp://app.example.com", "https://", "https://app.example.com?x=1", "https://a/#b"])
def test_frontend_that_is_no_page_is_refused(url: str) -> None:
    assert "FRONTEND_URL: must be a URL such as https://app.example.com" in refusal(FRONTEND_URL=url)


def test_url_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(SMTP["EMAIL_URL"], encoding="utf-8")

    assert show("env.email_url.get_secret_value()", EMAIL_URL_FILE=str(path)) == SMTP["EMAIL_URL"]
