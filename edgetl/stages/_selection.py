"""Choose among the candidates of a target: which meet its limits, which is best, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgetl.config.limits import Bound, Figures, Judge, Limits, Source
from edgetl.config.target import Target
from edgetl.errors import first_of
from edgetl.facts.package import Outcome, Verdict
from edgetl.runtime.paired import Rounds, ratio

_NAMES = 2
"""At most named in a reason."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known about one candidate."""

    name: str
    """``onnx int8``."""
    figures: Figures
    broken: str = ""
    """Golden samples that it predicts differently on the device; empty if none, or not tried."""
    rounds: Rounds | None = None
    """Its turns in the timing of all candidates; None if no real device timed it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One candidate's verdict with its reason, for display."""

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
    """Of a target whose limits are not met: which limit no candidate meets, or what is missing."""


def choose(target: Target, candidates: Sequence[Measured]) -> Selection:
    """Return the fastest of the candidates that meet every limit.

    Of several whose difference from the fastest one is not significant, the smallest is chosen. If
    none is shown to meet all limits, one of those that break none is chosen in the same way but
    stays unverified; without a device nothing is timed, so the smallest is chosen.

    Args:
        target: Whether it has a device decides if times can be expected.
        candidates: At least one; ties go to the first.
    """
    judged = [_judge(target, candidate) for candidate in candidates]
    holding = _those(judged, Verdict.HOLDS)
    if holding:
        best, how = _best(candidates, holding)
        for i in holding:
            reason = f"{how} within limits" if i == best else _slower(candidates, i, best)
            verdict = Verdict.CHOSEN if i == best else Verdict.HOLDS
            judged[i] = Judgement(verdict, "; ".join(filter(None, [reason, judged[i].reason])))
        return Selection(Outcome.HELD, best, tuple(judged), "")
    undecided = _those(judged, Verdict.UNVERIFIED)
    if undecided:
        best, how = _best(candidates, undecided)
        why = judged[best].reason
        judged[best] = Judgement(Verdict.UNVERIFIED, f"{why}; {how} that breaks no limit known")
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
    not_shown: str = ""
    """That the figure meets the limit and its interval does not, in words; else empty."""

    @property
    def broken(self) -> bool:
        return self.excess > 0 and not self.doubtful

    @property
    def undecided(self) -> bool:
        return math.isnan(self.excess) or (self.excess > 0 and self.doubtful)


def _checks(limits: Limits, candidate: Measured) -> Iterator[_Check]:
    figures = candidate.figures
    chance = limits.chance_problem(figures)
    # Of two candidates that only guess, the better one is nearer to the limit, but a perfect one
    # misses it, too: where all test images show one class, guessing reaches a metric of 1.
    yield _Check("better_than_guessing", chance, math.exp(-figures.metric) if chance else -math.inf)
    yield _Check("golden samples", candidate.broken, math.inf if candidate.broken else -math.inf)
    # Limits that need no device come first, because their figures are certain.
    for bound in sorted(limits.bounds(), key=lambda bound: bound.limit.source.on_device):
        yield _check(bound, figures)


def _check(bound: Bound, figures: Figures) -> _Check:
    limit = bound.limit
    value = limit.figure(figures)
    if value is None:
        return _Check(bound.name, f"{limit.title} is not measured", math.nan)
    text = limit.miss(figures, value, bound.value)
    doubtful = figures.interfered and limit.source is Source.TIMING
    if doubtful:
        text += ", but other programs disturbed the timing"
    excess = limit.excess(value, bound.value)
    return _Check(bound.name, text, excess, doubtful, bound.not_shown(figures))


def _judge(target: Target, candidate: Measured) -> Judgement:
    checks = list(_checks(target.limits, candidate))
    broken = [check.text for check in checks if check.broken]
    if broken:
        return Judgement(Verdict.REJECTED, broken[0])
    if target.device is None:
        return Judgement(Verdict.UNVERIFIED, "no device")
    if candidate.figures.p95_ms is None:
        return Judgement(Verdict.UNVERIFIED, "no time was measured on a real device")
    undecided = [check.text for check in checks if check.undecided]
    not_shown = [check.not_shown for check in checks if check.not_shown]
    if target.judge is Judge.SHOWN:
        undecided, not_shown = [*undecided, *not_shown], []
    if undecided:
        return Judgement(Verdict.UNVERIFIED, undecided[0])
    return Judgement(Verdict.HOLDS, "; ".join(not_shown))


def _those(judged: Sequence[Judgement], verdict: Verdict) -> list[int]:
    return [i for i, judgement in enumerate(judged) if judgement.verdict is verdict]


def _best(candidates: Sequence[Measured], positions: Sequence[int]) -> tuple[int, str]:
    """Return the fastest, or the smallest of the fastest ones, and which of these it is."""
    rounds = {i: each for i in positions if (each := candidates[i].rounds) is not None}
    if not rounds:
        return min(positions, key=lambda i: candidates[i].figures.size_bytes), "smallest"
    fastest = min(rounds, key=lambda i: rounds[i].typical)
    compared = {i: ratio(each, rounds[fastest]) for i, each in rounds.items() if i != fastest}
    equal = [fastest, *(i for i, each in compared.items() if not each.significant)]
    best = min(equal, key=lambda i: (candidates[i].figures.size_bytes, rounds[i].typical))
    how = "fastest"
    if len(equal) > 1:
        others = first_of([candidates[i].name for i in equal if i != best], _NAMES)
        how = f"smallest of the fastest (no significant difference from {others})"
    if any(each.disturbed for each in compared.values()):
        how += " by disturbed times"
    return best, how


def _slower(candidates: Sequence[Measured], i: int, best: int) -> str:
    """Return how much longer candidate `i` takes than the chosen one, in words."""
    one, other = candidates[i].rounds, candidates[best].rounds
    if one is None or other is None:
        return ""
    compared = ratio(one, other)
    if not compared.significant:
        return ""
    return f"{compared.value:.2f} times as long [{compared.low:.2f} {compared.high:.2f}]"


def _missed(limits: Limits, candidates: Sequence[Measured]) -> str:
    """Return which limits no candidate meets, each with the candidate that comes nearest."""
    names = dict.fromkeys(check.limit for check in _checks(limits, candidates[0]))
    parts: list[str] = []
    for name in names:
        checks = [
            (check, candidate.name)
            for candidate in candidates
            for check in _checks(limits, candidate)
            if check.limit == name
        ]
        if all(check.broken for check, _ in checks):
            nearest, who = min(checks, key=lambda pair: pair[0].excess)
            parts.append(f"no candidate meets {name}; nearest is {who}: {nearest.text}")
    return ". ".join(parts) or "each limit is met by some candidate, but no candidate meets all"
