"""
How log lines look: one JSON object a line, or coloured text in local mode, each with the id of the request that it belongs to.
"""

from typing import Any

import structlog

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
    Return the `LOGGING` setting: everything to standard output, and to a rotating file where `file` names one.
    """
    renderer = structlog.dev.ConsoleRenderer(pad_event_to=0, exception_formatter=structlog.dev.plain_traceback) if readable else structlog.processors.JSONRenderer()
    exceptions = [] if readable else [structlog.processors.format_exc_info]
    handlers: dict[str, dict[str, Any]] = {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "line"}}
    if file:
        handlers["file"] = {
            "class": "logging.handlers.RotatingFileHandler",
            "filename": file,
            "maxBytes": 10_000_000,
            "backupCount": 5,
            "delay": True,
            "formatter": "line",
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [*exceptions, structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                "foreign_pre_chain": SHARED_PROCESSORS,
            }
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
