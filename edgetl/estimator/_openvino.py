"""Parse OpenVINO files."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import openvino

from edgetl.estimator.graph import Kind, Node, ParsedGraph, Weights, not_readable
from edgetl.runtime.silence import silenced

_KINDS = {
    **dict.fromkeys(("Convolution", "GroupConvolution", "MatMul"), Kind.WEIGHTED),
    **dict.fromkeys(
        (
            "Elu", "Erf", "Exp", "Gelu", "Log", "Mish",
            "PRelu", "Power", "Sigmoid", "SoftPlus", "Softmax", "Sqrt", "Swish", "Tanh",
        ),
        Kind.ACTIVATION,
    ),
    **dict.fromkeys(("HSigmoid", "HSwish", "HardSigmoid"), Kind.HARD_ACTIVATION),
    **dict.fromkeys(
        ("Abs", "Add", "Divide", "Multiply", "Negative", "Subtract"), Kind.ARITHMETIC
    ),
    **dict.fromkeys(("Clamp", "Maximum", "Minimum", "Relu"), Kind.CLIP),
    **dict.fromkeys(
        (
            "Broadcast", "Concat", "DepthToSpace", "Gather", "Interpolate", "Pad", "Select",
            "Slice", "SpaceToDepth", "Split", "StridedSlice", "Tile", "Transpose", "VariadicSplit",
        ),
        Kind.MOVE,
    ),
    **dict.fromkeys(("AvgPool", "MaxPool"), Kind.POOL),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceSum"), Kind.REDUCE),
    **dict.fromkeys(("Convert", "FakeQuantize"), Kind.CONVERT),
    **dict.fromkeys(("Parameter", "Reshape", "Result", "Squeeze", "Unsqueeze"), Kind.FREE),
}  # fmt: skip
_FLOAT_BITS = 32
_INTEGER_BITS = 8


def parse_graph(model: Path) -> ParsedGraph:
    """Parse the graph of `model`.

    Raises:
        ConfigError: If it is not an OpenVINO file, or its weights are missing.
    """
    try:
        with silenced():  # its readers of other formats print errors first
            loaded = openvino.Core().read_model(model)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].partition(" Available frontends")[0]
        raise not_readable(model, f"cannot be read as OpenVINO: {reason}") from error
    bits: dict[str, int] = {}
    nodes: list[Node] = []
    shapes: dict[str, tuple[int, ...]] = {}
    stored = set()
    for operation in loaded.get_ordered_ops():
        name = operation.get_type_name()
        sources = [source.get_source_output() for source in operation.inputs()]
        reads = tuple(_name(source) for source in sources if _name(source) not in bits)
        if not reads and name != "Parameter":
            # Computed once, when the file is loaded: constants and weights.
            own = operation.get_element_type().bitwidth if name == "Constant" else _FLOAT_BITS
            before = [bits[_name(source)] for source in sources]
            bits.update(dict.fromkeys(map(_name, operation.outputs()), min([own, *before])))
            continue
        for output in operation.outputs():
            shapes[_name(output)] = _shape(output)
        kind = _KINDS.get(name)
        weights = None
        if kind is Kind.WEIGHTED:
            weights = _weights(operation, _shape(sources[1]))
            stored.add(bits.get(_name(sources[1]), _FLOAT_BITS))
        operands = tuple(_shape(source) for source in sources if _name(source) in bits)
        writes = tuple(map(_name, operation.outputs()))
        nodes.append(Node(name, kind, reads, writes, weights, operands))
    rounded = {name for node in nodes if node.name == "FakeQuantize" for name in node.writes}
    return ParsedGraph(
        nodes=tuple(node for node in nodes if node.name not in {"Parameter", "Result"}),
        shapes=shapes,
        predictions=frozenset(
            name for node in nodes if node.name == "Result" for name in node.reads
        ),
        stored_bits=frozenset(stored),
        activation_bits=_INTEGER_BITS if rounded else _FLOAT_BITS,
        integers=frozenset(rounded),
        rounds=True,
    )


def _weights(operation: Any, shape: tuple[int, ...]) -> Weights:  # noqa: ANN401 - openvino is not followed
    kind = operation.get_type_name()
    if kind == "GroupConvolution":
        groups, channels, fan_in, *kernel = shape
        return Weights(prod(kernel), fan_in, groups * channels)
    if kind == "Convolution":
        channels, fan_in, *kernel = shape
        return Weights(prod(kernel), fan_in, channels)
    transposed = operation.get_attributes()["transpose_b"]
    fan_in, channels = reversed(shape[-2:]) if transposed else shape[-2:]
    return Weights(1, fan_in, channels)


def _name(output: Any) -> str:  # noqa: ANN401 - openvino is not followed
    return f"{output.get_node().get_friendly_name()}:{output.get_index()}"


def _shape(output: Any) -> tuple[int, ...]:  # noqa: ANN401 - openvino is not followed
    sizes = output.get_partial_shape()
    return tuple(size.get_length() if size.is_static else -1 for size in sizes)
