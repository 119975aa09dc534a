"""Reports what the stage ``tally`` counted."""

from __future__ import annotations

from edgetl.report.record import Run
from edgetl.report.sections import Section

from .tally import TallyFacts


def _render(run: Run) -> str | None:
    counts = [artifact.read(TallyFacts).classes for artifact in run.of_kind("tally")]
    return f"<p>{counts[0]} classes were counted.</p>" if counts else None


SECTION = Section(version=1, title="Tally", position=75, render=_render)
