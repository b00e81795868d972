"""
The gunicorn worker that loses nothing when it stops.
"""

from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class WebWorker(ThreadWorker):
    """
    Serve in threads, and on stopping take what has connected already before the listening socket closes.

    gunicorn's own worker stops accepting at once but keeps its socket until its last connection is done. What connects meanwhile waits in
    the kernel and is reset in the end, and a POST that was reset must not be sent again. Here the queue is emptied and the socket closed at
    once: who comes later is refused, so that a proxy asks the next server, or meets the worker that takes over.
    """

    sockets: list[Any]

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive:
            self._leave()

    def _leave(self) -> None:
        for listener in self.sockets:
            connections = -1
            while connections < self.nr_conns:
                connections = self.nr_conns
                self.accept(listener)
            listener.close()
        self.sockets = []
