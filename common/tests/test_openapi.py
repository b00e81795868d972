"""
The OpenAPI description is complete, sound and pleasant to generate a client from.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from pytest_django import Settings

from common.exceptions import ERROR_TYPES
from common.routing import api_patterns

from .budgets import all_budgets
from .openapi import complaints, description, operations, resolved

API_OPERATIONS = {name: operation for name, operation in operations() if " /api/v1/" in name}
WITH_BODY = {name: operation for name, operation in API_OPERATIONS.items() if "requestBody" in operation}

every_operation = pytest.mark.parametrize("operation", API_OPERATIONS.values(), ids=API_OPERATIONS)
every_operation_with_a_body = pytest.mark.parametrize("operation", WITH_BODY.values(), ids=WITH_BODY)


def test_description_validates_without_a_warning() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())


def test_deploy_check_has_no_word_about_it() -> None:
    assert [message for message in run_checks(include_deployment_checks=True) if str(message.id).startswith("drf_spectacular")] == []


def _methods(callback: Any) -> Iterable[str]:
    return getattr(callback, "actions", None) or (name for name in callback.cls.http_method_names if hasattr(callback.cls, name))


def test_every_route_and_method_is_described() -> None:
    routes = {
        f"{method} /{route}".replace("<str:", "{").replace(">", "}")
        for route, pattern in api_patterns()
        for method in _methods(pattern.callback)
        if method not in ("options", "head")
    }

    assert set(API_OPERATIONS) == routes


def test_operation_ids_are_unique_and_stay_what_they_are() -> None:
    ids = Counter(operation["operationId"] for _, operation in operations())

    # Each stands where its app says what it costs.
    assert set(ids) == {budget.operation for budget in all_budgets()}
    assert set(ids.values()) == {1}


def test_tags_come_in_reading_order() -> None:
    tags = ["Login", "Users", "Posts", "Tiers", "Rate limits", "Tasks", "Health"]

    found = [tag["name"] for tag in description()["tags"]]

    # One that is added later stands where the settings describe it, or at the end.
    assert [tag for tag in found if tag in tags] == tags
    assert Counter(found) == dict.fromkeys((tag for _, operation in operations() for tag in operation["tags"]), 1)


def test_info_comes_from_the_settings(settings: Settings) -> None:
    info = description()["info"]

    assert (info["title"], info["version"]) == (settings.APP_NAME, settings.SPECTACULAR_SETTINGS["VERSION"])
    assert info["description"] == settings.SPECTACULAR_SETTINGS["DESCRIPTION"]
    assert info["license"] == settings.SPECTACULAR_SETTINGS["LICENSE"]


@every_operation
class TestEveryOperation:
    def test_has_a_summary_and_one_tag(self, operation: dict[str, Any]) -> None:
        assert operation["summary"]
        assert not operation["summary"].endswith(".")
        assert len(operation["tags"]) == 1

    def test_says_how_it_refuses(self, operation: dict[str, Any]) -> None:
        refusals = {code: response for code, response in operation["responses"].items() if code >= "400"}
        schemas = [str(response["content"]["application/json"]["schema"]) for response in refusals.values()]

        assert refusals
        assert all("/Error'" in schema or "/ValidationErrors'" in schema for schema in schemas)

    def test_every_response_has_a_description_and_carries_the_request_id(self, operation: dict[str, Any]) -> None:
        assert all(response["description"] and "X-Request-ID" in response["headers"] for response in operation["responses"].values())

    def test_401_names_the_scheme(self, operation: dict[str, Any]) -> None:
        refused = operation["responses"].get("401", {"headers": {"WWW-Authenticate": None}})

        assert "WWW-Authenticate" in refused["headers"]

    def test_429_says_how_long_to_wait(self, operation: dict[str, Any]) -> None:
        refused = operation["responses"].get("429", {"headers": {"Retry-After": None}})

        assert "Retry-After" in refused["headers"]

    def test_who_is_known_may_be_limited_and_is_told(self, operation: dict[str, Any]) -> None:
        headers = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit"}
        may_be_known = {"Bearer": []} in operation["security"]

        told = [code for code, response in operation["responses"].items() if headers <= set(response["headers"])]

        assert not may_be_known or {"429", min(operation["responses"])} <= set(told)

    def test_what_needs_a_token_may_answer_401(self, operation: dict[str, Any]) -> None:
        is_open = {} in operation["security"]

        assert is_open or "401" in operation["responses"]


@every_operation_with_a_body
def test_body_forbids_unknown_fields(operation: dict[str, Any]) -> None:
    schema = resolved(operation["requestBody"]["content"]["application/json"]["schema"])

    assert schema["additionalProperties"] is False


@every_operation_with_a_body
def test_body_may_be_too_large_of_another_type_or_wrong(operation: dict[str, Any]) -> None:
    assert {"413", "415", "422"} <= set(operation["responses"])


def test_form_of_the_login_passes_over_unknown_fields() -> None:
    content = dict(operations())["post /api/v1/login"]["requestBody"]["content"]

    assert set(content) == {"application/x-www-form-urlencoded", "multipart/form-data", "application/json"}
    assert "additionalProperties" not in resolved(content["application/x-www-form-urlencoded"]["schema"])


def test_message_of_a_task_may_come_by_query_instead_of_a_body() -> None:
    operation = dict(operations())["post /api/v1/tasks/task"]

    assert [(parameter["name"], parameter.get("required", False)) for parameter in operation["parameters"]] == [
        ("message", False),
        ("Idempotency-Key", False),
    ]
    assert operation["requestBody"]["required"] is False


def test_lists_are_paged_by_page_and_by_cursor() -> None:
    operation = dict(operations())["get /api/v1/{username}/posts"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]

    assert schema == {"$ref": "#/components/schemas/PaginatedPostList"}
    assert {"page", "items_per_page", "cursor"} <= {parameter["name"] for parameter in operation["parameters"]}


def test_validation_errors_name_every_type_of_the_contract() -> None:
    schemas = description()["components"]["schemas"]

    assert set(schemas["ValidationErrorType"]["enum"]) == {*ERROR_TYPES.values(), "value_error"}
    assert schemas["ValidationError"]["properties"]["loc"]["items"] == {"type": ["string", "integer"]}


def test_422_of_a_body_is_a_sentence_or_a_list() -> None:
    content = dict(operations())["post /api/v1/user"]["responses"]["422"]["content"]["application/json"]

    assert content["schema"] == {"oneOf": [{"$ref": "#/components/schemas/ValidationErrors"}, {"$ref": "#/components/schemas/Error"}]}
    assert {"EmailIsAlreadyRegistered", "UsernameNotAvailable"} <= set(content["examples"])


def test_ids_in_paths_are_described_by_their_own_type() -> None:
    found = dict(operations())

    assert found["get /api/v1/{username}/post/{id}"]["parameters"][1]["schema"] == {"type": "integer", "format": "int64", "minimum": 0}
    assert found["get /api/v1/tasks/task/{id}"]["parameters"][0]["schema"] == {"type": "string", "pattern": "^[0-9a-f]{32}$"}


@pytest.mark.parametrize(
    ("operation", "security"),
    [
        ("post /api/v1/refresh", [{"refreshCookie": []}]),
        ("post /api/v1/logout", [{"Bearer": []}, {"refreshCookie": []}]),
        ("get /api/v1/user/me/", [{"Bearer": []}]),
        ("get /api/v1/users", [{"Bearer": []}, {}]),
        ("post /api/v1/login", [{}]),
    ],
)
def test_security_says_what_is_needed(operation: str, security: Any) -> None:
    assert dict(operations())[operation]["security"] == security


def examples() -> Iterator[Any]:
    """
    Yield every example together with the schema that it is an example of.
    """

    def walk(node: Any, place: str) -> Iterator[Any]:
        if isinstance(node, dict):
            if isinstance(node.get("examples"), list):
                yield from (pytest.param(node, value, id=place) for value in node["examples"])
            if "schema" in node and isinstance(node.get("examples"), dict):
                yield from (
                    pytest.param(node["schema"], example["value"], id=f"{place}/{name}") for name, example in node["examples"].items()
                )
            for name, nested in node.items():
                yield from walk(nested, f"{place}/{name}")

    yield from walk(description(), "")


@pytest.mark.parametrize(("schema", "value"), list(examples()))
def test_example_is_one(schema: Any, value: Any) -> None:
    assert complaints(schema, value) == []


def test_examples_are_there_to_be_tested() -> None:
    schemas = description()["components"]["schemas"]
    bare = {name for name, schema in schemas.items() if schema["type"] == "object" and "examples" not in schema}

    assert {name for name in bare if not name.startswith("Paginated")} == {"Message", "ValidationError"}
