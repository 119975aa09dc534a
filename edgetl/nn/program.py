"""From a torch module to the traced program that every converter reads."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram


def trace(
    module: nn.Module, examples: Mapping[str, Tensor], outputs: tuple[str, ...]
) -> ExportedProgram:
    """Return `module` as one graph with named inputs that returns a dictionary by output name.

    Args:
        module: In evaluation mode; returns one tensor or a tuple of ``len(outputs)``.
        examples: By name, in the order of the module's arguments.
        outputs: Names of the outputs.

    Raises:
        ValueError: If `module` is in training mode: dropout would be exported.
    """
    if module.training:
        raise ValueError("module must be in evaluation mode; call module.eval() first")
    named = _NamedOutputs(module, tuple(examples), outputs).eval()
    with torch.no_grad():
        program = torch.export.export(named, (), dict(examples), strict=False)
    _pool_by_mean(program.graph)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    program.graph_module.recompile()
    return program


class _NamedOutputs(nn.Module):
    """Names the inputs and outputs of a module."""

    def __init__(
        self, module: nn.Module, inputs: tuple[str, ...], outputs: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.module = module
        self.inputs = inputs
        self.outputs = outputs

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        result = self.module(*(inputs[name] for name in self.inputs))
        tensors = result if isinstance(result, tuple) else (result,)
        return dict(zip(self.outputs, tensors, strict=True))


def _pool_by_mean(graph: torch.fx.Graph) -> None:
    # torch 2.14 decomposes an adaptive pool to one pixel into mean and as_strided, which becomes
    # ReduceMean, Reshape and Gather in ONNX and OpenVINO; a mean alone is the same and stays one.
    for node in graph.nodes:
        if node.target == torch.ops.aten.adaptive_avg_pool2d.default and list(node.args[1]) == [
            1,
            1,
        ]:
            node.target = torch.ops.aten.mean.dim
            node.args = (node.args[0], [-2, -1], True)
