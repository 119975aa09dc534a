"""Compare what stages make with the record, and say what a difference asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgetl.types import Fact, Facts
from tests.system.stage_record.condense import FLOATS

COMMAND = "python -m tests.system.stage_record"

_SHARE = 1e-3
"""Floats that differ by less, relative to their size, are equal: processors round differently.
Between those with and without AVX2 and AVX-512 the largest difference is some 5e-5."""
_LEAST = 1e-6
_MOST_LINES = 8
_KEY = ("version", "plugins", "settings")
"""What is in the key of an artifact, besides the digests of its inputs and versions of packages."""
_RESULT = ("facts", "files", "measured")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a stage made of a node."""

    label: str
    stage: str
    content: Facts
    reads: tuple[str, ...]
    """Labels of the nodes that it depends on: not of models, which are replaced."""


def problems(entries: Sequence[Entry], recorded: Mapping[str, Facts]) -> list[str]:
    """Return what differs from the record, and what to do about it; one text per node.

    A node that reads another one whose result differs is not compared: it may differ for that.

    Args:
        entries: Of one recipe, in the order in which they were made.
        recorded: The content of its nodes in the record, by label.
    """
    texts: list[str] = []
    differing: set[str] = set()
    unjudged: list[str] = []
    for entry in entries:
        if differing.intersection(entry.reads):
            differing.add(entry.label)
            unjudged.append(entry.label)
            continue
        before = recorded.get(entry.label)
        result = _differences(before, entry.content, _RESULT)
        if result:
            differing.add(entry.label)
        problem = _problem(entry, before, result)
        if problem:
            texts.append(problem)
    gone = [label for label in recorded if label not in {entry.label for entry in entries}]
    texts += [
        f"node '{label}' is in the record but no longer planned; {_again()}" for label in gone
    ]
    if unjudged:
        texts.append(f"not compared, as they read these: {', '.join(unjudged)}")
    return texts


def differences(recorded: Fact, made: Fact, where: str = "") -> Iterator[str]:
    """Yield where two values of the record differ by more than rounding, with both values."""
    if isinstance(recorded, dict) and isinstance(made, dict):
        for key in dict.fromkeys([*recorded, *made]):
            inside = f"{where}.{key}" if where else key
            if key not in made or key not in recorded:
                yield f"{inside}: {'gone' if key in recorded else 'new'}"
            elif key == FLOATS:
                if not _same_floats(recorded[key], made[key]):
                    yield f"{where}: {_short(recorded[key])} -> {_short(made[key])}"
            else:
                yield from differences(recorded[key], made[key], inside)
    elif isinstance(recorded, list) and isinstance(made, list) and len(recorded) == len(made):
        for position, (before, after) in enumerate(zip(recorded, made, strict=True)):
            yield from differences(before, after, f"{where}[{position}]")
    elif not _same(recorded, made):
        yield f"{where}: {_short(recorded)} -> {_short(made)}"


def _differences(recorded: Facts | None, made: Facts, parts: Sequence[str]) -> list[str]:
    if recorded is None:
        return ["new"]
    before = {part: recorded[part] for part in parts if part in recorded}
    after = {part: made[part] for part in parts if part in made}
    return list(differences(before, after))


def _problem(entry: Entry, recorded: Facts | None, result: Sequence[str]) -> str:
    title = f"stage `{entry.stage}`, node '{entry.label}'"
    if recorded is None:
        return f"{title} is not in the record; {_again()}"
    key = _differences(recorded, entry.content, _KEY)
    if key:
        return (
            f"{title}: the record has another key than this node, so no store mixes the two up; "
            f"{_again()}\n{_listed(key)}"
        )
    if not result:
        return ""
    if "measured" in entry.content:
        return f"{title}: the facts in the record no longer fit; {_again()}"
    plugins = ", ".join(entry.content["plugins"]) or "none"
    runtime = "edgetl/runtime, " if "runtime" in entry.content["settings"] else ""
    return (
        f"{title}: the result differs from the record, but version {entry.content['version']}, "
        f"settings and plug-ins are the same, so a store would give what was made before the "
        f"change\n{_listed(result)}\n"
        f"  raise `Stage.version` of '{entry.stage}', or the version of the plug-in that changed "
        f"({plugins}), then {_again()}; if it comes from {runtime}a package or what this test "
        "gives the stage, only record again"
    )


def _again() -> str:
    return f"record again: {COMMAND}"


def _listed(lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return "\n".join(f"    {line}" for line in [*lines[:_MOST_LINES], *more])


def _same(recorded: Fact, made: Fact) -> bool:
    if isinstance(recorded, float) and isinstance(made, float):
        return _close(recorded, made, max(abs(recorded), abs(made)))
    return type(recorded) is type(made) and recorded == made


def _same_floats(recorded: Sequence[float], made: Sequence[float]) -> bool:
    # The first is the root mean square: how large the others may be.
    return len(recorded) == len(made) and all(
        _close(before, after, recorded[0]) for before, after in zip(recorded, made, strict=True)
    )


def _close(recorded: float, made: float, size: float) -> bool:
    return abs(recorded - made) <= max(_SHARE * size, _LEAST)


def _short(value: Fact) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
