"""The thresholds of every model file by class, and its figures on the test images at them."""

from __future__ import annotations

from pathlib import Path

from edgetl.report.operating_point import operating_points
from edgetl.report.record import Run
from edgetl.report.sections import Section
from edgetl.report.templating import render_template

_TEMPLATE = Path(__file__).with_suffix(".html")


def _render(run: Run) -> str | None:
    points = operating_points(run.artifacts.values())
    return render_template(_TEMPLATE, points=points) if points else None


SECTION = Section(version=1, title="Operating point", position=55, render=_render)
