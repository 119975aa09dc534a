"""The operating points of a run: thresholds by class with figures of validation and test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edgetl.config.candidate import ModelFile
from edgetl.facts.operating_point import (
    ClassCounts,
    ClassThreshold,
    OperatingFigures,
    OperatingPointFacts,
    ShareFacts,
)
from edgetl.facts.package import PackageFacts
from edgetl.facts.verification import VerificationFacts
from edgetl.report.formatting import share
from edgetl.store.store import Artifact

_MOST_LINES = 8
"""Classes of one file in the text of a run."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The operating point of one model file."""

    file: ModelFile
    chosen: OperatingPointFacts
    """On the validation split."""
    measured: OperatingFigures | None
    """On the test split; None if what is stated cannot be reached."""
    images: int
    """Of the test split."""

    @property
    def rows(self) -> list[tuple[ClassThreshold, ClassCounts | None]]:
        """Every class with its threshold, and its figures on the test split."""
        counts: Sequence[ClassCounts | None] = [None] * len(self.chosen.classes)
        if self.measured is not None:
            counts = self.measured.classes
        return list(zip(self.chosen.classes, counts, strict=True))


def operating_points(artifacts: Iterable[Artifact]) -> list[OperatingPoint]:
    """Return the operating points among the artifacts of a run, in order; empty without any."""
    chosen: dict[ModelFile, OperatingPointFacts] = {}
    verified: dict[ModelFile, VerificationFacts] = {}
    for artifact in artifacts:
        if artifact.manifest.kind == "operating point":
            facts = artifact.read(OperatingPointFacts)
            chosen[ModelFile(facts.model, facts.format, facts.precision)] = facts
        elif artifact.manifest.kind == "verification":
            verification = artifact.read(VerificationFacts)
            verified[verification.file] = verification
    return [
        OperatingPoint(
            file=file,
            chosen=facts,
            measured=None if facts.thresholds is None else verified[file].operating,
            images=verified[file].images,
        )
        for file, facts in chosen.items()
        if file in verified
    ]


def operating_point_lines(
    packages: Sequence[PackageFacts], artifacts: Iterable[Artifact]
) -> Iterator[str]:
    """Yield the operating point of every chosen candidate, class by class; nothing without one.

    Args:
        packages: One per target.
        artifacts: Of the run.
    """
    files = dict.fromkeys(each.chosen.file for each in packages if each.chosen is not None)
    points = {point.file: point for point in operating_points(artifacts)}
    for file in files:
        if file in points:
            yield from _lines(points[file])


def _lines(point: OperatingPoint) -> Iterator[str]:
    text = f"operating point of {point.file.name} on {point.images:,} test images"
    if point.measured is not None and point.measured.decided is not None:
        decided = point.measured.decided
        text += f": unsure of {decided.total - decided.count:,}, decided {interval(decided)}"
    yield text
    for row, counts in point.rows[:_MOST_LINES]:
        if counts is None or row.threshold is None:
            continue
        stated = "" if row.stated is None else f", {row.figure} {row.stated:g} stated"
        yield (
            f"  {row.label} from {row.threshold:.3f}{stated}: "
            f"precision {_of(counts.precision)}, recall {_of(counts.recall)}"
        )
    more = len(point.rows) - _MOST_LINES
    if more > 0:
        yield f"  and {more:,} more classes, in 'edgetl report'"


def interval(figure: ShareFacts) -> str:
    """Return a share with its interval: ``0.983 [0.910, 0.997]``."""
    return f"{share(figure.value)} [{share(figure.low)}, {share(figure.high)}]"


def _of(figure: ShareFacts | None) -> str:
    return "not measured" if figure is None else f"{interval(figure)} of {figure.total:,}"
