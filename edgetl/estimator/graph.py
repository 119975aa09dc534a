"""The operations of a model file and their sizes, in terms that all formats share."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edgetl.errors import ConfigError, MissingPackageError, Problem
from edgetl.graph_lint import refused
from edgetl.placeholder import placeholder
from edgetl.types import Precision

FORMATS = {".onnx": "onnx", ".xml": "openvino", ".tflite": "tflite"}
"""Format by the suffix of a model file."""
_PACKAGES = {"onnx": "onnx", "tflite": "ai_edge_litert", "openvino": "openvino"}
_BROADCAST_RUN = 4
"""Number of values, such as a pixel's colours or a box's sides, that fit into a vector register."""
_BYTE = 8
_HALF = 16


class Kind(StrEnum):
    """Kind of an operation; its cost depends on kind and size."""

    DENSE = "dense"
    """A convolution with a kernel larger than 1 x 1 over several channels."""
    POINTWISE = "pointwise"
    """A convolution with a 1 x 1 kernel."""
    DEPTHWISE = "depthwise"
    """A convolution of each channel separately."""
    LINEAR = "linear"
    """A matrix product for a single location: each weight is used once."""
    ACTIVATION = "activation"
    """Sigmoid, swish and similar functions of each value."""
    HARD_ACTIVATION = "hard activation"
    """Hard sigmoid and hard swish, which few engines compute in integers."""
    ARITHMETIC = "arithmetic"
    """Elementwise sums and products."""
    BROADCAST = "broadcast"
    """Elementwise arithmetic that repeats an operand every few values, so that an engine may
    process the values one by one."""
    CLIP = "clip"
    """Limits values to a range; usually fused into the previous operation and free."""
    MOVE = "move"
    """Concatenates, slices, enlarges or reorders values."""
    POOL = "pool"
    """Maximum or mean of each neighbourhood."""
    REDUCE = "reduce"
    """One value for each channel."""
    CONVERT = "convert"
    """Converts float to integers or back, unless another operation does it."""
    WEIGHTED = "weighted"
    """One of the first four kinds, not yet distinguished by shapes."""
    FREE = "free"
    """Costs nothing: a different view of the same values."""


WEIGHTED = frozenset({Kind.DENSE, Kind.POINTWISE, Kind.DEPTHWISE, Kind.LINEAR})
"""Kinds that multiply with weights."""
_FUSES = frozenset(
    {
        Kind.WEIGHTED,
        Kind.ARITHMETIC,
        Kind.ACTIVATION,
        Kind.HARD_ACTIVATION,
        Kind.CLIP,
        Kind.POOL,
        Kind.REDUCE,
    }
)
"""Kinds into which engines fuse the clipping and rounding of outputs."""
_PASSES_ON = frozenset({Kind.MOVE, Kind.POOL, Kind.CLIP, Kind.FREE})
"""Kinds that write integers if they read integers, whatever the file states."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of a convolution or matrix product."""

    kernel_area: int
    """Elements of the kernel per channel: 9 for 3 x 3."""
    fan_in: int
    """Input channels of each output."""
    channels: int
    """Output channels."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation, named as in its format."""

    name: str
    kind: Kind | None
    """None if the name is unknown."""
    reads: tuple[str, ...]
    """Tensors that depend on the input, without constants."""
    writes: tuple[str, ...]
    weights: Weights | None = None
    constants: tuple[tuple[int, ...], ...] = ()
    """Shapes of the constants that it reads."""


@dataclass(frozen=True, slots=True)
class ParsedGraph:
    """A model file as parsed, before simplification."""

    nodes: tuple[Node, ...]
    """In an order of execution, without operations that the engine computes once when loading."""
    shapes: Mapping[str, tuple[int, ...]]
    """Shapes of all tensors that nodes read or write."""
    predictions: frozenset[str]
    """The model's outputs."""
    stored_bits: frozenset[int]
    """Bits of weights."""
    activation_bits: int
    """Bits of the integers between operations, or 32."""
    integers: frozenset[str]
    """Tensors that are integers with a scale, or are converted to such."""
    rounds: bool
    """Whether conversions only annotate adjacent operations; otherwise each one is executed."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation that takes time."""

    kind: Kind
    name: str
    """Name in the format, for messages."""
    macs: int
    """Multiply-accumulate operations."""
    read: int
    """Values that it reads, without weights."""
    written: int
    """Values that it writes."""
    weights: int
    """Number of weights."""
    channels: tuple[int, int]
    """Input channels of each output, and output channels; (0, 0) if irrelevant."""
    integer: bool
    """Whether it can be computed in integers."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The operations of a model file."""

    format: str
    precision: Precision
    operations: tuple[Operation, ...]
    unknown: Mapping[str, int]
    """Number of unknown operations by their name in the format."""


def read_graph(model: Path) -> Graph:
    """Return the operations of the file `model`.

    Args:
        model: ``.onnx``, ``.tflite``, or the ``.xml`` of OpenVINO.

    Raises:
        ConfigError: If it is not such a file, or the size of a tensor is not fixed.
        MissingPackageError: If the package that reads its format is not installed.
    """
    suffix = model.suffix.lower()
    if suffix not in FORMATS:
        raise not_readable(model, f"is not a model file; it must end with {', '.join(FORMATS)}")
    if not model.is_file():
        raise not_readable(model, "no such file")
    instead = placeholder(model)
    if instead is not None:
        raise refused(model, instead.what, instead.remedy)
    format_ = FORMATS[suffix]
    if importlib.util.find_spec(_PACKAGES[format_]) is None:
        raise MissingPackageError(
            f"{suffix} files need the package '{_PACKAGES[format_]}', which is not installed",
            remedy=f"pip install 'edgetl[{format_}]'",
        )
    reader = importlib.import_module(f"edgetl.estimator._{format_}")
    parsed: ParsedGraph = reader.parse_graph(model)
    for name, shape in parsed.shapes.items():
        if min(shape, default=1) < 0:
            raise not_readable(model, f"does not fix the size of '{name}': {shape}")
    return simplify(format_, parsed)


def not_readable(model: Path, what: str) -> ConfigError:
    """Return the error for a file that cannot be read."""
    return ConfigError(
        str(model), [Problem("", what)], remedy="name a model file or folder that edgetl made"
    )


def simplify(format_: str, parsed: ParsedGraph) -> Graph:
    """Return the operations of `parsed` that take time, with their sizes."""
    makers = {tensor: node for node in parsed.nodes for tensor in node.writes}
    uses = Counter(tensor for node in parsed.nodes for tensor in node.reads)
    integers = set(parsed.integers)
    kept: list[Operation] = []
    for node in parsed.nodes:
        integer = bool(node.reads) and integers.issuperset(node.reads)
        if integer and node.kind in _PASSES_ON:
            integers.update(node.writes)
        maker = makers.get(node.reads[0]) if node.reads else None
        if node.kind is None or node.kind is Kind.FREE:
            continue
        shared = bool(node.reads) and uses[node.reads[0]] > 1
        if node.kind is Kind.CLIP and maker and maker.kind in _FUSES and not shared:
            continue
        if node.kind is Kind.CONVERT and parsed.rounds and _is_fused(node, maker, parsed):
            continue
        kept.append(_operation(node, parsed, integer=integer))
    return Graph(
        format=format_,
        precision=_precision(parsed),
        operations=tuple(kept),
        unknown=Counter(node.name for node in parsed.nodes if node.kind is None),
    )


def _is_fused(node: Node, maker: Node | None, parsed: ParsedGraph) -> bool:
    """Return whether the conversion is part of an adjacent operation."""
    if maker is None:
        return False
    if maker.kind is Kind.CONVERT:
        return parsed.predictions.isdisjoint(node.writes)
    return maker.kind in _FUSES


def _operation(node: Node, parsed: ParsedGraph, *, integer: bool) -> Operation:
    read = sum(math.prod(parsed.shapes[tensor]) for tensor in node.reads)
    written = sum(math.prod(parsed.shapes[tensor]) for tensor in node.writes)
    kind = node.kind or Kind.MOVE
    if kind is Kind.ARITHMETIC and _is_broadcast(node, parsed):
        kind = Kind.BROADCAST
    if kind is not Kind.WEIGHTED or node.weights is None:
        return Operation(kind, node.name, 0, read, written, 0, (0, 0), integer)
    weights = node.weights
    each = weights.kernel_area * weights.fan_in
    return Operation(
        kind=_weighted_kind(weights, written),
        name=node.name,
        macs=each * written,
        read=read,
        written=written,
        weights=each * weights.channels,
        channels=(weights.fan_in, weights.channels),
        integer=integer,
    )


def _is_broadcast(node: Node, parsed: ParsedGraph) -> bool:
    written = parsed.shapes[node.writes[0]]
    sides = (*(parsed.shapes[tensor] for tensor in node.reads), *node.constants)
    return any(_run(written, side) <= _BROADCAST_RUN for side in sides)


def _run(shape: tuple[int, ...], side: tuple[int, ...]) -> float:
    """Return after how many values of `shape` the operand with shape `side` repeats or advances.

    Infinite if it does not change its pattern.
    """
    run, repeats = 1, None
    padded = (1,) * (len(shape) - len(side)) + side
    for size, other in zip(reversed(shape), reversed(padded), strict=False):
        if size == 1:
            continue
        if repeats is None:
            repeats = other == 1
        elif repeats != (other == 1):
            return run
        run *= size
    return math.inf


def _weighted_kind(weights: Weights, written: int) -> Kind:
    if weights.fan_in == 1 and weights.kernel_area > 1 and weights.channels > 1:
        return Kind.DEPTHWISE
    if written == weights.channels:
        return Kind.LINEAR
    return Kind.POINTWISE if weights.kernel_area == 1 else Kind.DENSE


def _precision(parsed: ParsedGraph) -> Precision:
    if parsed.activation_bits == _HALF:
        return Precision.W8A16
    if parsed.activation_bits == _BYTE:
        return Precision.INT8
    return Precision.FP16 if _HALF in parsed.stored_bits else Precision.FP32
