"""
What runs in the background: the functions that `enqueue()` may name, and how each of them is to run.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, overload

from django.conf import settings

Function = TypeVar("Function", bound=Callable[..., Any])


class UnknownFunctionError(Exception):
    """
    No function of this name is known to this worker; during a deployment another one may know it.
    """


@dataclass(frozen=True)
class Options:
    """
    How a function runs; times are in seconds.

    After one of `retry_on`, it is run again up to `max_retries` times, after `backoff`, twice that, and so on, at most `backoff_max`; each
    pause is drawn between half of that and the whole. At `soft_time_limit` the function gets `SoftTimeLimitExceeded`; at `time_limit` its
    process is stopped. With `atomic` what it writes to the database and the record of its end are one transaction. Without a queue it
    waits for one, unless it `runs_without_queue`.
    """

    queue: str = "default"
    retry_on: tuple[type[Exception], ...] = ()
    max_retries: int = 3
    backoff: float = 5
    backoff_max: float = 600
    soft_time_limit: float = 300
    time_limit: float = 330
    atomic: bool = True
    runs_without_queue: bool = False

    def __post_init__(self) -> None:
        if self.queue not in settings.TASK_QUEUES:
            raise ValueError(f"There is no queue {self.queue!r}; TASK_QUEUES names {', '.join(settings.TASK_QUEUES)}.")
        if not 0 < self.soft_time_limit <= self.time_limit:
            raise ValueError("The soft time limit has to be positive and no longer than the time limit.")

    def pause(self, retries: int) -> float:
        """
        Return the seconds to wait before the next attempt, after so many retries.
        """
        # Jitter, so that what failed together does not come back together.
        return min(self.backoff_max, self.backoff * 2.0 ** min(retries, 32)) * random.uniform(0.5, 1)  # noqa: S311 - no secret


class BackgroundFunction(NamedTuple):
    call: Callable[..., Any]
    options: Options


FUNCTIONS: dict[str, BackgroundFunction] = {}


@overload
def background_task(function: Function) -> Function: ...


@overload
def background_task(**options: Any) -> Callable[[Function], Function]: ...


def background_task(function: Any = None, **options: Any) -> Any:
    """
    Let `enqueue()` name this function, and say how it is to run: see `Options`. Its arguments and its result have to be JSON.

    Called directly it is an ordinary function. Raises `ValueError` for a name that another function has.
    """

    def register(function: Function) -> Function:
        known = FUNCTIONS.get(function.__name__)
        if known is not None and known.call.__module__ != function.__module__:
            raise ValueError(f"{known.call.__module__} has a background task {function.__name__!r} already.")
        FUNCTIONS[function.__name__] = BackgroundFunction(function, Options(**options))
        return function

    return register if function is None else register(function)


def find_function(name: str) -> BackgroundFunction:
    """
    Return the function of this name, or one that raises `UnknownFunctionError` and is run again for a while.
    """

    def unknown(*_: Any, **__: Any) -> None:
        raise UnknownFunctionError(f"This worker knows no function {name!r}.")

    return FUNCTIONS.get(name) or BackgroundFunction(unknown, Options(retry_on=(UnknownFunctionError,), max_retries=5, backoff=20))
