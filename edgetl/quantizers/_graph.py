"""Which operations of a network belong together, by what they read and write.

No names of layers: formats and exporters call them as they like.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_WEIGHTED = frozenset(
    {
        "conv", "conv_2d", "convolution", "depthwise_conv_2d", "fully_connected", "gemm",
        "groupconvolution", "matmul",
    }
)  # fmt: skip
"""Kinds of operations with weights, in lower case: convolutions, and linear layers like them."""
_ELEMENTWISE = frozenset(
    {
        "add", "clamp", "clip", "hard_swish", "hardsigmoid", "hardswish", "hsigmoid", "hswish",
        "leakyrelu", "logistic", "mul", "multiply", "relu", "relu6", "sigmoid", "swish",
    }
)  # fmt: skip
"""Kinds that work on each value alone: biases and activations."""
_PADDING = frozenset({"pad"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One node of a graph."""

    name: str
    """Unique in the graph."""
    kind: str
    """As its format calls it."""
    inputs: tuple[str, ...]
    """Tensors that it reads and photos change; no constants."""
    outputs: tuple[str, ...]

    @property
    def weighted(self) -> bool:
        """Whether it is a convolution or a linear layer."""
        return self.kind.lower() in _WEIGHTED


def tail(operations: Sequence[Operation], outputs: Iterable[str]) -> frozenset[str]:
    """Return the last weighted operations on each way to `outputs`, and all that follows them.

    Args:
        operations: In an order in which every operation follows those that it reads.
        outputs: Tensors that the network answers with.

    Returns:
        Names of operations.
    """
    wanted, found = set(outputs), set()
    for operation in reversed(operations):
        if wanted.intersection(operation.outputs):
            found.add(operation.name)
            if not operation.weighted:
                wanted.update(operation.inputs)
    return frozenset(found)


def unit(operations: Sequence[Operation], weighted: Operation) -> frozenset[str]:
    """Return the names of `weighted` and what belongs to it: padding, bias and activation.

    A tensor between two of them would be rounded if only one of them were in float.
    """
    found, inside = {weighted.name}, set(weighted.outputs)
    for operation in operations:
        if set(operation.outputs) & set(weighted.inputs) and operation.kind.lower() in _PADDING:
            found.add(operation.name)
        elementwise = operation.kind.lower() in _ELEMENTWISE
        if elementwise and operation.inputs and inside.issuperset(operation.inputs):
            found.add(operation.name)
            inside.update(operation.outputs)
    return frozenset(found)
