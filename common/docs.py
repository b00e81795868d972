"""
The pages of the API's documentation. They load nothing from another host, and browsers are told to refuse it.
"""

from typing import Any

from django.conf import settings
from django.http import Http404
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularRedocView, SpectacularSwaggerSplitView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from .permissions import MayReadDocs
from .views import RefusalOrderMixin

# What comes inline is styles and images; Redoc searches in a worker that it makes up itself.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; connect-src 'self'; font-src 'self' data:; img-src 'self' data:; script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class DocsMixin(RefusalOrderMixin):
    """
    Show the documentation to those who may read it. In production there is none, whatever the method.
    """

    permission_classes = (MayReadDocs,)
    throttle_classes = ()
    may_be_shared = False

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if settings.ENVIRONMENT == "production":
            raise Http404
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # drf-spectacular asks for it.
        request.version, request.versioning_scheme = None, None

    def handle_exception(self, exc: Exception) -> Response:
        self._answer_no_page()
        return super().handle_exception(exc)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        self._answer_no_page()
        return super().options(request, *args, **kwargs)

    def _answer_no_page(self) -> None:
        self.request.accepted_renderer, self.request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response


class OpenAPIView(DocsMixin, SpectacularJSONAPIView):
    renderer_classes = [OpenApiJsonRenderer2]


class SwaggerView(DocsMixin, SpectacularSwaggerSplitView):
    pass


class RedocView(DocsMixin, SpectacularRedocView):
    template_name = "common/redoc.html"
