"""Parse ONNX files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx

from edgetl.estimator.graph import Kind, Node, ParsedGraph, Weights, not_readable
from edgetl.graph_lint.onnx_file import load_onnx

_KINDS = {
    **dict.fromkeys(("Conv", "Gemm", "MatMul"), Kind.WEIGHTED),
    **dict.fromkeys(
        (
            "Elu", "Erf", "Exp", "Gelu", "LeakyRelu", "Log", "Mish",
            "Pow", "Sigmoid", "Softmax", "Softplus", "Sqrt", "Swish", "Tanh",
        ),
        Kind.ACTIVATION,
    ),
    **dict.fromkeys(("HardSigmoid", "HardSwish"), Kind.HARD_ACTIVATION),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Neg", "Abs", "Sum"), Kind.ARITHMETIC),
    **dict.fromkeys(("Clip", "Relu", "Min", "Max"), Kind.CLIP),
    **dict.fromkeys(
        (
            "Concat", "DepthToSpace", "Expand", "Gather", "Pad", "Resize", "Slice", "SpaceToDepth",
            "Split", "Tile", "Transpose", "Upsample", "Where",
        ),
        Kind.MOVE,
    ),
    **dict.fromkeys(("MaxPool", "AveragePool"), Kind.POOL),
    **dict.fromkeys(("GlobalAveragePool", "ReduceMean", "ReduceMax", "ReduceSum"), Kind.REDUCE),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "Cast"), Kind.CONVERT),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"), Kind.FREE),
}  # fmt: skip
_BITS = {"float32": 32, "float16": 16, "uint16": 16, "int16": 16, "uint8": 8, "int8": 8}


def parse_graph(model: Path) -> ParsedGraph:
    """Parse the graph of `model`.

    Raises:
        ConfigError: If it is not an ONNX file.
    """
    content = load_onnx(model, lambda what: not_readable(model, what))
    try:
        graph = onnx.shape_inference.infer_shapes(content).graph
    except onnx.shape_inference.InferenceError as error:
        raise not_readable(model, f"cannot be read as ONNX: {error}") from error
    constants = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    bits = {tensor.name: _bits(tensor.data_type) for tensor in graph.initializer}
    shapes = {
        value.name: _shape(value.type.tensor_type)
        for values in (graph.input, graph.output, graph.value_info)
        for value in values
        if value.name not in constants
    }
    nodes, stored, rounded = [], set(), set()
    for node in graph.node:
        reads = tuple(name for name in node.input if name and name not in constants)
        if not reads:
            # Computed once, when the file is loaded: constants and weights of a quantized file.
            for name in node.output:
                first = node.input[0] if node.input else ""
                constants[name] = constants.get(first, ())
                bits[name] = bits.get(first, _BITS["float32"])
            continue
        kind = _KINDS.get(node.op_type)
        weights = None
        if kind is Kind.WEIGHTED:
            weights = _weights(node, {**shapes, **constants})
            stored.add(bits.get(node.input[1], _BITS["float32"]))
        elif node.op_type == "QuantizeLinear":
            rounded.add(bits.get(node.input[2], _BITS["uint8"]) if len(node.input) > 2 else 8)  # noqa: PLR2004 - the zero point
        operands = tuple(constants[name] for name in node.input if name in constants)
        nodes.append(Node(node.op_type, kind, reads, tuple(node.output), weights, operands))
    used = dict.fromkeys(name for node in nodes for name in (*node.reads, *node.writes))
    for name in (name for name in used if name not in shapes):
        raise not_readable(model, f"does not state the shape of '{name}'")
    return ParsedGraph(
        nodes=tuple(nodes),
        shapes={name: shapes[name] for name in used},
        predictions=frozenset(value.name for value in graph.output),
        stored_bits=frozenset(stored),
        activation_bits=max(rounded, default=_BITS["float32"]),
        integers=frozenset(
            name for node in nodes if node.name == "DequantizeLinear" for name in node.writes
        ),
        rounds=True,
    )


def _weights(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> Weights:
    shape = shapes[node.input[1]]
    if node.op_type == "Conv":
        channels, fan_in, *kernel = shape
        kernel_area = 1
        for side in kernel:
            kernel_area *= side
        return Weights(kernel_area, fan_in, channels)
    transposed = any(each.name == "transB" and each.i for each in node.attribute)
    fan_in, channels = reversed(shape[-2:]) if transposed else shape[-2:]
    return Weights(1, fan_in, channels)


def _bits(data_type: int) -> int:
    return _BITS.get(str(onnx.helper.tensor_dtype_to_np_dtype(data_type)), _BITS["float32"])


def _shape(kind: onnx.TypeProto.Tensor) -> tuple[int, ...]:
    return tuple(size.dim_value if size.HasField("dim_value") else -1 for size in kind.shape.dim)
