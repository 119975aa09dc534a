"""Which operations only move values, and what can be followed through them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
_BOUNDED = frozenset({"hardsigmoid", "logistic", "sigmoid", "softmax"})
"""Kinds of operations whose results lie in 0..1, in lower case."""
_PRODUCTS = frozenset({"mul"})

Operation = tuple[str, Sequence[str], Sequence[str]]
"""Kind, inputs and outputs."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The real numbers that a quantised tensor can hold."""

    step: float
    zero_point: float
    levels: tuple[float, float]
    """Lowest and highest integer of the type."""

    @property
    def ends(self) -> tuple[float, float]:
        """Return the lowest and the highest real number."""
        low, high = self.levels
        return (low - self.zero_point) * self.step, (high - self.zero_point) * self.step

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
    moved = _sources(operations)
    grids = {}
    for name in names:
        source = next((each for each in _upstream(name, moved) if each in known), None)
        if source is not None:
            grids[name] = known[source]
    return grids


def moved_from(
    names: Iterable[str], operations: Iterable[Operation], sources: Collection[str]
) -> frozenset[str]:
    """Return those of `names` whose values are only moved from one of `sources`, or are of them."""
    moved = _sources(operations)
    return frozenset(
        name for name in names if any(each in sources for each in _upstream(name, moved))
    )


def within_one(names: Iterable[str], operations: Iterable[Operation]) -> frozenset[str]:
    """Return those of `names` whose values cannot leave 0..1, whatever the model is fed.

    An image of nothing gives low scores; what they may become is 1.
    """
    makers = {name: (kind.lower(), inputs) for kind, inputs, made in operations for name in made}

    def is_within(name: str) -> bool:
        kind, inputs = makers.get(name, ("", ()))
        if kind in _BOUNDED:
            return True
        if kind in MOVES and inputs:
            return is_within(inputs[0])
        return kind in JOINS | _PRODUCTS and all(map(is_within, inputs))

    return frozenset(filter(is_within, names))


def _sources(operations: Iterable[Operation]) -> dict[str, str]:
    return {
        results[0]: inputs[0]
        for kind, inputs, results in operations
        if kind.lower() in MOVES | _PICKS
    }


def _upstream(name: str, moved: Mapping[str, str]) -> Iterator[str]:
    """Yield a tensor and those that its values are moved from, one after the other."""
    yield name
    while name in moved:
        name = moved[name]
        yield name
