"""Export to TFLite with litert_torch, in a separate process: it prints, and imports slowly."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.worker import run_worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

EXTRA = "tflite"


@dataclass(frozen=True, slots=True)
class TfliteExporter:
    """Writes ``model.tflite``; names of tensors are those of its only signature."""

    version: int = 2
    format: str = "tflite"
    file: str = "model.tflite"
    files: tuple[str, ...] = ("model.tflite",)
    requires: tuple[str, ...] = ("litert_torch",)
    tools: tuple[str, ...] = ("torch", "litert-torch", "litert-converter")

    def export(
        self,
        module: nn.Module,
        examples: Mapping[str, Tensor],
        outputs: tuple[str, ...],
        out: Path,
    ) -> dict[str, str]:
        """Write `module` into `out`; see `edgetl.exporters.Exporter.export`."""
        import torch

        from edgetl.nn.program import trace

        program = trace(module, examples, outputs)
        with tempfile.TemporaryDirectory(prefix="edgetl-tflite-") as folder:
            source = Path(folder) / "program.pt2"
            torch.export.save(program, source)
            run_worker(
                "edgetl.exporters._litert_worker",
                (str(source), str(out / self.file)),
                failure="litert_torch could not convert the model to TFLite",
                remedy="remove 'tflite' from the targets' candidates, or choose another family",
            )
        return {name: name for name in outputs}


EXPORTER = TfliteExporter()
