"""
How log lines look: one JSON object a line, or coloured text in local mode, each with the id of the request that it belongs to.
"""

import logging
from typing import Any

import structlog

# No line shows threads, processes and source lines, and looking them up takes a third of what a line does:
# https://docs.python.org/3/howto/logging.html#optimization
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
logging._srcfile = None

SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_config(level: str, *, readable: bool, file: str = "") -> dict[str, Any]:
    """
    Have structlog write through `logging`, and return the `LOGGING` setting.

    Everything goes to standard output, and as JSON to a rotating file where `file` names one.
    """
    structlog.configure(
        processors=[*SHARED_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handlers: dict[str, dict[str, Any]] = {
        "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "text" if readable else "json"}
    }
    if file:
        handlers["file"] = {
            # Python's own loses lines when several processes rotate one file.
            "class": "concurrent_log_handler.ConcurrentRotatingFileHandler",
            "filename": file,
            "maxBytes": 10_000_000,
            "backupCount": 5,
            "formatter": "json",
        }
    # With `rich` installed structlog would show the values of local variables, passwords among them.
    text = structlog.dev.ConsoleRenderer(pad_event_to=0, exception_formatter=structlog.dev.plain_traceback)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": _formatter(text),
            "json": _formatter(structlog.processors.format_exc_info, structlog.processors.JSONRenderer()),
        },
        "handlers": handlers,
        "root": {"handlers": list(handlers), "level": level},
        "loggers": {
            # Each request has its own line; Django's would say the same again, without the id.
            "django": {"handlers": [], "level": "INFO"},
            "django.server": {"handlers": [], "propagate": False},
            "django.request": {"level": "ERROR"},
            # A task's own line says more than these.
            "celery.app.trace": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
        },
    }


def _formatter(*processors: Any) -> dict[str, Any]:
    return {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
        "foreign_pre_chain": SHARED_PROCESSORS,
    }
