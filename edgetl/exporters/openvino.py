"""Export to OpenVINO IR directly from torch: ``model.xml`` and ``model.bin``, float32."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import openvino
    from torch import Tensor, nn

EXTRA = "openvino"


@dataclass(frozen=True, slots=True)
class OpenvinoExporter:
    """Writes ``model.xml`` and ``model.bin``."""

    version: int = 1
    format: str = "openvino"
    file: str = "model.xml"
    files: tuple[str, ...] = ("model.xml", "model.bin")
    requires: tuple[str, ...] = ("openvino",)
    tools: tuple[str, ...] = ("torch", "openvino")

    def export(
        self,
        module: nn.Module,
        examples: Mapping[str, Tensor],
        outputs: tuple[str, ...],
        out: Path,
    ) -> dict[str, str]:
        """Write `module` into `out`; see `edgetl.exporters.Exporter.export`."""
        import openvino

        from edgetl.nn.program import trace

        program = trace(module, examples, outputs)
        shapes = [list(example.shape) for example in examples.values()]
        model = openvino.convert_model(program, input=shapes)
        _rename(model)
        for port, name in zip((*model.inputs, *model.outputs), (*examples, *outputs), strict=True):
            port.get_tensor().set_names({name})
        openvino.save_model(model, out / self.file, compress_to_fp16=False)
        return {name: name for name in outputs}


def _rename(model: openvino.Model) -> None:
    # Converted nodes carry numbers that count every conversion of the process, so the same model
    # would give different bytes the second time.
    model.set_friendly_name("model")
    for number, node in enumerate(model.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}_{number}")
        for output in node.outputs():
            output.get_tensor().set_names(set())


EXPORTER = OpenvinoExporter()
