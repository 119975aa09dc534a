"""Which operations of a network belong together, by what they read and write.

No names of layers: formats and exporters call them as they like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Gate(Enum):
    """An activation that multiplies what it reads with a share from 0 to 1 of it."""

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
"""Kinds of operations with weights, in lower case: convolutions, and linear layers like them."""
_ELEMENTWISE = frozenset(
    {
        "add", "clamp", "clip", "hard_swish", "hardsigmoid", "hardswish", "hsigmoid", "hswish",
        "leakyrelu", "logistic", "mul", "multiply", "relu", "relu6", "sigmoid", "swish",
    }
)  # fmt: skip
"""Kinds that work on each value alone: biases and activations."""
_PADDING = frozenset({"pad"})
_GATES: Mapping[str, Gate] = {
    "hardsigmoid": Gate.HARD_SWISH,
    "hsigmoid": Gate.HARD_SWISH,
    "logistic": Gate.SILU,
    "sigmoid": Gate.SILU,
}
"""Kinds that are multiplied with what they read."""
_GATED: Mapping[str, Gate] = {
    "hard_swish": Gate.HARD_SWISH,
    "hardswish": Gate.HARD_SWISH,
    "hswish": Gate.HARD_SWISH,
    "swish": Gate.SILU,
}
"""Kinds that do both."""
_PRODUCTS = frozenset({"mul", "multiply"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One node of a graph."""

    name: str
    """Unique in the graph."""
    kind: str
    """As its format calls it."""
    inputs: tuple[str, ...]
    """Tensors that it reads and images change; no constants."""
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


def gated(operations: Sequence[Operation], outputs: Iterable[str]) -> dict[str, tuple[Gate, str]]:
    """Return the tensors that nothing but a gated activation reads: which one, and its answer.

    Args:
        operations: The graph, with what every operation reads.
        outputs: Tensors that the network answers with; these are read by others, too.
    """
    readers: dict[str, list[Operation]] = {}
    for operation in operations:
        for name in dict.fromkeys(operation.inputs):
            readers.setdefault(name, []).append(operation)
    found: dict[str, tuple[Gate, str]] = {}
    for name in readers.keys() - set(outputs):
        match sorted(readers[name], key=lambda reader: reader.kind.lower() in _PRODUCTS):
            case [whole] if whole.kind.lower() in _GATED:
                found[name] = _GATED[whole.kind.lower()], whole.outputs[0]
            case [gate, product] if (
                gate.kind.lower() in _GATES
                and product.kind.lower() in _PRODUCTS
                and set(product.inputs) == {name, *gate.outputs}
                and readers[gate.outputs[0]] == [product]
            ):
                found[name] = _GATES[gate.kind.lower()], product.outputs[0]
    return found
