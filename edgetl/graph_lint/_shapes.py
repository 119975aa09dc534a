"""What a model's only input must look like to be a picture, and which operations only move."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from edgetl.graph_lint import not_a_model
from edgetl.graph_lint.findings import Image

_ANY_SIDE = 320
"""Pixels of a side that a file leaves open; a multiple of every usual stride."""
_RANK = 4
_COLOURS = (1, 3)

MOVES = frozenset(
    {
        "cast", "dequantize", "dequantizelinear", "expand_dims", "flatten", "identity", "quantize",
        "quantizelinear", "reshape", "squeeze", "transpose", "unsqueeze",
    }
)  # fmt: skip
"""Kinds of operations that keep values as they are, in lower case."""
JOINS = frozenset(
    {"concat", "concatfromsequence", "concatenation", "pack", "sequenceconstruct", "stack"}
)
"""Kinds of operations that make one tensor of several, in lower case."""


def image_of(model: Path, inputs: Sequence[tuple[str, Sequence[int | None], str]]) -> Image:
    """Return the picture that a model takes.

    Args:
        model: For messages.
        inputs: Name, shape (None where the file leaves a size open) and dtype of each.

    Raises:
        ConfigError: If it takes something else.
    """
    if len(inputs) != 1:
        names = ", ".join(f"'{name}'" for name, _, _ in inputs)
        raise not_a_model(model, f"has {len(inputs)} inputs ({names}); one picture is wanted")
    name, shape, dtype = inputs[0]
    channels_last = len(shape) == _RANK and shape[3] in _COLOURS
    channels_first = len(shape) == _RANK and shape[1] in _COLOURS and not channels_last
    if not (channels_last or channels_first) or shape[0] not in {1, None}:
        sizes = ", ".join("?" if size is None else str(size) for size in shape)
        raise not_a_model(
            model,
            f"input '{name}' has shape ({sizes}); one picture is (1, H, W, 3) or (1, 3, H, W)",
        )
    channels, *sides = (shape[1:4]) if channels_first else (shape[3], *shape[1:3])
    height, width = (_ANY_SIDE if side is None else side for side in sides)
    return Image(height, width, channels or 1, channels_first, dtype)


def reaching(
    operations: Iterable[tuple[str, Sequence[str], Sequence[str]]], outputs: Collection[str]
) -> frozenset[str]:
    """Return the tensors that become part of `outputs` without being changed.

    Args:
        operations: Kind, inputs and outputs of each, every one before those that it reads.
        outputs: Names of tensors.
    """
    found = set(outputs)
    for kind, inputs, results in operations:
        if kind.lower() in MOVES | JOINS and found.intersection(results):
            found.update(inputs)
    return frozenset(found)
