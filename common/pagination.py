"""
Pages: `?page=1&items_per_page=10`, or `?cursor=` for paging without counting.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.core import signing
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Q, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ErrorDetail, ValidationError
from rest_framework.views import APIView

from .exceptions import InvalidInput
from .fields import MAX_BIG_INTEGER, IntegerField, StringField
from .serializers import QuerySerializer

MAX_ITEMS_PER_PAGE = 100
CURSOR_SALT = "common.pagination"


class PageQuerySerializer(QuerySerializer):
    page = IntegerField(default=1, min_value=1, max_value=MAX_BIG_INTEGER, help_text="Number of the page, from 1, which is the default.")
    items_per_page = IntegerField(default=10, min_value=1, max_value=MAX_ITEMS_PER_PAGE, help_text="Items on a page.")
    cursor = StringField(
        required=False,
        allow_blank=True,
        max_length=500,
        help_text="Empty to begin, then `next_cursor` of the last answer. Not together with `page`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "cursor" in attrs and "page" in self.initial_data:
            raise ValidationError({"cursor": [ErrorDetail("Give either cursor or page.", "value_error")]})
        return attrs


def page_query(request: Request) -> dict[str, Any]:
    """
    Return `page`, `items_per_page` and, where given, `cursor`; 422 for bad ones.
    """
    given = request.query_params
    if "cursor" in given:
        return _validated(given.dict())
    return dict(_numbered_page(given.get("page"), given.get("items_per_page")))


@lru_cache(maxsize=1024)
def _numbered_page(page: str | None, items_per_page: str | None) -> dict[str, Any]:
    # Few pages are asked for again and again, and what is wrong is not kept.
    given = {"page": page, "items_per_page": items_per_page}
    return _validated({name: text for name, text in given.items() if text is not None})


def _validated(parameters: Mapping[str, str]) -> dict[str, Any]:
    query = PageQuerySerializer(data=parameters)
    if not query.is_valid():
        raise InvalidInput("query", query.errors)
    return dict(query.validated_data)


class PagePagination(BasePagination):
    """
    Cut a queryset into pages. Its order has to be total: it ends with the primary key.

    A view's `count_rows(queryset, rows)` tells how many rows there are in all, where the page itself does not.
    """

    query_serializer = PageQuerySerializer

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        query = page_query(request)
        self.size: int = query["items_per_page"]
        self.by_cursor = "cursor" in query
        if self.by_cursor:
            return self._after(queryset, query["cursor"])
        self.page: int = query["page"]
        start = (self.page - 1) * self.size
        # The database takes no offset beyond its own integers.
        rows = list(queryset[start : start + self.size]) if start + self.size <= MAX_BIG_INTEGER else []
        if len(rows) < self.size and (rows or start == 0):
            # What ends on this page has been counted by reading it.
            self.total_count = start + len(rows)
        else:
            count_rows = getattr(view, "count_rows", None)
            self.total_count = count_rows(queryset, rows) if count_rows else queryset.count()
        # Pages past the end are without number.
        if view is not None and not rows and start:
            view.may_be_stored = False  # type: ignore[attr-defined]
        return rows

    def _after(self, queryset: QuerySet[Any], cursor: str) -> list[Any]:
        order = _order(queryset)
        if cursor:
            queryset = queryset.filter(_behind(order, cursor))
        rows = list(queryset[: self.size + 1])
        self.has_more = len(rows) > self.size
        rows = rows[: self.size]
        last = [field.value_to_string(rows[-1]) for field, _ in order] if self.has_more else None
        self.next_cursor = signing.dumps(last, salt=CURSOR_SALT) if last else None
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        if self.by_cursor:
            return Response({"data": data, "next_cursor": self.next_cursor, "has_more": self.has_more, "items_per_page": self.size})
        return Response(
            {
                "data": data,
                "total_count": self.total_count,
                "has_more": self.page * self.size < self.total_count,
                "page": self.page,
                "items_per_page": self.size,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        def count(minimum: int, text: str, example: int) -> dict[str, Any]:
            return {"type": "integer", "format": "int64", "minimum": minimum, "description": text, "examples": [example]}

        properties = {
            "data": schema,
            "total_count": count(0, "Number of all items; not given with `cursor`.", 1),
            "has_more": {"type": "boolean", "description": "Whether another page follows.", "examples": [False]},
            "page": count(1, "Number of this page; not given with `cursor`.", 1),
            "items_per_page": {"type": "integer", "minimum": 1, "maximum": MAX_ITEMS_PER_PAGE, "examples": [10]},
            "next_cursor": {"type": ["string", "null"], "description": "Given with `cursor` only; null at the end.", "examples": [None]},
        }
        return {"type": "object", "properties": properties, "required": ["data", "has_more", "items_per_page"]}


def _order(queryset: QuerySet[Any]) -> list[tuple[Any, bool]]:
    """
    Return the fields that the queryset is ordered by, each with whether it descends.
    """
    meta = queryset.model._meta
    order = []
    for name in map(str, queryset.query.order_by or meta.ordering or ()):
        bare = name.removeprefix("-")
        order.append((meta.pk if bare == "pk" else meta.get_field(bare), bare != name))
    return order


def _behind(order: list[tuple[Any, bool]], cursor: str) -> Q:
    """
    Return what the rows behind the cursor's have in common: at the first field in which they differ, they come later.
    """
    try:
        values = [field.to_python(text) for (field, _), text in zip(order, signing.loads(cursor, salt=CURSOR_SALT), strict=True)]
    except (signing.BadSignature, DjangoValidationError, TypeError, ValueError):
        raise InvalidInput("query", {"cursor": [ErrorDetail("This is no cursor of this API.", "value_error")]}) from None
    behind, equal = Q(), Q()
    for (field, descends), value in zip(order, values, strict=True):
        behind |= equal & Q((f"{field.name}__{'lt' if descends else 'gt'}", value))
        equal &= Q((field.name, value))
    return behind
