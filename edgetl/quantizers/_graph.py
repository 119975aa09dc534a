"""Group the operations of a network by the tensors they read and write.

Layer names are not used: every format and exporter has its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Gate(Enum):
    """An activation that multiplies its input by a gate in [0, 1] computed from that input."""

    SILU = "silu"
    """Ramachandran et al., Searching for Activation Functions, 2017: ``x / (1 + exp(-x))``."""
    HARD_SWISH = "hard-swish"
    """Howard et al., Searching for MobileNetV3, 2019: ``x * min(max(x + 3, 0), 6) / 6``."""


_WEIGHTED = frozenset(
    {
        "conv", "conv_2d", "convolution", "depthwise_conv_2d", "fully_connected", "gemm",
        "groupconvolution", "matmul",
    }
)  # fmt: skip
"""Kinds of operations with weights, in lower case: convolutions and linear layers."""
_ELEMENTWISE = frozenset(
    {
        "add", "clamp", "clip", "hard_swish", "hardsigmoid", "hardswish", "hsigmoid", "hswish",
        "leakyrelu", "logistic", "mul", "multiply", "relu", "relu6", "sigmoid", "swish",
    }
)  # fmt: skip
"""Elementwise kinds: biases and activations."""
_PADDING = frozenset({"pad"})
_GATES: Mapping[str, Gate] = {
    "hardsigmoid": Gate.HARD_SWISH,
    "hsigmoid": Gate.HARD_SWISH,
    "logistic": Gate.SILU,
    "sigmoid": Gate.SILU,
}
"""Kinds that compute the gate; a product with their input follows."""
_GATED: Mapping[str, Gate] = {
    "hard_swish": Gate.HARD_SWISH,
    "hardswish": Gate.HARD_SWISH,
    "hswish": Gate.HARD_SWISH,
    "swish": Gate.SILU,
}
"""Kinds that compute gate and product in one operation."""
_PRODUCTS = frozenset({"mul", "multiply"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One node of a graph."""

    name: str
    """Unique in the graph."""
    kind: str
    """The format's name for it."""
    inputs: tuple[str, ...]
    """Tensors it reads that depend on the image; no constants."""
    outputs: tuple[str, ...]

    @property
    def weighted(self) -> bool:
        """Whether it is a convolution or a linear layer."""
        return self.kind.lower() in _WEIGHTED


def tail(operations: Sequence[Operation], outputs: Iterable[str]) -> frozenset[str]:
    """Return the last weighted operation on each path to `outputs`, and everything after it.

    Args:
        operations: In topological order.
        outputs: Output tensors of the network.

    Returns:
        Names of operations.
    """
    pending, names = set(outputs), set()
    for operation in reversed(operations):
        if pending.intersection(operation.outputs):
            names.add(operation.name)
            if not operation.weighted:
                pending.update(operation.inputs)
    return frozenset(names)


def unit(operations: Sequence[Operation], weighted: Operation) -> frozenset[str]:
    """Return the names of `weighted` and of its padding, bias and activation.

    If only some of them were in float, the tensors between them would still be rounded.
    """
    names, inside = {weighted.name}, set(weighted.outputs)
    for operation in operations:
        if set(operation.outputs) & set(weighted.inputs) and operation.kind.lower() in _PADDING:
            names.add(operation.name)
        elementwise = operation.kind.lower() in _ELEMENTWISE
        if elementwise and operation.inputs and inside.issuperset(operation.inputs):
            names.add(operation.name)
            inside.update(operation.outputs)
    return frozenset(names)


def gated(operations: Sequence[Operation], outputs: Iterable[str]) -> dict[str, tuple[Gate, str]]:
    """Return the tensors read only by a gated activation, each with its gate and output tensor.

    Args:
        operations: The whole graph.
        outputs: Output tensors of the network; the caller reads these, so they never qualify.
    """
    readers: dict[str, list[Operation]] = {}
    for operation in operations:
        for name in dict.fromkeys(operation.inputs):
            readers.setdefault(name, []).append(operation)
    gates: dict[str, tuple[Gate, str]] = {}
    for name in readers.keys() - set(outputs):
        match sorted(readers[name], key=lambda reader: reader.kind.lower() in _PRODUCTS):
            case [whole] if whole.kind.lower() in _GATED:
                gates[name] = _GATED[whole.kind.lower()], whole.outputs[0]
            case [gate, product] if (
                gate.kind.lower() in _GATES
                and product.kind.lower() in _PRODUCTS
                and set(product.inputs) == {name, *gate.outputs}
                and readers[gate.outputs[0]] == [product]
            ):
                gates[name] = _GATES[gate.kind.lower()], product.outputs[0]
    return gates
