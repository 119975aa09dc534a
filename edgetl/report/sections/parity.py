"""The parity ladder of every model file, from the torch model to the file."""

from __future__ import annotations

from pathlib import Path

from edgetl.facts.verification import VerificationFacts
from edgetl.report.record import Run
from edgetl.report.sections import Section
from edgetl.report.templating import render_template

_TEMPLATE = Path(__file__).with_suffix(".html")


def _render(run: Run) -> str | None:
    verified = [artifact.read(VerificationFacts) for artifact in run.verifications().values()]
    # Candidates that differ only in their provider share the file, and so the ladder.
    ladders = {facts.file.name: facts for facts in verified}
    return render_template(_TEMPLATE, ladders=ladders) if ladders else None


SECTION = Section(version=2, title="Parity", position=40, render=_render)
