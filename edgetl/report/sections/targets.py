"""The verdict on each target, the figures of the candidate in focus, and all candidates."""

from __future__ import annotations

from pathlib import Path

from edgetl.facts.package import PackageFacts, Part
from edgetl.facts.verification import VerificationFacts
from edgetl.report import figures
from edgetl.report.record import Run, reason_of, shown_row
from edgetl.report.sections import Section
from edgetl.report.templating import render_template
from edgetl.store.store import Artifact

_TEMPLATE = Path(__file__).with_suffix(".html")


def _render(run: Run) -> str | None:
    if not run.packages:
        return None
    targets = [_target(run, package, i) for i, package in enumerate(run.packages)]
    return render_template(_TEMPLATE, targets=targets)


def _target(run: Run, package: Artifact, position: int) -> dict[str, object]:
    facts = package.read(PackageFacts)
    row = shown_row(facts)
    verification = run.part(package, row.candidate, Part.VERIFICATION)
    return {
        "facts": facts,
        "reason": reason_of(facts),
        "limits": facts.limits.in_words(),
        "row": row,
        "latency": run.latency(package, row.candidate),
        "verification": None if verification is None else verification.read(VerificationFacts),
        "tradeoff": figures.candidates(run, package, f"tradeoff-{position}"),
    }


SECTION = Section(version=1, title="Verdicts", position=10, render=_render)
