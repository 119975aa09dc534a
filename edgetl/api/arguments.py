"""Checks of the arguments of the Python API: a wrong one is one sentence, not a traceback."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TypeAlias

import yaml

from edgetl.errors import UsageError
from edgetl.types import Fact

PathLike: TypeAlias = str | os.PathLike[str]
Settings: TypeAlias = Mapping[str, Fact] | Sequence[str]
"""Values of a recipe by dotted key, ``{"distill.epochs": 40}``, or texts as ``--set`` takes them,
``["distill.epochs=40"]``."""

LONGEST_SECONDS = 600.0
"""Of a run of a timing."""

_END_OF_DOCUMENT = "...\n"
"""What PyYAML writes after a single value."""
_LONGEST = 40
"""Characters of a value that are worth quoting."""
_SETTINGS_EXAMPLE = "for example set={'distill.epochs': 40}"


def as_path(name: str, value: object) -> Path:
    """Return the argument `name` as a path.

    Raises:
        UsageError: If it is not a path, or empty.
    """
    if not isinstance(value, str | os.PathLike):
        raise wrong_type(name, value, "a path, as text or pathlib.Path")
    text = os.fspath(value)
    if not isinstance(text, str):
        raise wrong_type(name, value, "a path, as text or pathlib.Path")
    if not text:
        raise UsageError(f"`{name}` is an empty path", remedy="'.' is the working directory")
    return Path(text)


def as_optional_path(name: str, value: object) -> Path | None:
    """Return the argument `name` as a path, None if it was not given; raises like `as_path`."""
    return None if value is None else as_path(name, value)


def as_paths(name: str, value: object) -> tuple[Path, ...]:
    """Return the argument `name`, one path or several, as paths.

    Raises:
        UsageError: If it is anything else, or an empty path.
    """
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(as_path(name, each) for each in value)
    return (as_path(name, value),)


def as_recipe(value: object) -> str:
    """Return the argument `recipe`, the path of a file or the name of a built-in recipe.

    Raises:
        UsageError: If it is neither.
    """
    if isinstance(value, Mapping):
        raise UsageError(
            "`recipe` is a table, but edgetl reads recipes from files",
            remedy="name a YAML file or a built-in recipe, and change single values by "
            "set={'distill.epochs': 40}",
        )
    return str(as_path("recipe", value))


def as_text(name: str, value: object) -> str:
    """Return the argument `name`, which must be a text.

    Raises:
        UsageError: If it is not.
    """
    if not isinstance(value, str):
        raise wrong_type(name, value, "a text")
    return value


def as_optional_text(name: str, value: object) -> str | None:
    """Return the argument `name`, which must be a text or None; raises like `as_text`."""
    return None if value is None else as_text(name, value)


def as_texts(name: str, value: object) -> tuple[str, ...]:
    """Return the argument `name`, which must be a sequence of texts.

    Raises:
        UsageError: If it is not; a single text would be taken for its letters.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise wrong_type(name, value, f"a list of texts, such as {name}=['...']")
    return tuple(as_text(name, each) for each in value)


def as_choice(name: str, value: object, known: Sequence[str]) -> str:
    """Return the argument `name`, which must be one of `known`.

    Raises:
        UsageError: If it is not.
    """
    if value not in known:
        raise UsageError(
            f"`{name}` is {value!r}", remedy=f"use one of: {', '.join(map(repr, known))}"
        )
    return str(value)


def as_flag(name: str, value: object) -> bool:
    """Return the argument `name`, which must be True or False.

    Raises:
        UsageError: If it is not.
    """
    if not isinstance(value, bool):
        raise wrong_type(name, value, "True or False")
    return value


def as_count(name: str, value: object) -> int:
    """Return the argument `name`, an integer above zero.

    Raises:
        UsageError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise wrong_type(name, value, "an integer above zero")
    return value


def as_optional_count(name: str, value: object) -> int | None:
    """Return the argument `name`, an integer above zero or None; raises like `as_count`."""
    return None if value is None else as_count(name, value)


def as_number(name: str, value: object, low: float, high: float = math.inf) -> float:
    """Return the argument `name`, a number from `low` to `high`.

    Raises:
        UsageError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        upper = "or more" if high == math.inf else f"to {high:g}"
        raise wrong_type(name, value, f"a number, {low:g} {upper}")
    return float(value)


def as_seconds(name: str, value: object) -> float:
    """Return the argument `name`, the duration of a run of a timing.

    Raises:
        UsageError: If it is not a number above zero, or longer than the command allows.
    """
    seconds = as_number(name, value, 0.0, LONGEST_SECONDS)
    if seconds == 0.0:
        raise wrong_type(name, value, "above zero")
    return seconds


def as_overrides(value: object) -> tuple[str, ...]:
    """Return the argument `set` in the form of the option ``--set``.

    Raises:
        UsageError: If it is not as `Settings` describes, or a value cannot stand in a recipe.
    """
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return tuple(_override(key, each) for key, each in value.items())
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise UsageError(
            f"`set` must map keys of the recipe to values, not be {_described(value)}",
            remedy=_SETTINGS_EXAMPLE,
        )
    return as_texts("set", value)


def wrong_type(name: str, value: object, wanted: str) -> UsageError:
    """Return the error for an argument that is not what it must be."""
    return UsageError(f"`{name}` is {_described(value)}", remedy=f"it must be {wanted}")


def _override(key: object, value: object) -> str:
    if not isinstance(key, str) or "=" in key:
        raise UsageError(
            f"`set` has the key {key!r}, which is not the name of a setting",
            remedy=_SETTINGS_EXAMPLE,
        )
    try:
        # Not JSON: YAML reads its 1e-05 as text.
        text = yaml.safe_dump(_plain(value), default_flow_style=True, width=float("inf"))
    except yaml.representer.RepresenterError as error:
        raise UsageError(
            f"`set` gives '{key}' the value {_described(value)}, which a recipe cannot hold",
            remedy="use numbers, texts, True, False, None, and lists or dicts of them",
        ) from error
    return f"{key}={text.removesuffix(_END_OF_DOCUMENT).rstrip()}"


def _plain(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _described(value: object) -> str:
    """Return type and value, for example ``int 3``; only the type if the value is long."""
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= _LONGEST else type(value).__name__
