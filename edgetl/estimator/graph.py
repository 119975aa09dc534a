"""What a model file computes, in words that all formats share: operations and their sizes."""

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
from edgetl.types import Precision

FORMATS = {".onnx": "onnx", ".xml": "openvino", ".tflite": "tflite"}
"""Ending of a model file to the name of its format."""
_PACKAGES = {"onnx": "onnx", "tflite": "ai_edge_litert", "openvino": "openvino"}
_BROADCAST_RUN = 4
"""Values: the colours of a pixel, the sides of a box; no more than a vector register holds."""
_BYTE = 8
_HALF = 16


class Kind(StrEnum):
    """What an operation costs is a matter of its kind and size."""

    DENSE = "dense"
    """A convolution of several taps over several channels."""
    POINTWISE = "pointwise"
    """A convolution of one tap."""
    DEPTHWISE = "depthwise"
    """A convolution of each channel by itself."""
    LINEAR = "linear"
    """A matrix product for one location: each weight is used once."""
    ACTIVATION = "curve"
    """Sigmoid, swish and the like, of each value."""
    HARD_ACTIVATION = "hard curve"
    """Hard sigmoid and hard swish, which few engines have in integers."""
    ARITHMETIC = "arithmetic"
    """Sums and products of values."""
    BROADCAST = "short rows"
    """The same where only a few values in a row meet as many of the other side, or the same one:
    an engine may take them one by one."""
    CLIP = "clamp"
    """Cuts values off; usually free, as part of what comes before."""
    MOVE = "move"
    """Joins, cuts, enlarges or reorders values."""
    POOL = "pool"
    """The largest value or the mean of each neighbourhood."""
    REDUCE = "reduce"
    """One value for each channel."""
    CONVERT = "convert"
    """From float to integers or back, where no other operation does it along the way."""
    WEIGHTED = "weighted"
    """Any of the first four, before its shapes are looked at."""
    FREE = "free"
    """Costs nothing: another view of the same values."""


WEIGHTED = frozenset({Kind.DENSE, Kind.POINTWISE, Kind.DEPTHWISE, Kind.LINEAR})
"""Kinds that multiply with weights."""
_DOES_MORE = frozenset(
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
"""Kinds that an engine lets clamp and round what they write while they write it."""
_PASSES_ON = frozenset({Kind.MOVE, Kind.POOL, Kind.CLIP, Kind.FREE})
"""Kinds that write integers if they read integers, whatever the file says."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a convolution or matrix product multiplies with."""

    feature_layers: int
    """Of its kernel: 9 for 3 x 3."""
    fan_in: int
    """Channels that each output sees."""
    channels: int
    """Of the output."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation as its format calls it."""

    name: str
    kind: Kind | None
    """None if the format's word for it is not known here."""
    reads: tuple[str, ...]
    """Tensors that depend on the input; no constants."""
    writes: tuple[str, ...]
    weights: Weights | None = None
    constants: tuple[tuple[int, ...], ...] = ()
    """Shapes of the constants that it reads."""


@dataclass(frozen=True, slots=True)
class ParsedGraph:
    """A model file as its reader finds it."""

    nodes: tuple[Node, ...]
    """In an order of execution, without those that the engine computes once when it loads."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of all tensors that nodes read or write."""
    predictions: frozenset[str]
    """The model's outputs."""
    stored_bits: frozenset[int]
    """Of weights."""
    activation_bits: int
    """32, or of the integers between operations."""
    integers: frozenset[str]
    """Tensors that are integers, or become such, with a scale."""
    rounds: bool
    """Whether conversions only state what the operations beside them do; otherwise each is one."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation that takes time."""

    kind: Kind
    name: str
    """The format's own word, for messages."""
    macs: int
    """Multiplications with an addition each."""
    read: int
    """Values that it reads, weights left out."""
    written: int
    """Values that it writes."""
    weights: int
    """Stored values that it multiplies with."""
    channels: tuple[int, int]
    """That each output sees, and of the output; (0, 0) where that is no matter."""
    integer: bool
    """Whether it can be computed in integers."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The operations of a model file."""

    format: str
    precision: Precision
    operations: tuple[Operation, ...]
    unknown: Mapping[str, int]
    """Operations that nothing is known of: the format's word, and how many there are."""


def read_graph(model: Path) -> Graph:
    """Return what the file `model` computes.

    Args:
        model: ``.onnx``, ``.tflite``, or the ``.xml`` of OpenVINO.

    Raises:
        ConfigError: If it is no such file, or leaves the size of a tensor open.
        MissingPackageError: If what reads its format is not installed.
    """
    if model.suffix not in FORMATS:
        raise not_readable(model, f"is no model file; it must end with {', '.join(FORMATS)}")
    if not model.is_file():
        raise not_readable(model, "no such file")
    format_ = FORMATS[model.suffix]
    if importlib.util.find_spec(_PACKAGES[format_]) is None:
        raise MissingPackageError(
            f"{model.suffix} files need the package '{_PACKAGES[format_]}', which is not installed",
            remedy=f"pip install 'edgetl[{format_}]'",
        )
    reader = importlib.import_module(f"edgetl.estimator._{format_}")
    parsed: ParsedGraph = reader.parse_graph(model)
    for name, shape in parsed.shapes.items():
        if min(shape, default=1) < 0:
            raise not_readable(model, f"leaves the size of '{name}' open: {shape}")
    return simplify(format_, parsed)


def not_readable(model: Path, what: str) -> ConfigError:
    """Return what is raised for a file that cannot be read."""
    return ConfigError(
        str(model), [Problem("", what)], remedy="give a model file or folder that edgetl made"
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
        if node.kind is Kind.CLIP and maker and maker.kind in _DOES_MORE and not shared:
            continue
        if node.kind is Kind.CONVERT and parsed.rounds and _along_the_way(node, maker, parsed):
            continue
        kept.append(_operation(node, parsed, integer=integer))
    return Graph(
        format=format_,
        precision=_precision(parsed),
        operations=tuple(kept),
        unknown=Counter(node.name for node in parsed.nodes if node.kind is None),
    )


def _along_the_way(node: Node, maker: Node | None, parsed: ParsedGraph) -> bool:
    """Return whether another operation converts while it reads or writes."""
    if maker is None:
        return False
    if maker.kind is Kind.CONVERT:
        return parsed.predictions.isdisjoint(node.writes)
    return maker.kind in _DOES_MORE


def _operation(node: Node, parsed: ParsedGraph, *, integer: bool) -> Operation:
    read = sum(math.prod(parsed.shapes[tensor]) for tensor in node.reads)
    written = sum(math.prod(parsed.shapes[tensor]) for tensor in node.writes)
    kind = node.kind or Kind.MOVE
    if kind is Kind.ARITHMETIC and _is_broadcast(node, parsed):
        kind = Kind.BROADCAST
    if kind is not Kind.WEIGHTED or node.weights is None:
        return Operation(kind, node.name, 0, read, written, 0, (0, 0), integer)
    weights = node.weights
    each = weights.feature_layers * weights.fan_in
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
    """Return how many values of `shape` in a row meet as many values of `side`, or the same one.

    Infinite where all do.
    """
    run, repeats = 1, None
    padded = (1,) * (len(shape) - len(side)) + side
    for size, given in zip(reversed(shape), reversed(padded), strict=False):
        if size == 1:
            continue
        if repeats is None:
            repeats = given == 1
        elif repeats != (given == 1):
            return run
        run *= size
    return math.inf


def _weighted_kind(weights: Weights, written: int) -> Kind:
    if weights.fan_in == 1 and weights.feature_layers > 1 and weights.channels > 1:
        return Kind.DEPTHWISE
    if written == weights.channels:
        return Kind.LINEAR
    return Kind.POINTWISE if weights.feature_layers == 1 else Kind.DENSE


def _precision(parsed: ParsedGraph) -> Precision:
    if parsed.activation_bits == _HALF:
        return Precision.W8A16
    if parsed.activation_bits == _BYTE:
        return Precision.INT8
    return Precision.FP16 if _HALF in parsed.stored_bits else Precision.FP32
