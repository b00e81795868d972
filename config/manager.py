"""
What `make run` has its processes started, shown and stopped by: honcho, which knows of no terminal that is closed.
"""

import errno
import os
import signal
import sys
import threading
from typing import Any

import honcho.manager
import honcho.process
from honcho.printer import Printer

# Seconds until what does not stop is killed. gunicorn takes 30 for what it serves, a worker 8 for its tasks.
honcho.manager.KILL_WAIT = 40
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Output:
    """
    Standard output for as long as somebody reads it: afterwards it goes nowhere, which nobody who writes fails by, and this process is told
    to stop.
    """

    def isatty(self) -> bool:
        return sys.stdout.isatty()

    def write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
        except OSError as exc:
            self._give_up(exc)

    def flush(self) -> None:
        try:
            sys.stdout.flush()
        except OSError as exc:
            self._give_up(exc)

    def _give_up(self, exc: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        # A terminal that is closed sends SIGHUP to its first process, which need not pass it on.
        if exc.errno in (errno.EIO, errno.EPIPE):
            signal.raise_signal(signal.SIGTERM)


class Process(honcho.process.Process):
    """
    The process that starts another and reads what it prints, to its end.
    """

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        # In the group of who presses Ctrl-C or closes the terminal; what it starts is not, and is told by the manager.
        for number in STOPS:
            # Not SIG_IGN, which that would inherit.
            signal.signal(number, _pass)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        super().run(events, ignore_signals)


class Manager(honcho.manager.Manager):
    def __init__(self) -> None:
        super().__init__(Printer(Output()))
        self._process_ctor = Process

    def loop(self) -> None:
        """
        Run everything until one process ends, or until SIGTERM, Ctrl-C, or a terminal that is closed.
        """
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # As nohup has it.
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
        super().loop()

    def _start(self) -> None:
        # One that is just forked would answer a signal to the whole group as this process does, and never say that it has started.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        super()._start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def terminate(self) -> None:
        if self._all_started():
            super().terminate()
        else:
            # It knows no process that has not said so yet.
            again = threading.Timer(0.1, self.terminate)
            again.daemon = True
            again.start()


def _pass(number: int, frame: Any) -> None:
    pass
