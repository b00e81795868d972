"""
Serializer fields that take no value of another type and say what is wrong in the API's own terms.
"""

import re
from typing import Any, ClassVar, NoReturn

from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator, URLValidator, validate_email
from rest_framework import serializers

MAX_INTEGER = 2_147_483_647
MAX_BIG_INTEGER = 9_223_372_036_854_775_807
MAX_URL = 2048
URL_SCHEMES = ["http", "https", "ftp"]


class StrictField(serializers.Field[Any, Any, Any, Any]):
    """
    Base of strict fields: `error_types` gives the type under which an error key is reported where it is not the key itself.
    """

    error_types: ClassVar[dict[str, str]] = {}

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        raise serializers.ValidationError(self.error_messages[key].format(**kwargs), code=self.error_types.get(key, key))


class StringField(StrictField, serializers.CharField):
    """
    A string, never trimmed; NUL and lone surrogates are refused.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": "Input should be a valid string.",
        "null": "Input should be a valid string.",
        "required": "Field required.",
        "pattern": "Input has characters that are not allowed.",
    }
    error_types: ClassVar[dict[str, str]] = {
        "invalid": "string_type",
        "null": "string_type",
        "required": "missing",
        "blank": "string_too_short",
    }

    def __init__(self, *, pattern: str | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)
        if pattern:
            self.validators.append(RegexValidator(pattern, self.error_messages["pattern"], code="string_pattern_mismatch"))

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class EmailField(StringField):
    """
    An e-mail address of at most 254 characters, in lower case.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 254)
        super().__init__(**kwargs)

    def run_validators(self, value: Any) -> None:
        super().run_validators(value)
        try:
            validate_email(value)
        except DjangoValidationError as exc:
            raise serializers.ValidationError(exc.message, code="value_error") from None

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).lower()


class URLField(StringField):
    """
    An `http`, `https` or `ftp` URL of at most 2,048 characters.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", MAX_URL)
        super().__init__(**kwargs)
        self.validators.append(URLValidator(schemes=URL_SCHEMES, message="Input should be a valid URL.", code="value_error"))


class IntegerField(StrictField):
    """
    An integer: `5`, `"5"` and `5.0`, but neither `true` nor `1.5` nor `"1_0"`. Bounds default to what the database's `integer` holds.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": "Input should be a valid integer.",
        "null": "Input should be a valid integer.",
        "required": "Field required.",
        "parsing": "Input should be a valid integer, unable to parse string as an integer.",
    }
    error_types: ClassVar[dict[str, str]] = {"invalid": "int_type", "null": "int_type", "required": "missing", "parsing": "int_parsing"}

    def __init__(self, *, min_value: int = -MAX_INTEGER - 1, max_value: int = MAX_INTEGER, **kwargs: Any) -> None:
        self.min_value, self.max_value = min_value, max_value
        super().__init__(**kwargs)
        self.validators.append(MinValueValidator(min_value, f"Input should be greater than or equal to {min_value}."))
        self.validators.append(MaxValueValidator(max_value, f"Input should be less than or equal to {max_value}."))

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str):
            return self._parse(data)
        if isinstance(data, bool) or not isinstance(data, int | float) or (isinstance(data, float) and not data.is_integer()):
            self.fail("invalid")
        return int(data)

    def to_representation(self, value: Any) -> int:
        return int(value)

    def _parse(self, text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]+", text):
            self.fail("parsing")
        # Python refuses to read thousands of digits; for the bounds any number past them is the same.
        digits = text.lstrip("+-").lstrip("0")
        number = int(digits[:20] or "0") if len(digits) < 20 else MAX_BIG_INTEGER + 1
        return -number if text.startswith("-") else number
