"""What was chosen for each target, and why, as text for a terminal or a log."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from edgetl.facts.package import CandidateRow, Outcome, PackageFacts
from edgetl.facts.verification import VerificationFacts
from edgetl.report.formatting import reasons, share
from edgetl.store.store import Artifact
from edgetl.types import MIB

_WIDE = 240
"""Columns of a log line; a table wrapped at 80 is hard to read and to grep."""


def candidate_table(packages: Sequence[PackageFacts]) -> str:
    """Return one line per candidate of every target: figures, intervals, verdict with its reason.

    Args:
        packages: One per target, at least one, all of one task.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("target", "candidate"):
        table.add_column(name, no_wrap=True)
    first = packages[0].rows[0]
    for name in (first.title, *first.others, "drop pp", "p50 ms", "p95 ms", "MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for package in packages:
        for row in package.rows:
            table.add_row(package.target, row.candidate.name, *_figures(row), _verdict(row))
    text = io.StringIO()
    Console(file=text, width=_WIDE, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def verdict_lines(packages: Sequence[PackageFacts], dist: Path) -> Iterator[str]:
    """Yield one line per target: where its bundle is, or why it has none."""
    for package in packages:
        place = dist / package.target
        if package.chosen is None:
            yield f"{package.target}: no bundle; {package.why}"
        elif package.verdict is Outcome.HELD:
            yield f"{place}/  {package.chosen.name}"
            yield f"  try it: python -m edgetl.runtime predict {place} IMAGE"
        else:
            yield f"{place}/  {package.chosen.name} (unverified: {package.why})"


def worst_error_lines(
    packages: Sequence[PackageFacts], artifacts: Iterable[Artifact]
) -> Iterator[str]:
    """Yield one line per chosen candidate with errors: the picture that shows them.

    Args:
        packages: One per target.
        artifacts: Of the run.
    """
    verified = {}
    for artifact in artifacts:
        if artifact.manifest.kind == "verification":
            facts = artifact.read(VerificationFacts)
            verified[facts.file] = (artifact, facts.worst_errors)
    for chosen in dict.fromkeys(package.chosen for package in packages):
        # Candidates that differ in their provider share the file that was verified.
        if chosen is not None and chosen.file in verified:
            artifact, picture = verified[chosen.file]
            if picture is not None:
                yield f"worst errors of {chosen.name}: {artifact.file(picture)}"


def _figures(row: CandidateRow) -> Iterator[str]:
    yield f"{row.value:.3f} [{row.low:.3f} {row.high:.3f}]"
    for value in row.others.values():
        yield share(value)
    yield f"{row.drop_pp:z.1f}"
    if row.p95_ms is None or row.p50_ms is None:
        yield from ("not measured", "not measured")
    else:
        yield f"{row.p50_ms:.2f}"
        yield f"{row.p95_ms:.2f} [{row.p95_low_ms:.2f} {row.p95_high_ms:.2f}]"
    yield f"{row.size_bytes / MIB:.2f}"


def _verdict(row: CandidateRow) -> str:
    text = reasons(row)
    return f"{row.verdict}: {text}" if text else str(row.verdict)
