"""Facts of the package stage: the verdict of a target, and one row per candidate."""

from __future__ import annotations

from enum import StrEnum

from edgetl.config.candidate import Candidate
from edgetl.config.limits import Limits
from edgetl.facts import FactsModel
from edgetl.types import Provenance

LATENCY_INPUT = "latency"
"""Name of the package's input that has the times of all candidates; absent without a device."""
BUNDLE_FOLDER = "bundle"
"""Folder of the artifact that a device can run; absent if no candidate was chosen."""


class Verdict(StrEnum):
    """The verdict on one candidate."""

    CHOSEN = "chosen"
    HOLDS = "holds"
    REJECTED = "rejected"
    UNVERIFIED = "unverified"
    """Breaks none of the limits that could be checked, but not all could be."""


class Outcome(StrEnum):
    """The verdict on a target."""

    HELD = "held"
    MISSED = "missed"
    UNVERIFIED = "unverified"


class Part(StrEnum):
    """The artifacts of each candidate that a package reads."""

    FILE = "file"
    FLOAT = "float"
    """The file that it was quantized from."""
    VERIFICATION = "verification"

    def of(self, candidate: Candidate) -> str:
        """Return the name of the package's input that is this part of `candidate`."""
        key = (candidate.model, candidate.format, candidate.precision.value, candidate.provider)
        return f"{self.value}/{'/'.join(key)}"

    @classmethod
    def is_in(cls, name: str) -> bool:
        """Return whether the package's input `name` is part of a candidate."""
        return name.startswith(tuple(f"{part.value}/" for part in cls))


class CandidateRow(FactsModel):
    """One line of a target's table: raw figures, and the verdict in words."""

    candidate: Candidate
    metric: str
    title: str
    value: float
    low: float
    high: float
    others: dict[str, float | None]
    """Other figures that a limit can be set on, by title."""
    drop_pp: float
    drop_low_pp: float
    drop_high_pp: float
    breaks_at: str | None
    """The first step of the parity ladder that does not hold."""
    size_bytes: int
    p50_ms: float | None
    """None if no device measured it."""
    p95_ms: float | None
    p95_low_ms: float | None
    p95_high_ms: float | None
    provenance: Provenance | None
    interfered: bool
    memory_bytes: int | None
    verdict: Verdict
    reason: str


class PackageFacts(FactsModel):
    """Facts of the package stage."""

    target: str
    device: str | None
    """Address."""
    threads: int
    limits: Limits
    verdict: Outcome
    why: str
    """Of a target whose limits are not met: which limit no candidate meets, or what is missing."""
    chosen: Candidate | None
    rows: tuple[CandidateRow, ...]
    """At least one."""

    @property
    def chosen_row(self) -> CandidateRow | None:
        """The row of the chosen candidate."""
        return next((row for row in self.rows if row.candidate == self.chosen), None)
