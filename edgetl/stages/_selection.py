"""Choose among the candidates of a target: which hold its limits, which is best, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from edgetl.config.target import Limits, Target

_MIB = 2**20


class Verdict(StrEnum):
    """What is known of one candidate."""

    CHOSEN = "chosen"
    HOLDS = "holds"
    REJECTED = "rejected"
    UNVERIFIED = "unverified"
    """Breaks no limit that could be checked, but not all could be."""


class Outcome(StrEnum):
    """What is known of a target."""

    HELD = "held"
    MISSED = "missed"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one candidate."""

    name: str
    """``onnx int8``."""
    title: str
    """What people call the metric: ``top-1``."""
    accuracies: Mapping[str, tuple[str, float]]
    """Title and figure by the name of the limit, the metric first."""
    at_chance: str | None
    """Why it is no better than guessing, in words; None if it is better."""
    no_predictions: bool
    """Whether it answers nothing at all, which no limit makes a result."""
    drop_pp: float
    """Of the metric."""
    size_bytes: int
    p95_ms: float | None
    """None where no device timed it."""
    memory_bytes: int | None
    interfered: bool
    """Other programs disturbed the timing, which can only have made it longer."""
    broken: str = ""
    """Which golden samples it answers otherwise on the device; empty if none, or not tried."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One candidate's verdict with its reason, for people."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The verdict of a target."""

    outcome: Outcome
    chosen: int | None
    """Position among the candidates; None if every one is rejected."""
    judgements: tuple[Judgement, ...]
    why: str
    """Of a target that is not held: which limit none holds, or what is missing."""


def choose(target: Target, candidates: Sequence[Measured]) -> Selection:
    """Return the fastest of the candidates that hold every limit.

    If none is shown to hold all, the fastest of those that break none is chosen but stays
    unverified; without a device nothing is timed, so that is the smallest.

    Args:
        target: Its device says whether times can be expected, its limits what must hold.
        candidates: At least one; ties go to the smaller one, then to the first.
    """
    judged = [_judge(target, candidate) for candidate in candidates]
    holding = _those(judged, Verdict.HOLDS)
    if holding:
        best = _first(candidates, holding)
        judged[best] = Judgement(Verdict.CHOSEN, "fastest within limits")
        return Selection(Outcome.HELD, best, tuple(judged), "")
    undecided = _those(judged, Verdict.UNVERIFIED)
    if undecided:
        best = _first(candidates, undecided)
        why = judged[best].reason
        order = "smallest" if candidates[best].p95_ms is None else "fastest"
        reason = f"{why}; {order} that breaks no limit known"
        judged[best] = Judgement(Verdict.UNVERIFIED, reason)
        return Selection(Outcome.UNVERIFIED, best, tuple(judged), why)
    return Selection(Outcome.MISSED, None, tuple(judged), _missed(target.limits, candidates))


@dataclass(frozen=True, slots=True)
class _Check:
    """One limit against one candidate."""

    limit: str
    text: str
    """``drop 14.2 > 1 pp``."""
    excess: float
    """How far the figure is on the wrong side; NaN if it is unknown."""
    doubtful: bool = False
    """Whether breaking the limit may be due to the measurement."""

    @property
    def broken(self) -> bool:
        return self.excess > 0 and not self.doubtful

    @property
    def undecided(self) -> bool:
        return math.isnan(self.excess) or (self.excess > 0 and self.doubtful)


def _checks(limits: Limits, candidate: Measured) -> Iterator[_Check]:
    metric = next(iter(candidate.accuracies.values()))[1]
    wanted = limits.better_than_guessing or candidate.no_predictions
    is_at_chance = wanted and candidate.at_chance is not None
    # The better of two that only guess is the nearer one.
    yield _Check(
        "better_than_guessing", candidate.at_chance or "", 1 - metric if is_at_chance else -1
    )
    yield _Check("golden samples", candidate.broken, 1.0 if candidate.broken else -1.0)
    for name, (title, value) in candidate.accuracies.items():
        least: float | None = getattr(limits, name)
        if least is not None:
            yield _Check(name, f"{title} {value:.4g} < {least:g}", least - value)
    if limits.drop_pp is not None:
        text = f"drop {candidate.drop_pp:.4g} > {limits.drop_pp:g} pp ({candidate.title})"
        yield _Check("drop_pp", text, candidate.drop_pp - limits.drop_pp)
    if limits.size_mib is not None:
        size_mib = candidate.size_bytes / _MIB
        yield _at_most("size_mib", "size", size_mib, limits.size_mib, "MiB")
    if limits.p95_ms is not None:
        yield _at_most(
            "p95_ms", "p95", candidate.p95_ms, limits.p95_ms, "ms", doubtful=candidate.interfered
        )
    if limits.memory_mib is not None:
        memory = candidate.memory_bytes
        memory_mib = None if memory is None else memory / _MIB
        yield _at_most("memory_mib", "memory", memory_mib, limits.memory_mib, "MiB")


def _at_most(
    limit: str,
    noun: str,
    value: float | None,
    most: float,
    unit: str,
    *,
    doubtful: bool = False,
) -> _Check:
    if value is None:
        return _Check(limit, f"{noun} is not measured", math.nan)
    text = f"{noun} {value:.4g} > {most:g} {unit}"
    if doubtful:
        text += ", but other programs disturbed the timing"
    return _Check(limit, text, value - most, doubtful)


def _judge(target: Target, candidate: Measured) -> Judgement:
    checks = list(_checks(target.limits, candidate))
    broken = [check.text for check in checks if check.broken]
    if broken:
        return Judgement(Verdict.REJECTED, broken[0])
    if target.device is None:
        return Judgement(Verdict.UNVERIFIED, "no device")
    if candidate.p95_ms is None:
        return Judgement(Verdict.UNVERIFIED, "no time was measured on a real device")
    undecided = [check.text for check in checks if check.undecided]
    if undecided:
        return Judgement(Verdict.UNVERIFIED, undecided[0])
    return Judgement(Verdict.HOLDS, "")


def _those(judged: Sequence[Judgement], verdict: Verdict) -> list[int]:
    return [i for i, judgement in enumerate(judged) if judgement.verdict is verdict]


def _first(candidates: Sequence[Measured], positions: Sequence[int]) -> int:
    def order(i: int) -> tuple[float, int]:
        p95_ms = candidates[i].p95_ms
        return math.inf if p95_ms is None else p95_ms, candidates[i].size_bytes

    return min(positions, key=order)


def _missed(limits: Limits, candidates: Sequence[Measured]) -> str:
    """Return which limits no candidate holds, each with the candidate that comes nearest."""
    names = dict.fromkeys(check.limit for check in _checks(limits, candidates[0]))
    parts: list[str] = []
    for name in names:
        found = [
            (check, candidate.name)
            for candidate in candidates
            for check in _checks(limits, candidate)
            if check.limit == name
        ]
        if all(check.broken for check, _ in found):
            nearest, who = min(found, key=lambda pair: pair[0].excess)
            parts.append(f"no candidate holds {name}; nearest is {who}: {nearest.text}")
    return ". ".join(parts) or "each limit is held by some candidate, but no candidate holds all"
