"""Quantized files: their size, their calibration, and the options that were tried."""

from __future__ import annotations

from pathlib import Path

from edgetl.config.candidate import ModelFile
from edgetl.facts.model_files import QuantizationFacts
from edgetl.report.record import Run
from edgetl.report.sections import Section
from edgetl.report.templating import render_template
from edgetl.store.store import Artifact

_TEMPLATE = Path(__file__).with_suffix(".html")


def _render(run: Run) -> str | None:
    quantized = [_quantized(artifact) for artifact in run.of_kind("quantized")]
    return render_template(_TEMPLATE, quantized=quantized) if quantized else None


def _quantized(artifact: Artifact) -> dict[str, object]:
    facts, settings = artifact.read(QuantizationFacts), artifact.manifest.settings
    kept = (settings.get("int8") or {}).get("float_layers", {}).get("convolutions", 0)
    return {
        "name": ModelFile(facts.model, facts.format, facts.precision).name,
        "facts": facts,
        "operations": [(row, position < kept) for position, row in enumerate(facts.convolutions)],
    }


SECTION = Section(version=2, title="Quantization", position=70, render=_render)
