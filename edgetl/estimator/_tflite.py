"""Parse TFLite files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from edgetl.errors import ConfigError
from edgetl.estimator.graph import Kind, Node, ParsedGraph, Weights, not_readable
from edgetl.graph_lint import refused
from edgetl.graph_lint.model_content import what_instead

_KINDS = {
    **dict.fromkeys(
        ("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), Kind.WEIGHTED
    ),
    **dict.fromkeys(
        (
            "ELU", "EXP", "GELU", "LEAKY_RELU", "LOG", "LOGISTIC", "POW", "PRELU",
            "RSQRT", "SOFTMAX", "SQRT", "TANH",
        ),
        Kind.ACTIVATION,
    ),
    **dict.fromkeys(("HARD_SWISH",), Kind.HARD_ACTIVATION),
    **dict.fromkeys(("ABS", "ADD", "DIV", "MUL", "NEG", "SUB", "SUM_N"), Kind.ARITHMETIC),
    **dict.fromkeys(
        ("MAXIMUM", "MINIMUM", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"), Kind.CLIP
    ),
    **dict.fromkeys(
        (
            "BROADCAST_TO", "CONCATENATION", "DEPTH_TO_SPACE", "GATHER", "GATHER_ND", "PACK", "PAD",
            "PADV2", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SELECT_V2", "SLICE",
            "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK",
        ),
        Kind.MOVE,
    ),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), Kind.POOL),
    **dict.fromkeys(("MEAN", "REDUCE_MAX", "SUM"), Kind.REDUCE),
    **dict.fromkeys(("CAST", "DEQUANTIZE", "QUANTIZE"), Kind.CONVERT),
    **dict.fromkeys(("EXPAND_DIMS", "RESHAPE", "SQUEEZE"), Kind.FREE),
}  # fmt: skip
_NAMES = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)
}
_TYPES = schema.TensorType
_BITS = {_TYPES.FLOAT32: 32, _TYPES.FLOAT16: 16, _TYPES.INT16: 16, _TYPES.INT8: 8, _TYPES.UINT8: 8}
_INTEGERS = {_TYPES.INT8, _TYPES.INT16}
_FLOAT_BITS = 32
_IDENTIFIER = b"TFL3"


def parse_graph(model: Path) -> ParsedGraph:
    """Parse the graph of `model`.

    Raises:
        ConfigError: If it is not a TFLite file.
    """
    content = model.read_bytes()
    if content[4:8] != _IDENTIFIER:
        raise _unreadable(model, "its identifier is missing")
    try:
        loaded = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        graph = loaded.subgraphs[0]
        return _parsed(loaded, graph)
    except (struct.error, IndexError, TypeError) as error:
        raise _unreadable(model, str(error)) from error


def _unreadable(model: Path, reason: str) -> ConfigError:
    instead = what_instead(model, "TFLite")
    if instead is not None:
        return refused(model, instead.what, instead.remedy)
    return not_readable(model, f"cannot be read as TFLite: {reason}")


def _parsed(loaded: Any, graph: Any) -> ParsedGraph:  # noqa: ANN401 - LiteRT has no types
    constant = {index for index, tensor in enumerate(graph.tensors) if _is_stored(loaded, tensor)}
    nodes: list[Node] = []
    stored: set[int] = set()
    used: set[int] = set()
    computed: set[int] = set()
    for operator in graph.operators:
        inputs = [int(index) for index in operator.inputs if index >= 0]
        outputs = [int(index) for index in operator.outputs]
        reads = [index for index in inputs if index not in constant]
        if not reads:
            constant.update(outputs)
            continue
        name = _operator_name(loaded.operatorCodes[operator.opcodeIndex])
        kind = _KINDS.get(name)
        weights = None
        if kind is Kind.WEIGHTED:
            weights = _weights(name, graph.tensors[inputs[1]], graph.tensors[outputs[0]])
            stored.add(_stored_bits(graph, inputs[1], loaded))
        used.update(reads, outputs)
        if kind is not Kind.CONVERT:
            computed.update(reads, outputs)
        operands = tuple(_shape(graph.tensors[index]) for index in inputs if index in constant)
        nodes.append(Node(name, kind, _names(reads), _names(outputs), weights, operands))
    integers = [
        index
        for index in sorted(used)
        if graph.tensors[index].type in _INTEGERS
        or (index in computed and _is_legacy_integer(graph.tensors[index]))
    ]
    return ParsedGraph(
        nodes=tuple(nodes),
        shapes={str(index): _shape(graph.tensors[index]) for index in sorted(used)},
        predictions=frozenset(_names(graph.outputs)),
        stored_bits=frozenset(stored),
        activation_bits=max(
            (_BITS[graph.tensors[index].type] for index in integers), default=_FLOAT_BITS
        ),
        integers=frozenset(_names(integers)),
        rounds=False,
    )


def _is_stored(loaded: Any, tensor: Any) -> bool:  # noqa: ANN401 - LiteRT has no types
    buffer = loaded.buffers[tensor.buffer]
    return (buffer.data is not None and len(buffer.data) > 0) or bool(buffer.size)


def _is_legacy_integer(tensor: Any) -> bool:  # noqa: ANN401 - LiteRT has no types
    """Return whether `tensor` is rounded as by TensorFlow 1, to uint8; raw pixels have no scale."""
    quantization = tensor.quantization
    scaled = quantization is not None and quantization.scale is not None
    return tensor.type == _TYPES.UINT8 and scaled and len(quantization.scale) > 0


def _stored_bits(graph: Any, index: int, loaded: Any) -> int:  # noqa: ANN401 - LiteRT has no types
    # A separate operator converts half-precision weights to float32 before use.
    for operator in graph.operators:
        if index in operator.outputs and _is_stored(loaded, graph.tensors[operator.inputs[0]]):
            index = int(operator.inputs[0])
            break
    return _BITS.get(graph.tensors[index].type, _FLOAT_BITS)


def _operator_name(code: Any) -> str:  # noqa: ANN401 - LiteRT has no types
    if code.customCode:
        return f"custom {code.customCode.decode(errors='replace')}"
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name: str = _NAMES.get(number, f"operator {number}")
    return name


def _weights(name: str, weights: Any, output: Any) -> Weights:  # noqa: ANN401 - LiteRT has no types
    shape = _shape(weights)
    if name == "CONV_2D":
        channels, height, width, fan_in = shape
        return Weights(height * width, fan_in, channels)
    if name == "DEPTHWISE_CONV_2D":
        _, height, width, channels = shape
        return Weights(height * width, 1, channels)
    channels = _shape(output)[-1]
    total = 1
    for side in shape[-2:]:
        total *= side
    return Weights(1, total // channels, channels)


def _shape(tensor: Any) -> tuple[int, ...]:  # noqa: ANN401 - LiteRT has no types
    signature = tensor.shapeSignature
    sizes = tensor.shape if signature is None or not len(signature) else signature
    return tuple(int(size) for size in sizes) if sizes is not None else ()


def _names(indices: Any) -> tuple[str, ...]:  # noqa: ANN401 - LiteRT has no types
    return tuple(str(int(index)) for index in indices)
