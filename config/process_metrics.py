"""
Where gunicorn's processes keep their counters, so that each can answer for all.

A process counts in files of its own number, not of its process id: who takes the place of a worker goes on counting where that one ended,
and there are never more files than workers.
"""

import os
import shutil
import tempfile

from . import listeners

# Kept here and not in gunicorn's configuration, which a reload reads anew.
_folder = ""


def begin() -> None:
    """
    Have this process and those that it forks count in one folder. Call it before anything is counted.
    """
    global _folder
    if _folder:
        return
    _folder = tempfile.mkdtemp(prefix="metrics-")
    os.environ.update(PROMETHEUS_MULTIPROC_DIR=_folder)
    from prometheus_client import values  # It looks at the variable above when it is first imported.

    values.ValueClass = values.MultiProcessValue(listeners.number)  # type: ignore[no-untyped-call]


def forget(number: int) -> None:
    """
    Take away what only a living worker can tell, its gauges; what it has counted stays.
    """
    from prometheus_client import multiprocess  # As above.

    multiprocess.mark_process_dead(number)  # type: ignore[no-untyped-call]


def end() -> None:
    shutil.rmtree(_folder, ignore_errors=True)
