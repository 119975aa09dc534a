"""Read YAML strictly and keep the line number of every key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from edgetl.errors import ConfigError, Problem
from edgetl.types import Fact

Place = tuple[str | int, ...]
"""Path of keys and indices from the root of a document to a value."""


@dataclass(slots=True)
class Document:
    """A YAML mapping with the line number of every key."""

    source: str
    """Name in messages: the path as given by the user."""
    data: dict[str, Fact]
    lines: dict[Place, int] = field(default_factory=dict)
    overrides: dict[Place, str] = field(default_factory=dict)
    """Options of the command line that replace values, such as ``--set finetune.epochs=3``."""

    def line(self, place: Place) -> int | None:
        """Return the line of `place` or of the nearest enclosing table, counted from 1."""
        for end in range(len(place), 0, -1):
            if place[:end] in self.lines:
                return self.lines[place[:end]]
        return None

    def attributed(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Yield `problems`; those that an override has caused name it in the place of the file."""
        for problem in problems:
            option = self._override_at(tuple(problem.where.split(".")))
            yield replace(problem, source=option, line=None) if option else problem

    def remedy(self, problems: Sequence[Problem]) -> str:
        """Return what to edit for `problems`, as `attributed` yields them."""
        options = dict.fromkeys(each.source for each in problems if each.source)
        parts = [f"correct {option}" for option in options]
        if any(not each.source for each in problems):
            parts.append(f"edit {self.source}")
        return f"{', '.join(parts)} and run again"

    def _override_at(self, place: Place) -> str | None:
        """Return the override that set the value at `place`, or made a table around it."""
        for changed, option in self.overrides.items():
            if place[: len(changed)] == changed:
                return option
            shared = (place[:end] for end in range(1, len(place) + 1))
            if any(each == changed[: len(each)] and each not in self.lines for each in shared):
                return option
        return None


def read_document(path: Path, source: str) -> Document:
    """Return the YAML mapping in `path`.

    Raises:
        ConfigError: If the file cannot be read, is not a YAML mapping, or repeats a key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            source, [Problem("", f"cannot be read: {error.strerror}")], remedy="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(source, [Problem("", "is not UTF-8 text")]) from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        what = f"not YAML: {error.problem or error.context}"
        raise ConfigError(source, [Problem("", what, line)]) from error
    except yaml.YAMLError as error:
        raise ConfigError(source, [Problem("", f"not YAML: {error}")]) from error
    if not isinstance(root, yaml.MappingNode) or not isinstance(data, dict):
        raise ConfigError(source, [Problem("", "must be a table of `key: value` lines")])
    document = Document(source, data)
    repeated: list[Problem] = []
    for place, line in _places(root, ()):
        if place in document.lines and isinstance(place[-1], str):
            first = document.lines[place]
            repeated.append(Problem(dotted(place), f"is already defined in line {first}", line))
        document.lines.setdefault(place, line)
    if repeated:
        raise ConfigError(source, repeated)
    return document


def parse_override(text: str) -> tuple[Place, Fact]:
    """Return path and value of an override like ``finetune.epochs=3``; the value is YAML.

    Raises:
        ConfigError: If there is no ``=``, no key, or the value is not YAML.
    """
    name, equals, value = text.partition("=")
    keys = tuple(name.strip().split("."))
    if not equals or not all(keys):
        raise ConfigError(
            f"--set {text}",
            [Problem("", "must have the form key=value, with dots between nested keys")],
            remedy="for example --set finetune.epochs=3",
        )
    try:
        return keys, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"--set {text}",
            [Problem("", f"the value '{value}' is not YAML")],
            remedy="quote the value for the shell",
        ) from error


def override(document: Document, place: Place, value: Fact) -> None:
    """Set `place` of `document` to `value`, creating missing tables.

    Raises:
        ConfigError: If a part of the path is not a table.
    """
    table = document.data
    for depth, key in enumerate(place[:-1], start=1):
        inner = table.setdefault(str(key), {})
        if inner is None:
            inner = table[str(key)] = {}
        if not isinstance(inner, dict):
            what = f"is {inner!r}, not a table, so no key in it can be set"
            raise ConfigError(
                f"--set {dotted(place)}",
                [Problem(dotted(place[:depth]), what)],
                remedy=f"set the whole table, --set {dotted(place[:depth])}=..., or another key",
            )
        table = inner
    table[str(place[-1])] = value
    document.lines = {
        known: line for known, line in document.lines.items() if known[: len(place)] != place
    }


def dotted(place: Place) -> str:
    """Return `place` in dotted form: ``targets.0`` or ``data.path``."""
    return ".".join(str(key) for key in place)


def _places(node: yaml.Node, above: Place) -> Iterator[tuple[Place, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*above, str(key.value))
            yield place, key.start_mark.line + 1
            yield from _places(value, place)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*above, index), value.start_mark.line + 1
            yield from _places(value, (*above, index))
