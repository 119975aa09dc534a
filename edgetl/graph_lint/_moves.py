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
"""Kinds of operations that keep values as they are, in lower case."""
_PICKS = frozenset({"clip", "gather", "relu", "relu6", "slice", "strided_slice"})
"""Kinds of operations that answer with some of the values that they read first, in lower case."""
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
    """Return the tensors that become part of `outputs` without being changed.

    Args:
        operations: Every one behind those that it reads.
        outputs: Names of tensors.
    """
    names = set(outputs)
    for kind, inputs, results in reversed(operations):
        if kind.lower() in MOVES | JOINS and names.intersection(results):
            names.update(inputs)
    return frozenset(names)


def grids_of(
    names: Iterable[str], operations: Iterable[Operation], known: Mapping[str, Grid]
) -> dict[str, Grid]:
    """Return the grids that the values of tensors lie on, where no arithmetic is between.

    Args:
        names: Tensors to look up.
        operations: All of the file.
        known: Grids of quantised tensors, and of what was computed from them alone.
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
