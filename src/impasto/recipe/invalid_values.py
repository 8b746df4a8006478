"""Say in plain words what pydantic found wrong with a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a table",
    "enum": "one of {expected}",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_type": "a whole number",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_attributes_type": "a table",
    "model_type": "a table",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "string_type": "text",
    "too_long": "at most {max_length} items",
    "too_short": "at least {min_length} items",
    "tuple_type": "a list",
}
"""What is expected, by pydantic's type of error, with the fields of its context."""


def describe_expected(details: Mapping[str, Any]) -> str | None:
    """Return what would be right in place of an invalid value.

    Args:
        details: one item of what ``ValidationError.errors`` returns.

    Returns:
        The rest of a sentence that begins with "expected". None: pydantic's own message, which our
        validators raised, has to say it.
    """
    text = _EXPECTED.get(details["type"])
    return None if text is None else text.format(**details.get("ctx", {}))


def describe_problem(details: Mapping[str, Any]) -> str:
    """Describe what is wrong with a field, as the rest of a sentence after the field's name."""
    expected = describe_expected(details)
    if expected is not None:
        return f"expected {expected}"
    if details["type"] == "extra_forbidden":
        return "no such field"
    if details["type"] == "missing":
        return "is missing"
    return str(details["msg"]).removeprefix("Value error, ")
