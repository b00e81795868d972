"""
What the start-up checks say about cached views.
"""

from typing import Any

import pytest
from django.urls import include
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from common.caching import cached
from common.checks import cached_view_errors, check_cached_views
from common.pagination import PageQuerySerializer
from common.routing import path
from common.views import View, ViewSet


def view_with(key: str, permission: Any = AllowAny, **options: Any) -> Any:
    class ThingView(View):
        permission_classes = (permission,)

        @cached(key, **options)
        def get(self, request: Request, **_: str) -> Response:
            return Response({})

    return ThingView.as_view()


class ThingViewSet(ViewSet):
    def get_permissions(self) -> list[Any]:
        return [AllowAny()] if self.action == "retrieve" else [IsAuthenticated()]

    @cached("things:{name}:one")
    def retrieve(self, request: Request, **_: str) -> Response:
        return Response({})


def errors(route: str, view: Any) -> list[str | None]:
    return [error.id for error in cached_view_errors([path(route, view)])]


def test_the_projects_own_views_are_right() -> None:
    assert check_cached_views(None) == []


@pytest.mark.parametrize(
    ("route", "key"),
    [("things/<str:name>", "things:{name}"), ("things", "things:all"), ("things/<int:id>", "things:{id}:thing-{id}.{user_id}")],
)
def test_a_key_that_names_what_the_route_has_is_right(route: str, key: str) -> None:
    assert errors(route, view_with(key)) == []


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        ("thing_counts:{name}:all", []),
        ("thing_counts:all", []),
        ("thing_counts:{nme}:all", ["common.E006"]),
        ("thing_counts:{page}:all", ["common.E006"]),
        ("thing_counts", ["common.E006"]),
    ],
)
def test_the_key_of_a_number_is_a_key_and_names_what_the_answers_key_names(count: str, expected: list[str]) -> None:
    assert errors("things/<str:name>", view_with("things:{name}:all", count=count)) == expected


def test_declared_query_parameters_are_known() -> None:
    assert errors("things", view_with("things:page_{page}_size_{items_per_page}", query=PageQuerySerializer)) == []


@pytest.mark.parametrize(
    "key",
    ["things", "{name}:things", "things:*", "things::{name}", "things:{name}:", "things:{}", "things:{name!r}", "things:{name.x}", ""],
)
def test_what_is_no_key_is_an_error(key: str) -> None:
    assert errors("things/<str:name>", view_with(key)) == ["common.E001"]


@pytest.mark.parametrize("key", ["things:{title}:{name}", "things:{name}:{page}"])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(key: str) -> None:
    (error,) = cached_view_errors([path("things/<str:name>", view_with(key))])

    assert (error.id, "things/<str:name> has no" in error.msg) == ("common.E002", True)
    assert "Use one of: name, user_id." in str(error.hint)


def test_a_name_has_to_be_in_every_route_of_the_view() -> None:
    view = view_with("things:{name}:one")

    (error,) = cached_view_errors([path("things/<str:name>", view), path("things", view)])

    assert (error.id, "things has no name" in error.msg) == ("common.E002", True)


def test_an_argument_of_the_path_that_the_key_leaves_out_is_an_error() -> None:
    assert errors("<str:owner>/things/<str:name>", view_with("things:{name}:one")) == ["common.E003"]


def test_arguments_of_the_paths_around_count_too() -> None:
    patterns = [path("<str:owner>/", include([path("things", view_with("things:all:one"))]))]

    assert [error.id for error in cached_view_errors(patterns)] == ["common.E003"]


def test_a_view_that_is_not_open_to_anyone_has_to_name_the_caller() -> None:
    (error,) = cached_view_errors([path("things", view_with("things:all", IsAuthenticated))])

    assert (error.id, "does not name the caller" in error.msg, "{user_id}" in str(error.hint)) == ("common.E004", True, True)
    assert errors("things", view_with("things:{user_id}", IsAuthenticated)) == []


def test_permissions_are_those_of_the_action() -> None:
    assert errors("things/<str:name>", ThingViewSet.as_view({"get": "retrieve"})) == []


def test_only_get_is_cached() -> None:
    assert errors("things/<str:name>", ThingViewSet.as_view({"post": "retrieve"})) == ["common.E005"]
