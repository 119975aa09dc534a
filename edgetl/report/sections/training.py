"""Torch models: their accuracy before export, their epochs, and what distillation gains."""

from __future__ import annotations

from pathlib import Path

from edgetl.facts.training import ModelFacts, TrainingFacts
from edgetl.report import figures
from edgetl.report.record import Run, model_facts
from edgetl.report.sections import Section
from edgetl.report.templating import render_template

_TEMPLATE = Path(__file__).with_suffix(".html")


def _render(run: Run) -> str | None:
    if not run.trained:
        return None
    trained = [
        {
            "role": role,
            "facts": model_facts(artifact),
            "origin": _origin(model_facts(artifact)),
            "seconds": artifact.manifest.seconds,
        }
        for role, artifact in run.trained.items()
    ]
    return render_template(
        _TEMPLATE, trained=trained, comparison=run.comparison, figures=figures.training(run)
    )


def _origin(facts: ModelFacts) -> str:
    """Return which weights the model starts from."""
    return facts.weights.source if isinstance(facts, TrainingFacts) else "a saved model"


SECTION = Section(version=3, title="Torch models", position=20, render=_render)
