"""A test case of the gate: red or green on its own, with a reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from edgetl.errors import ExitCode
from edgetl.types import Facts, Provenance

MANIFEST = "manifest"
"""Provenance of a figure that was verified where the bundle was made, not on the device."""


class Required(StrEnum):
    """The provenance that a check requires."""

    MEASURED = Provenance.MEASURED.value
    """A figure that could not be measured well enough counts as a missed limit."""
    EMULATED = Provenance.EMULATED.value
    """Predictions of an emulated board suffice; its times never do, and no case needs them."""


class Status(StrEnum):
    """The result of a case."""

    PASSED = "passed"
    FAILED = "failed"
    UNVERIFIED = "unverified"
    """A limit or comparison applies, but the measurements prove nothing; never green."""
    SKIPPED = "skipped"
    """No limit or comparison applies, or not run because an earlier case failed."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was checked."""

    name: str
    status: Status
    reason: str
    """In words, also for a green case: the figure and what is allowed."""
    provenance: str = ""
    """``measured``, ``emulated``, or `MANIFEST`; empty where nothing is measured."""
    warning: str = ""
    """What a reader must know even if the case is not red."""
    figures: Facts = field(default_factory=dict)
    exit_code: ExitCode = ExitCode.LIMIT_MISSED
    """Exit code of the process if this case fails."""
    doubtful: bool = False
    """Whether another measurement may give a different result."""

    def as_json(self) -> Facts:
        """Return the case as plain JSON."""
        return {
            "name": self.name,
            "status": self.status.value,
            "reason": self.reason,
            "provenance": self.provenance,
            "warning": self.warning,
            "figures": self.figures,
        }


def judged(
    name: str, problem: str, fine: str, *, provenance: str = "", figures: Facts | None = None
) -> Case:
    """Return a case that fails with `problem`, or passes with `fine` if there is none."""
    status = Status.FAILED if problem else Status.PASSED
    return Case(name, status, problem or fine, provenance, figures=figures or {})


def warned(case: Case, *warnings: str) -> Case:
    """Return `case` with `warnings` added to its own; empty ones are ignored."""
    return replace(case, warning="; ".join(filter(None, (case.warning, *warnings))))


def exit_code(cases: Iterable[Case], required: Required) -> ExitCode:
    """Return the exit code of the process: damage before missed limits, 0 if all is well.

    An unverified case counts as a missed limit if measured figures are required.
    """
    codes = {ExitCode.DONE}
    for case in cases:
        if case.status is Status.FAILED:
            codes.add(case.exit_code)
        if case.status is Status.UNVERIFIED and required is Required.MEASURED:
            codes.add(ExitCode.LIMIT_MISSED)
    return max(codes)
