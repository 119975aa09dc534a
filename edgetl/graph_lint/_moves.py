"""Which operations only move values, and what can be followed through them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOVES = frozenset(
    {
        "cast", "dequantize", "dequantizelinear", "expand_dims", "flatten", "identity", "quantize",
        "quantizelinear", "reshape", "squeeze", "transpose", "unsqueeze",
    }
)  # fmt: skip
"""Kinds of operations that do not change values, in lower case."""
_PICKS = frozenset({"clip", "gather", "relu", "relu6", "slice", "strided_slice"})
"""Kinds of operations that return some of the values of their first input, in lower case."""
JOINS = frozenset(
    {"concat", "concatfromsequence", "concatenation", "pack", "sequenceconstruct", "stack"}
)
"""Kinds of operations that make one tensor of several, in lower case."""

Operation = tuple[str, Sequence[str], Sequence[str]]
"""Kind, inputs and outputs."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The real numbers that a quantised tensor can hold."""

    step: float
    zero_point: float

    def real(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return what quantised `values` stand for."""
        return (values.astype(np.float64) - self.zero_point) * self.step


def reaching(operations: Sequence[Operation], outputs: Collection[str]) -> frozenset[str]:
    """Return the tensors that become part of `outputs` unchanged.

    Args:
        operations: In topological order.
        outputs: Names of tensors.
    """
    reached = set(outputs)
    for kind, inputs, results in reversed(operations):
        if kind.lower() in MOVES | JOINS and reached.intersection(results):
            reached.update(inputs)
    return frozenset(reached)


def grids_of(
    names: Iterable[str], operations: Iterable[Operation], known: Mapping[str, Grid]
) -> dict[str, Grid]:
    """Return the quantization grids of tensors that are only moved from tensors with known grids.

    Args:
        names: Tensors whose grids are requested.
        operations: All operations of the file.
        known: Grids of quantized tensors, and of tensors computed only from these.
    """
    moved = {
        results[0]: inputs[0]
        for kind, inputs, results in operations
        if kind.lower() in MOVES | _PICKS
    }
    grids = {}
    for name in names:
        source = name
        while source not in known and source in moved:
            source = moved[source]
        if source in known:
            grids[name] = known[source]
    return grids
