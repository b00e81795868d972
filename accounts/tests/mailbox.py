"""
How tests get at mails: what is in them, and a mail server that takes or refuses them.
"""

import re
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, ClassVar

from django.core.signing import Signer, b62_encode

from accounts.mail_tokens import SEPARATOR, Purpose

Capture = Callable[..., AbstractContextManager[Any]]
TOKEN = re.compile(r"\b[0-9]+\.[0-9A-Za-z]+\.[0-9A-Za-z_-]{43}\b")


def token_in(text: str) -> str:
    """
    Return the one token in a mail.
    """
    (token,) = set(TOKEN.findall(text))
    return str(token)


def aged_token(purpose: Purpose, user: Any, *, seconds: int) -> str:
    """
    Return a token as it was made so many seconds ago.
    """
    moment = b62_encode(int(time.time()) - seconds)
    signer = Signer(salt=purpose.signer(user).salt, sep=SEPARATOR)
    return signer.sign(f"{user.pk}{SEPARATOR}{moment}")


class _Session(socketserver.StreamRequestHandler):
    """
    As much of SMTP as a client needs that sends mails.
    """

    refuses: ClassVar[bool] = False
    mails: ClassVar[list[EmailMessage]]

    def handle(self) -> None:
        self.say("220 ready")
        for line in self.rfile:
            verb = line.split()[0].upper()
            if verb == b"QUIT":
                return self.say("221 bye")
            if verb == b"DATA":
                self.say("354 go on")
                self.mails.append(self.read_mail())
            self.say(f"550 nobody here: {line.decode().strip()}" if verb == b"RCPT" and self.refuses else "250 fine")
        return None

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def read_mail(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        return message_from_bytes(b"".join(lines), policy=policy.default)


@contextmanager
def mail_server(*, refuses: bool = False) -> Iterator[tuple[int, list[EmailMessage]]]:
    """
    Run a mail server and yield its port and the mails that it took; one that `refuses` knows no addressee.
    """
    mails: list[EmailMessage] = []
    handler = type("Session", (_Session,), {"refuses": refuses, "mails": mails})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1], mails
        finally:
            server.shutdown()
