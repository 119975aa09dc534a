"""Trained networks: their accuracy before export, their epochs, and what distillation gains."""

from __future__ import annotations

from pathlib import Path

from edgetl.facts.training import TrainingFacts
from edgetl.report import figures
from edgetl.report.record import Run
from edgetl.report.sections import Section
from edgetl.report.templating import render_template

_TEMPLATE = Path(__file__).with_suffix(".html")


def _render(run: Run) -> str | None:
    if not run.trained:
        return None
    trained = [
        {"role": role, "facts": artifact.read(TrainingFacts), "seconds": artifact.manifest.seconds}
        for role, artifact in run.trained.items()
    ]
    return render_template(
        _TEMPLATE, trained=trained, comparison=run.comparison, figures=figures.training(run)
    )


SECTION = Section(version=2, title="Training", position=20, render=_render)
