"""A test case of the gate: red or green on its own, with a reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from edgetl.errors import ExitCode
from edgetl.types import Facts

MANIFEST = "manifest"
"""Provenance of a figure that was verified where the bundle was made, not on the device."""


class Status(StrEnum):
    """What a case says."""

    PASSED = "passed"
    FAILED = "failed"
    UNVERIFIED = "unverified"
    """A limit is set, but what was measured is no proof that it holds; never green."""
    SKIPPED = "skipped"
    """Nothing to compare with, or not run because an earlier case failed."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was checked."""

    name: str
    status: Status
    reason: str
    """In words, also of a green case: the figure and what is allowed."""
    provenance: str = ""
    """``measured``, ``emulated``, or `MANIFEST`; empty where nothing is measured."""
    warning: str = ""
    """What a reader must know although the case is not red."""
    figures: Facts = field(default_factory=dict)
    exit_code: ExitCode = ExitCode.LIMIT_MISSED
    """What the process ends with if this case fails."""

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


def exit_code(cases: Iterable[Case]) -> ExitCode:
    """Return what the process ends with: damage before missed limits, 0 if nothing failed."""
    codes = [case.exit_code for case in cases if case.status is Status.FAILED]
    return max(codes, default=ExitCode.DONE)
