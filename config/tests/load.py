"""
Constant load that notes what failed and what was acknowledged.
"""

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from typing import Any, Self

from common.tests.servers import wait_until

from .production import Nginx

READS = ("/api/v1/alice/posts", "/api/v1/users?page=1", "/health/ready", "/api/v1/user/me/")
READERS, WRITERS = 3, 3
# Seconds between the requests of one thread.
PAUSE = 0.01


class Load:
    """
    Readers and writers that send one request after another, each on a connection of its own, while the block runs.

    `failed` names what was not answered as it should be, by the method; `acknowledged` holds the ids of the posts that a 201 promised.
    """

    def __init__(self, nginx: Nginx, token: str) -> None:
        self.nginx = nginx
        self.tls = nginx.tls
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.stopped = threading.Event()
        self.sent: Counter[str] = Counter()
        self.failed: list[tuple[str, str]] = []
        self.acknowledged: list[int] = []
        self.slowest = 0.0
        self.threads = [threading.Thread(target=self._read, args=(number,)) for number in range(READERS)]
        self.threads += [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        self.go_on()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def go_on(self, seconds: float = 1.0) -> None:
        """
        Let the load go on for this long, and until thirty more requests of each kind are through.
        """
        posts, reads = len(self.acknowledged), self.sent["GET"]
        time.sleep(seconds)
        wait_until(lambda: len(self.acknowledged) >= posts + 30 and self.sent["GET"] >= reads + 30, seconds=60, what="the load")

    def failures(self, method: str) -> list[str]:
        return [what for failed, what in self.failed if failed == method]

    def _read(self, number: int) -> None:
        for path in itertools.cycle(READS[number:] + READS[:number]):
            if self.stopped.wait(PAUSE):
                return
            self._send("GET", path, None, 200)

    def _write(self, number: int) -> None:
        for count in itertools.count():
            if self.stopped.wait(PAUSE):
                return
            post = self._send("POST", "/api/v1/alice/post", {"title": f"{number} {count}", "text": "Under load"}, 201)
            if post:
                self.acknowledged.append(post["id"])

    def _send(self, method: str, path: str, body: Any, expected: int) -> Any:
        self.sent[method] += 1
        connection = http.client.HTTPSConnection("localhost", self.nginx.https_port, timeout=60, context=self.tls)
        started = time.monotonic()
        try:
            connection.request(method, path, json.dumps(body) if body else None, self.headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as exc:
            self.failed.append((method, f"{path}: {exc!r}"))
            return None
        finally:
            connection.close()
            self.slowest = max(self.slowest, time.monotonic() - started)
        if response.status != expected:
            self.failed.append((method, f"{path}: {response.status} {content.decode()}"))
            return None
        return json.loads(content)
