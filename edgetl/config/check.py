"""Check YAML documents against their tables and describe every problem for users."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgetl.config.table import Table
from edgetl.config.yaml_file import Document, Place, dotted
from edgetl.errors import Problem, closest

AnyTable = TypeVar("AnyTable", bound=Table)

_RENAMED = {
    "choice": "sampling",
    "closing_epochs": "no_aug_epochs",
    "drawn": "synthetic",
    "keep_float": "float_layers",
    "leave_out": "drop",
    "limit": "max_detections",
    "photos": "images",
    "score": "score_threshold",
    "suppression": "nms",
}
"""Former names of keys; the error message gives the new name."""
_EXPECTED = {
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "model_type": "a table of `key: value` lines",
    "dict_type": "a table of `key: value` lines",
    "tuple_type": "a list",
}
_CONSEQUENCES = frozenset({"too_short", "string_type"})
_MEMBERS = frozenset({"constrained-float", "str", "GroupColumn"})
"""Names that pydantic gives to the members of unions."""


def check_table(
    model: type[AnyTable],
    document: Document,
    data: object,
    *,
    above: Place = (),
    beside: Callable[[], Mapping[str, type[Table]]] = dict,
) -> tuple[AnyTable | None, list[Problem]]:
    """Return the validated table, or None and all of its problems.

    Args:
        model: The expected table.
        document: The document with `data`, for line numbers.
        data: The part of the document to check.
        above: Path of `data` in the document.
        beside: Returns other tables of the same file by name; called if there is an unknown key,
            which gets a hint if it belongs to one of them.
    """
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        by_place: dict[Place, list[ErrorDetails]] = {}
        for details in error.errors(include_url=False):
            place = _keys_only((*above, *details["loc"]))
            if _is_key_without_text(details):
                place = _as_written(document, place, details["input"])
            by_place.setdefault(place, []).append(details)
        _drop_consequences(by_place)
        problems = [
            Problem(
                dotted(place),
                _describe(model, place, details, beside, depth=len(above)),
                document.line(place),
            )
            for place, details in by_place.items()
        ]
        return None, problems


def field_names(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys of `model` in the order of their definition."""
    return tuple(model.model_fields)


def _keys_only(loc: Place) -> Place:
    # Pydantic adds the name of a union member, such as literal['val']; keys never look like this.
    return tuple(
        key for key in loc if not (isinstance(key, str) and (key in _MEMBERS or "[" in key))
    )


def _is_key_without_text(details: ErrorDetails) -> bool:
    """Return whether a key is not text."""
    kind, place = details["type"], details["loc"]
    return kind == "invalid_key" or (kind == "string_type" and place[-1:] == ("[key]",))


def _as_written(document: Document, place: Place, value: object) -> Place:
    """Return the place of a key that YAML reads as `value`: pydantic calls both yes and 1 '1'."""
    for known in document.lines:
        key = known[-1]
        if known[:-1] == place[:-1] and isinstance(key, str) and repr(value) == _as_read(key):
            return known
    return place


def _as_read(key: str) -> str:
    try:
        return repr(yaml.safe_load(key))
    except (yaml.YAMLError, ValueError):  # quoted in the document, such as "2024-99-99"
        return ""


def _drop_consequences(by_place: dict[Place, list[ErrorDetails]]) -> None:
    # Pydantic counts only valid items: a list with one wrong item is reported as too short as well.
    # A wrong table that could also be text is reported as no text, too.
    for place in list(by_place):
        is_above = any(other != place and other[: len(place)] == place for other in by_place)
        if is_above and all(details["type"] in _CONSEQUENCES for details in by_place[place]):
            del by_place[place]


def _describe(
    model: type[BaseModel],
    place: Place,
    errors: Sequence[ErrorDetails],
    beside: Callable[[], Mapping[str, type[Table]]],
    *,
    depth: int,
) -> str:
    first = errors[0]
    kind = first["type"]
    if kind == "extra_forbidden":
        table = _inner(model, first["loc"][:-1])
        return _unknown(str(place[-1]), table, beside(), is_top=depth == 0 and len(place) == 1)
    if _is_key_without_text(first):
        return f'must be in quotes, "{place[-1]}": YAML reads it as {first["input"]!s}, not as text'
    if kind == "missing":
        return "is missing"
    if kind == "value_error" and "ctx" in first:
        return str(first["ctx"]["error"])
    if kind == "string_pattern_mismatch":
        return f"is {first['input']!r}; letters, digits, '.', '_' and '-' only"
    return f"is {first['input']!r}; must {_must(errors)}"


def _must(errors: Sequence[ErrorDetails]) -> str:
    """Return what a value must do or be instead of what it is."""
    first = errors[0]
    if first["type"] == "too_short" and "ctx" in first:
        least = first["ctx"]["min_length"]
        return f"have at least {least} item{'s' * (least > 1)}"
    # A value that fits no member of a union is reported once per member.
    return f"be {' or '.join(map(_expected, errors))}"


def _expected(details: ErrorDetails) -> str:
    kind, value = details["type"], details["input"]
    if kind == "string_type" and isinstance(value, bool | int | float | date):
        return "text in quotes"
    return _EXPECTED.get(kind, details["msg"].removeprefix("Input should be "))


def _inner(model: type[BaseModel], loc: Place) -> type[BaseModel]:
    for key in loc:
        if not isinstance(key, str) or key not in model.model_fields:
            continue
        annotation = model.model_fields[key].annotation
        choices = (annotation, *getattr(annotation, "__args__", ()))
        tables = [
            kind for kind in choices if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        model = tables[0] if tables else model
    return model


def _unknown(
    key: str, table: type[BaseModel], beside: Mapping[str, type[Table]], *, is_top: bool
) -> str:
    allowed = [*field_names(table), *(beside if is_top else ())]
    close = closest(key, allowed)
    elsewhere = [name for name, other in beside.items() if key in other.model_fields]
    if _RENAMED.get(key) in allowed:
        hint = f"; it was renamed to '{_RENAMED[key]}'"
    elif elsewhere:
        hint = f"; '{key}' belongs to {' or '.join(f'`{name}`' for name in elsewhere)}"
    elif close:
        hint = f"; did you mean '{close}'?"
    else:
        hint = ""
    return f"unknown key{hint} (allowed: {', '.join(allowed)})"
