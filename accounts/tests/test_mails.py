"""
What is in the mails, how they leave, and what is written about them where others read it.
"""

import io
import logging
import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import structlog
from django.db import transaction
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.mails import EMAIL_VERIFICATION_MAIL, PASSWORD_RESET_MAIL, Mail, MailError, TemporaryMailError, mail_error
from accounts.models import User
from accounts.tasks import MAILS_PER_HOUR, send_password_reset
from common.tests.servers import Server, wait_until
from config.logs import SHARED_PROCESSORS
from conftest import PASSWORD
from tasks.models import Status, Task
from tasks.running import run
from tasks.services import enqueue
from tasks.tasks import sample_background_task

from .factories import API, registration
from .mailbox import TOKEN, Capture, mail_server, token_in

pytestmark = pytest.mark.django_db

NEW = "An0ther-Word"
FORGOT = f"{API}/password/forgot"

both_mails = pytest.mark.parametrize(
    ("mail", "path", "page"),
    [
        (PASSWORD_RESET_MAIL, "/api/v1/password/reset", "reset-password"),
        (EMAIL_VERIFICATION_MAIL, "/api/v1/email/verify", "verify-email"),
    ],
    ids=["reset", "verification"],
)


@both_mails
class TestContent:
    def test_it_is_text_and_html_from_the_sender(
        self, alice: Any, mailoutbox: list[Any], settings: Settings, mail: Mail, path: str, page: str
    ) -> None:
        settings.DEFAULT_FROM_EMAIL = "Example <no-reply@example.com>"

        mail.send(alice)

        (sent,) = mailoutbox
        assert (sent.from_email, sent.to) == ("Example <no-reply@example.com>", ["alice@example.com"])
        assert sent.subject == f"{settings.APP_NAME}: {mail.subject}"
        assert [kind for _, kind in sent.alternatives] == ["text/html"]

    def test_without_a_frontend_it_shows_the_token_and_where_it_goes(
        self, alice: Any, mailoutbox: list[Any], mail: Mail, path: str, page: str
    ) -> None:
        mail.send(alice)

        text, html = mailoutbox[0].body, mailoutbox[0].alternatives[0][0]
        assert token_in(text) == token_in(html)
        assert path in text
        assert path in html
        assert "http" not in text

    def test_with_a_frontend_it_links_there(
        self, alice: Any, mailoutbox: list[Any], settings: Settings, mail: Mail, path: str, page: str
    ) -> None:
        settings.FRONTEND_URL = "https://app.example.com"

        mail.send(alice)

        text, html = mailoutbox[0].body, mailoutbox[0].alternatives[0][0]
        link = f"https://app.example.com/{page}?token={token_in(text)}"
        assert link in text
        assert f'href="{link}"' in html
        assert path not in text

    def test_it_repeats_no_text_that_a_stranger_chose(self, mailoutbox: list[Any], mail: Mail, path: str, page: str) -> None:
        mail.send(User.objects.create_user("dave", "dave@example.com", PASSWORD, name="<b>Win</b> at evil.com"))

        content = f"{mailoutbox[0].subject} {mailoutbox[0].body} {mailoutbox[0].alternatives[0][0]}"
        assert "evil.com" not in content
        assert "Hello dave," in content

    def test_name_of_the_site_is_text_and_not_html(
        self, alice: Any, mailoutbox: list[Any], settings: Settings, mail: Mail, path: str, page: str
    ) -> None:
        settings.APP_NAME = "Salt & Pepper"

        mail.send(alice)

        assert "Salt & Pepper" in mailoutbox[0].body
        assert "Salt &amp; Pepper" in mailoutbox[0].alternatives[0][0]


@pytest.mark.django_db(transaction=True)
class TestWithoutQueue:
    @pytest.fixture(autouse=True)
    def switched_off(self, settings: Settings) -> None:
        settings.QUEUE_ENABLED = False

    def test_mail_is_sent_in_the_process_after_the_commit(self, client: APIClient, alice: Any, mailoutbox: list[Any]) -> None:
        with transaction.atomic():
            client.post(FORGOT, {"email": "alice@example.com"})
            assert Task.objects.get().status == Status.QUEUED

        wait_until(lambda: Task.objects.get().status == Status.SUCCEEDED, what="the mail")
        response = client.post(f"{API}/password/reset", {"token": token_in(mailoutbox[0].body), "new_password": NEW})
        assert response.status_code == 200

    def test_new_user_gets_the_mail(self, client: APIClient, mailoutbox: list[Any], settings: Settings) -> None:
        settings.REQUIRE_VERIFIED_EMAIL = True
        client.post(f"{API}/user", registration())

        wait_until(lambda: Task.objects.get().status == Status.SUCCEEDED, what="the mail")
        assert client.post(f"{API}/email/verify", {"token": token_in(mailoutbox[0].body)}).status_code == 200

    def test_mail_that_fails_is_no_failure_of_the_request(self, client: APIClient, alice: Any, settings: Settings) -> None:
        settings.EMAIL_ENABLED = False

        response = client.post(FORGOT, {"email": "alice@example.com"})

        wait_until(lambda: Task.objects.get().is_finished, what="the mail")
        assert response.status_code == 202
        assert (Task.objects.get().status, Task.objects.get().error) == (Status.FAILED, "MailError: EMAIL_URL is not set.")

    def test_other_tasks_wait(self, db: None, django_capture_on_commit_callbacks: Capture) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            enqueue(sample_background_task, "hello")

        assert Task.objects.get().status == Status.QUEUED


class TestSecrecy:
    @pytest.fixture
    def log(self) -> Iterator[Callable[[], str]]:
        """
        Everything that is logged, tracebacks included, as JSON lines.
        """
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        processors: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
        handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=processors, foreign_pre_chain=SHARED_PROCESSORS))
        logging.getLogger().addHandler(handler)
        yield stream.getvalue
        logging.getLogger().removeHandler(handler)

    @pytest.fixture
    def refused_task(self, alice: Any, settings: Settings) -> Iterator[Task]:
        """
        A mail that the server refuses, with the address in its answer.
        """
        with mail_server(refuses=True) as (port, _):
            settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
            settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
            task = enqueue(send_password_reset, alice.pk)
            run(str(task.pk))
            yield Task.objects.get(pk=task.pk)

    def test_failure_is_recorded_without_the_address(self, refused_task: Task) -> None:
        assert (refused_task.status, refused_task.error) == (Status.FAILED, "MailError: SMTPRecipientsRefused")

    def test_failure_is_logged_without_the_address(self, log: Callable[[], str], refused_task: Task) -> None:
        assert "send_password_reset failed" in log()
        assert "Traceback" in log()
        assert "alice" not in log()

    @pytest.mark.django_db(transaction=True)
    def test_neither_address_nor_token_is_logged_or_recorded(
        self, client: APIClient, alice: Any, settings: Settings, log: Callable[[], str], mailoutbox: list[Any]
    ) -> None:
        settings.QUEUE_ENABLED = False
        client.post(FORGOT, {"email": "alice@example.com"})
        wait_until(lambda: Task.objects.get().status == Status.SUCCEEDED, what="the mail")
        token = token_in(mailoutbox[0].body)
        client.post(f"{API}/password/reset", {"token": token, "new_password": NEW})

        written = log() + str(Task.objects.values())
        assert "password/reset" in written
        assert token not in written
        assert "alice" not in written

    def test_one_that_is_refused_for_good_is_not_sent_again(self, refused_task: Task) -> None:
        assert (refused_task.attempt, refused_task.retries) == (1, 0)

    def test_server_that_is_away_is_told_by_its_kind(self, alice: Any, settings: Settings) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

        with pytest.raises(MailError, match="ConnectionRefusedError"):
            PASSWORD_RESET_MAIL.send(alice)


class TestAnotherAttempt:
    @pytest.fixture(autouse=True)
    def smtp(self, settings: Settings) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    def test_server_that_is_away_is_asked_again_later(self, alice: Any, settings: Settings) -> None:
        task = enqueue(send_password_reset, alice.pk)
        run(str(task.pk))
        task = Task.objects.get()
        assert (task.status, task.retries, task.error) == (Status.QUEUED, 1, "TemporaryMailError: ConnectionRefusedError")

        with mail_server() as (port, mails):
            settings.EMAIL_PORT = port
            Task.objects.update(run_after=None)
            run(str(task.pk))

            assert Task.objects.get().status == Status.SUCCEEDED
            assert len(mails) == 1

    def test_it_is_not_counted_as_another_mail(self, alice: Any, settings: Settings) -> None:
        for _ in range(MAILS_PER_HOUR):
            task = enqueue(send_password_reset, alice.pk)
            run(str(task.pk))

        with mail_server() as (port, mails):
            settings.EMAIL_PORT = port
            Task.objects.update(run_after=None)
            run(str(task.pk))

            assert len(mails) == 1

    def test_at_last_it_fails(self, alice: Any) -> None:
        task = enqueue(send_password_reset, alice.pk)
        for _ in range(6):
            Task.objects.update(run_after=None)
            run(str(task.pk))

        assert Task.objects.values_list("status", "attempt").get() == (Status.FAILED, 6)


@pytest.mark.parametrize(
    ("error", "is_temporary"),
    [
        (smtplib.SMTPRecipientsRefused({"a@example.com": (450, b"greylisted")}), True),
        (smtplib.SMTPRecipientsRefused({"a@example.com": (550, b"nobody")}), False),
        (smtplib.SMTPSenderRefused(452, b"full", "b@example.com"), True),
        (smtplib.SMTPAuthenticationError(535, b"no"), False),
        (smtplib.SMTPServerDisconnected("gone"), True),
        (TimeoutError(), True),
        (smtplib.SMTPNotSupportedError("no"), False),
    ],
    ids=repr,
)
def test_only_what_may_pass_is_temporary(error: Exception, is_temporary: bool) -> None:
    assert isinstance(mail_error(error), TemporaryMailError) == is_temporary


@pytest.mark.django_db(transaction=True)
def test_a_worker_sends_a_mail_that_resets_the_password(serve: Callable[..., Server], start_worker: Callable[..., Any], alice: Any) -> None:
    with mail_server() as (port, mails):
        sender = {"EMAIL_URL": f"smtp://127.0.0.1:{port}", "DEFAULT_FROM_EMAIL": "Example <no-reply@example.com>"}
        worker = start_worker(**sender)
        server = serve(**sender)

        asked = requests.post(f"{server.api}/password/forgot", json={"email": "alice@example.com"}, timeout=30)
        (mail,) = wait_until(lambda: mails, what="the mail")

        assert asked.status_code == 202
        assert (mail["To"], mail["From"]) == ("alice@example.com", "Example <no-reply@example.com>")
        text = mail.get_body(("plain",))
        assert text is not None
        body = {"token": token_in(text.get_content()), "new_password": NEW}
        assert requests.post(f"{server.api}/password/reset", json=body, timeout=30).status_code == 200
        login = requests.post(f"{server.api}/login", json={"username": "alice", "password": NEW}, timeout=30)
        assert login.status_code == 200
        wait_until(lambda: "send_password_reset finished" in worker.log.read_text(encoding="utf-8"), what="the log of the worker")
        written = server.log.read_text(encoding="utf-8") + worker.log.read_text(encoding="utf-8")
        assert body["token"] not in written
        assert "alice@" not in written


@pytest.mark.django_db(transaction=True)
def test_local_mode_shows_the_mail_on_the_console_and_not_in_the_log(start_worker: Callable[..., Any], alice: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    worker = start_worker(LOG_FILE=str(log))

    enqueue(send_password_reset, alice.pk)
    wait_until(lambda: "send_password_reset" in log.read_text(encoding="utf-8"), what="the mail")

    console = worker.log.read_text(encoding="utf-8")
    assert "To: alice@example.com" in console
    assert TOKEN.search(console)
    assert "alice@" not in log.read_text(encoding="utf-8")
    assert not TOKEN.search(log.read_text(encoding="utf-8"))
