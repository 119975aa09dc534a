"""Export to ONNX with torch.onnx: one file that includes the weights, opset 18."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx
    from torch import Tensor, nn

EXTRA = "onnx"

_OPSET = 18
"""Read by onnxruntime from 1.14 on, the first that boards may still have."""


@dataclass(frozen=True, slots=True)
class OnnxExporter:
    """Writes ``model.onnx``."""

    version: int = 2
    format: str = "onnx"
    file: str = "model.onnx"
    files: tuple[str, ...] = ("model.onnx",)
    requires: tuple[str, ...] = ("onnx", "onnxscript")
    tools: tuple[str, ...] = ("torch", "onnx", "onnxscript")

    def export(
        self,
        module: nn.Module,
        examples: Mapping[str, Tensor],
        outputs: tuple[str, ...],
        out: Path,
    ) -> dict[str, str]:
        """Write `module` into `out`; see `edgetl.exporters.Exporter.export`."""
        import torch

        from edgetl.nn.onnx_file import write_onnx
        from edgetl.nn.program import trace

        program = trace(module, examples, outputs)
        with warnings.catch_warnings():
            # torch.onnx 2.14 warns about its own use of deprecated functions of others.
            warnings.simplefilter("ignore")
            exported = torch.onnx.export(
                program,
                kwargs=dict(examples),
                dynamo=True,
                opset_version=_OPSET,
                external_data=False,
                input_names=list(examples),
                output_names=list(outputs),
                verbose=False,
            )
        if exported is None:
            raise TypeError("torch.onnx.export returned no program although dynamo=True")
        model = exported.model_proto
        _strip(model)
        write_onnx(model, out / self.file)
        return {name: name for name in outputs}


def _strip(model: onnx.ModelProto) -> None:
    # torch.onnx stores stack traces with absolute paths, and source lines, at every node and value.
    model.doc_string = ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    del graph.metadata_props[:]
    groups: Iterable[Iterable[onnx.NodeProto | onnx.ValueInfoProto | onnx.TensorProto]] = (
        graph.node,
        graph.input,
        graph.output,
        graph.value_info,
        graph.initializer,
    )
    for group in groups:
        for item in group:
            item.doc_string = ""
            del item.metadata_props[:]


EXPORTER = OnnxExporter()
