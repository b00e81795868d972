import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from common.tests.servers import Server, started

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# Of Linux' `struct tcp_info`: how many segments with data in them came in.
DATA_SEGMENTS_IN = 152


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="Needs Linux.")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_head_and_body_are_sent_as_one(serve: Callable[..., Server], method: str) -> None:
    address = urlsplit(serve().url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 10) as connection:
        connection.sendall(f"{method} /api/v1/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.partition(b"\r\n\r\n")[2][:8] == (b'{"data":' if method == "GET" else b"")
    assert struct.unpack_from("I", info, DATA_SEGMENTS_IN) == (1,)


def test_an_address_that_another_server_has_is_refused(serve: Callable[..., Server], tmp_path: Path) -> None:
    taken = urlsplit(serve().url).netloc
    log = tmp_path / "second.log"
    command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py", "--bind", taken, "config.wsgi"]

    with started(command, log) as second:
        assert second.wait(60) == 1

    assert "Connection in use" in log.read_text(encoding="utf-8")
