from typing import Any

import pytest
from rest_framework import serializers

from ..exceptions import InvalidInput
from ..fields import MAX_INTEGER, EmailField, IntegerField, StringField, URLField
from ..serializers import StrictSerializer


def read(field: serializers.Field[Any, Any, Any, Any], value: Any) -> Any:
    """
    Return what the field makes of the value, or the type of the error.
    """
    serializer = type("FieldSerializer", (StrictSerializer,), {"field": field})(data={"field": value})
    if serializer.is_valid():
        return serializer.validated_data["field"]
    (item,) = InvalidInput("body", serializer.errors).items
    assert item["loc"] == ["body", "field"]
    return item["type"]


@pytest.mark.parametrize("value", ["", "\x00", "\ud800", "a\udfffb"])
def test_what_the_database_cannot_hold_is_refused(value: str) -> None:
    assert read(StringField(), value) in ("value_error", "string_too_short")


@pytest.mark.parametrize("value", [" ", " a ", "a\n", "😀", "\u2028", "a\u0301"])
def test_strings_are_never_trimmed_nor_changed(value: str) -> None:
    assert read(StringField(), value) == value


@pytest.mark.parametrize("value", [5, 1.5, True, None, [], {}, ["a"]])
def test_only_a_string_is_a_string(value: Any) -> None:
    assert read(StringField(), value) == "string_type"


@pytest.mark.parametrize(
    ("value", "outcome"), [("a", "string_too_short"), ("ab", "ab"), ("abc", "abc"), ("abcd", "string_too_long"), ("😀😀😀", "😀😀😀")]
)
def test_length_is_counted_in_characters(value: str, outcome: str) -> None:
    assert read(StringField(min_length=2, max_length=3), value) == outcome


@pytest.mark.parametrize(("value", "outcome"), [("abc", "abc"), ("ABC", "string_pattern_mismatch"), ("abc\n", "string_pattern_mismatch")])
def test_a_pattern_holds_to_the_end(value: str, outcome: str) -> None:
    assert read(StringField(pattern=r"^[a-z]+\Z"), value) == outcome


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (5, 5),
        ("5", 5),
        (5.0, 5),
        (-5, -5),
        ("-5", -5),
        ("+5", 5),
        ("007", 7),
        (0, 0),
        ("-0", 0),
        (MAX_INTEGER, MAX_INTEGER),
        (MAX_INTEGER + 1, "less_than_equal"),
        (-MAX_INTEGER - 1, -MAX_INTEGER - 1),
        (-MAX_INTEGER - 2, "greater_than_equal"),
        (2**64, "less_than_equal"),
        (1e300, "less_than_equal"),
        ("9" * 5000, "less_than_equal"),
        ("-" + "9" * 5000, "greater_than_equal"),
        (True, "int_type"),
        (False, "int_type"),
        (1.5, "int_type"),
        (float("inf"), "int_type"),
        (float("nan"), "int_type"),
        (None, "int_type"),
        ([], "int_type"),
        ({}, "int_type"),
        ("", "int_parsing"),
        ("1_0", "int_parsing"),
        ("1.5", "int_parsing"),
        ("five", "int_parsing"),
        ("٣", "int_parsing"),
        ("0x5", "int_parsing"),
        ("--5", "int_parsing"),
        ("5\n", "int_parsing"),
        ("\x00", "int_parsing"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_integers(value: Any, outcome: Any) -> None:
    assert read(IntegerField(), value) == outcome


@pytest.mark.parametrize(("value", "outcome"), [(0, "greater_than_equal"), (1, 1), (10, 10), (11, "less_than_equal")])
def test_integers_have_bounds(value: int, outcome: Any) -> None:
    assert read(IntegerField(min_value=1, max_value=10), value) == outcome


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("Alice@Example.COM", "alice@example.com"),
        ("a+b@example.com", "a+b@example.com"),
        ("a" * 60 + "@" + ".".join(["b" * 60] * 3) + ".com", "a" * 60 + "@" + ".".join(["b" * 60] * 3) + ".com"),
        ("a@" + "b" * 250 + ".com", "string_too_long"),
        ("alice", "value_error"),
        ("alice@", "value_error"),
        ("a b@example.com", "value_error"),
        (" alice@example.com", "value_error"),
        ("alice@example.com\n", "value_error"),
        ("alice\x00@example.com", "value_error"),
        ("", "string_too_short"),
        (5, "string_type"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_email_addresses(value: Any, outcome: str) -> None:
    assert read(EmailField(), value) == outcome


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("http://example.com", "http://example.com"),
        ("https://example.com/a?b=c#d", "https://example.com/a?b=c#d"),
        ("ftp://example.com/a", "ftp://example.com/a"),
        ("HTTPS://EXAMPLE.COM", "HTTPS://EXAMPLE.COM"),
        ("https://example.com/" + "a" * 2029, "string_too_long"),
        ("example.com", "value_error"),
        ("javascript:alert(1)", "value_error"),
        ("data:text/html,x", "value_error"),
        ("file:///etc/passwd", "value_error"),
        ("https://", "value_error"),
        (" https://example.com", "value_error"),
        ("https://example.com/a b", "value_error"),
        ("https://example.com\n", "value_error"),
        ("https://exa\x00mple.com", "value_error"),
        ("", "string_too_short"),
        (5, "string_type"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_urls(value: Any, outcome: str) -> None:
    assert read(URLField(), value) == outcome
