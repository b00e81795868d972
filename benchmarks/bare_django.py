"""
A bare Django view without middlewares, for `gunicorn benchmarks.bare_django:application`.
"""

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path

from .yardsticks import BODY


def hello(_: HttpRequest) -> HttpResponse:
    return HttpResponse(BODY, content_type="application/json", headers={"Content-Length": str(len(BODY))})


settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=(path("", hello), path("health", hello)),
    SECRET_KEY="none",  # noqa: S106 - nothing is signed
    # Of the project's own gunicorn worker.
    MAX_BODY_BYTES=1_048_576,
)
application = WSGIHandler()
