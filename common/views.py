"""
Base classes of the API's views: the order of refusals, and what every resource does alike.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.db import models
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework import status, viewsets
from rest_framework.exceptions import APIException, ErrorDetail, MethodNotAllowed, UnsupportedMediaType
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from .cache import Entry
from .exceptions import BodyTooLarge, Forbidden, InvalidInput, NotFound, RateLimited, Unauthorized
from .fast_path import stored_answer
from .models import SoftDeleteModel, model_title
from .parsers import missing_body
from .serializers import RowSerializer
from .throttling import RateThrottle, refused_by

NOT_AUTHENTICATED = "Not authenticated"


def find(queryset: models.QuerySet[Any], **lookup: Any) -> Any:
    """
    Return the one row that a path names, or raise `NotFound` as `<Model> not found`.
    """
    model = queryset.model
    try:
        return named(queryset, **lookup).get()
    except model.DoesNotExist:
        raise NotFound(f"{model_title(model)} not found") from None


def named(queryset: models.QuerySet[Any], **lookup: Any) -> models.QuerySet[Any]:
    """
    Return the rows that a path names; none for text that the database cannot hold.
    """
    if any(isinstance(value, str) and not _is_storable(value) for value in lookup.values()):
        return queryset.none()
    return queryset.filter(**lookup)


def _is_storable(text: str) -> bool:
    return not any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in text)


class RefusalOrderMixin(APIView):
    """
    Refuse in the order of `docs/contract.md`, section 1: 405, 413, 401, 403 on what only superusers may, 429; what follows is the view's.

    What a view that anyone may call answers to an anonymous GET may be kept by shared caches, unless `may_be_shared` is false; where it is
    cached, it says by `may_be_stored = False` that this answer is none that anybody else will ask for in these words. `refusals`
    tells the OpenAPI description, by action or method, what the view itself raises: not what permissions, throttles and the like refuse.
    """

    may_be_shared = True
    may_be_stored = True
    refusals: Mapping[str, Sequence[APIException | type[APIException]]] = {}

    @property
    def is_public(self) -> bool:
        return self.may_be_shared and all(type(permission) is AllowAny for permission in self.get_permissions())

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return stored_answer(self, request) or super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        method = (request.method or "").lower()
        if method == "options":
            return
        if method not in self.http_method_names or not hasattr(self, method):
            raise MethodNotAllowed(request.method or "")
        length = request.META.get("CONTENT_LENGTH") or ""
        # One that is no number is read as none, as Django does.
        if length.isdecimal() and int(length) > settings.MAX_BODY_BYTES:
            raise BodyTooLarge
        self.perform_authentication(request)
        self.check_permissions(request)
        self.check_throttles(request)

    def check_throttles(self, request: Request) -> None:
        counting = []
        for throttle in self.get_throttles():
            if isinstance(throttle, RateThrottle):
                counting.append(throttle)
            elif not throttle.allow_request(request, self):
                raise RateLimited(int(throttle.wait() or 1))
        # All at once, and last: what one of them refuses consumes nothing of the others.
        if refusing := refused_by(counting, request, self):
            raise RateLimited(max(int(throttle.wait() or 1) for throttle in refusing))

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        if request.user.is_authenticated:
            raise Forbidden(message)
        scheme = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")[0]
        raise Unauthorized("User not authenticated." if scheme.lower() == "bearer" else NOT_AUTHENTICATED)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.is_public = self.is_public
        return response

    def read_body(self) -> Any:
        """
        Return the parsed body; 415 for another media type, 422 for none.
        """
        if self.request.stream is None:
            if self.get_content_negotiator().select_parser(self.request, self.get_parsers()) is None:
                raise UnsupportedMediaType(self.request.content_type)
            raise missing_body()
        return self.request.data

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        return Response(status=status.HTTP_204_NO_CONTENT)


class View(RefusalOrderMixin):
    """
    A view of the API that is no resource. `serializer_class` describes what it shows, `input_serializers` what its methods read.
    """

    input_serializers: Mapping[str, type[BaseSerializer[Any]]] = {}


class ViewSet(RefusalOrderMixin, viewsets.GenericViewSet[Any]):
    """
    A resource of the API. `serializer_class` shows it.

    By action, `output_serializers` names what shows something else, `input_serializers` what reads the body, and `query_serializers` tells
    the OpenAPI description what reads the query.
    """

    input_serializers: ClassVar[dict[str, type[BaseSerializer[Any]]]] = {}
    output_serializers: ClassVar[dict[str, type[BaseSerializer[Any]]]] = {}
    count_entry: Entry | None = None
    query_serializers: ClassVar[dict[str, type[BaseSerializer[Any]]]] = {}

    @property
    def title(self) -> str:
        return model_title(self.queryset.model)  # type: ignore[arg-type, union-attr]

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return self.output_serializers.get(self.action) or super().get_serializer_class()

    def validate(self, instance: Any = None) -> Any:
        """
        Return the action's input serializer, validated; with an `instance`, only the fields that the body names are changed.
        """
        serializer_class = self.input_serializers[self.action]
        serializer = serializer_class(instance, data=self.read_body(), partial=instance is not None, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        return serializer

    def path_id(self) -> int:
        """
        Return the id in the path; 422 for one that is no number.
        """
        text: str = self.kwargs["id"]
        if not (text.isascii() and text.isdigit()):
            raise InvalidInput(
                "path", {"id": [ErrorDetail("Input should be a valid integer, unable to parse string as an integer.", "int_parsing")]}
            )
        # However many zeros stand before it, it is one row, and one entry of the cache.
        digits = text.lstrip("0") or "0"
        self.may_be_stored = digits == text
        # Beyond 19 digits no row can be meant, and Python refuses to read thousands.
        return int(digits[:20])

    def show(self, instance: Any, status_code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(instance).data, status_code)

    def say(self, message: str) -> Response:
        return Response({"message": message})

    def count_rows(self, queryset: models.QuerySet[Any], rows: Sequence[Any]) -> int:
        """
        Return how many rows there are on all pages; `rows` are those of one, which does not tell.
        """
        return queryset.count()

    def list(self, request: Request, **path: Any) -> Response:
        """
        Oldest first, in pages. `page` counts all of them; `cursor` does not, and stays fast however many there are.
        """
        serializer_class, queryset = self.get_serializer_class(), self.get_queryset()
        if issubclass(serializer_class, RowSerializer):
            queryset = serializer_class.narrow(queryset)
        page = self.paginate_queryset(queryset)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def create(self, request: Request, **path: Any) -> Response:
        return self.show(self.validate().save(), status.HTTP_201_CREATED)

    def retrieve(self, request: Request, **path: Any) -> Response:
        return self.show(self.get_object())

    def partial_update(self, request: Request, **path: Any) -> Response:
        """
        Only the fields that the body names are changed; `{}` changes nothing and succeeds.
        """
        self.validate(self.get_object()).save()
        return self.say(f"{self.title} updated")

    def destroy(self, request: Request, **path: Any) -> Response:
        instance = self.get_object()
        if isinstance(instance, SoftDeleteModel):
            instance.soft_delete()
        else:
            instance.delete()
        return self.say(f"{self.title} deleted")

    def destroy_row(self, request: Request, **path: Any) -> Response:
        """
        The row is removed, deleted before or not, with what belongs to it.
        """
        self.get_object().delete()
        return self.say(f"{self.title} deleted from the database")
