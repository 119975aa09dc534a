"""Model chains: the accuracy of every step, and what it gains over the step before."""

from __future__ import annotations

from pathlib import Path

from edgetl.report.record import Run
from edgetl.report.sections import Section
from edgetl.report.templating import render_template

_TEMPLATE = Path(__file__).with_suffix(".html")


def _render(run: Run) -> str | None:
    return render_template(_TEMPLATE, chains=run.chains) if run.chains else None


SECTION = Section(version=2, title="Model chain", position=30, render=_render)
