"""Files are parsed into operations; the expected sizes are computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgetl.errors import ConfigError
from edgetl.estimator.graph import (
    Graph,
    Kind,
    Node,
    Operation,
    ParsedGraph,
    Weights,
    read_graph,
    simplify,
)
from edgetl.types import Precision

# The network of `onnx_file`: 3 x 8 x 8, dense to 4, depthwise to 4 x 4 x 4, pointwise to 8.
_SIZES = {
    Kind.DENSE: (4 * 64 * 27, 3 * 64, 4 * 64, 4 * 27, (3, 4)),
    Kind.DEPTHWISE: (4 * 16 * 9, 4 * 64, 4 * 16, 4 * 9, (1, 4)),
    Kind.POINTWISE: (8 * 16 * 4, 4 * 16, 8 * 16, 8 * 4, (4, 8)),
    Kind.LINEAR: (16, 8, 2, 16, (8, 2)),
}


def sizes(operation: Operation) -> tuple[Any, ...]:
    return (
        operation.macs,
        operation.read,
        operation.written,
        operation.weights,
        operation.channels,
    )


def kinds(graph: Graph) -> list[Kind]:
    return [operation.kind for operation in graph.operations]


def test_onnx_file_is_read(onnx_file: Path) -> None:
    graph = read_graph(onnx_file)

    assert (graph.format, graph.precision, graph.unknown) == ("onnx", Precision.FP32, {})
    assert kinds(graph) == [
        Kind.DENSE, Kind.DEPTHWISE, Kind.POINTWISE, Kind.BROADCAST, Kind.HARD_ACTIVATION,
        Kind.REDUCE, Kind.LINEAR,
    ]  # fmt: skip
    by_kind = {operation.kind: sizes(operation) for operation in graph.operations}
    assert {kind: by_kind[kind] for kind in _SIZES} == _SIZES
    assert by_kind[Kind.REDUCE][1:3] == (128, 8)


def test_openvino_file_is_read(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="edgetl[openvino] is not installed")
    import numpy as np
    from openvino import opset13 as ops

    def ones(*shape: int) -> Any:
        return ops.constant(np.ones(shape, np.float32))

    sides = {"pads_begin": [1, 1], "pads_end": [1, 1], "dilations": [1, 1]}
    image = ops.parameter([1, 3, 8, 8], np.float32)
    dense = ops.relu(ops.convolution(image, ones(4, 3, 3, 3), [1, 1], **sides))
    deep = ops.group_convolution(dense, ones(4, 1, 1, 3, 3), [2, 2], **sides)
    flat = {"pads_begin": [0, 0], "pads_end": [0, 0], "dilations": [1, 1]}
    point = ops.convolution(deep, ones(8, 4, 1, 1), [1, 1], **flat)
    scaled = ops.hswish(ops.multiply(point, ones(4)))
    row = ops.reduce_mean(scaled, ops.constant([2, 3]), keep_dims=False)
    line = ops.matmul(row, ones(2, 8), transpose_a=False, transpose_b=True)
    openvino.save_model(openvino.Model([line], [image]), tmp_path / "model.xml")

    graph = read_graph(tmp_path / "model.xml")

    assert (graph.format, graph.precision) == ("openvino", Precision.FP16)
    by_kind = {operation.kind: sizes(operation) for operation in graph.operations}
    assert {kind: by_kind[kind] for kind in _SIZES} == _SIZES
    assert kinds(graph).count(Kind.HARD_ACTIVATION) == 1
    assert kinds(graph).count(Kind.BROADCAST) == 1


def test_tflite_file_is_read(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="edgetl[tflite] is not installed")
    (tmp_path / "model.tflite").write_bytes(_tflite())

    graph = read_graph(tmp_path / "model.tflite")

    assert (graph.format, graph.precision) == ("tflite", Precision.INT8)
    assert graph.unknown == {"custom Magic": 1}
    by_kind = {operation.kind: sizes(operation) for operation in graph.operations}
    assert by_kind[Kind.DENSE] == _SIZES[Kind.DENSE]
    assert by_kind[Kind.DEPTHWISE] == _SIZES[Kind.DEPTHWISE]
    assert kinds(graph) == [Kind.DENSE, Kind.DEPTHWISE, Kind.BROADCAST]
    assert all(operation.integer for operation in graph.operations)


def test_tflite_file_of_tensorflow_1_is_one_of_integers(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="edgetl[tflite] is not installed")
    (tmp_path / "model.tflite").write_bytes(_tflite("UINT8", scale=0.5))

    graph = read_graph(tmp_path / "model.tflite")

    assert graph.precision is Precision.INT8
    assert all(operation.integer for operation in graph.operations)


def test_raw_pixels_do_not_make_a_float_file_one_of_integers(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="edgetl[tflite] is not installed")
    (tmp_path / "model.tflite").write_bytes(_tflite("FLOAT32", pixels="UINT8"))

    graph = read_graph(tmp_path / "model.tflite")

    assert graph.precision is Precision.FP32
    assert not any(operation.integer for operation in graph.operations)


def test_image_that_is_converted_to_float_does_not_either(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="edgetl[tflite] is not installed")
    from ai_edge_litert import schema_py_generated as schema

    # The image states a scale, and the first operation returns to float.
    first = schema.BuiltinOperator.DEQUANTIZE
    content = _tflite("FLOAT32", pixels="UINT8", scale=0.5, first=first)
    (tmp_path / "model.tflite").write_bytes(content)

    assert read_graph(tmp_path / "model.tflite").precision is Precision.FP32


def _tflite(
    kind: str = "INT8",
    *,
    pixels: str | None = None,
    scale: float | None = None,
    first: int | None = None,
) -> bytes:
    """Return a file with two convolutions, a product and a custom operation.

    Args:
        kind: Type of all tensors.
        pixels: Type of the input; that of the others if None.
        scale: Of the integers; None for none.
        first: The first operation in the place of a convolution.
    """
    import flatbuffers  # type: ignore[import-untyped] # has no stubs
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    def tensor(shape: tuple[int, ...], buffer: int) -> Any:
        result = schema.TensorT()
        result.shape, result.buffer = np.array(shape, np.int32), buffer
        result.type = getattr(schema.TensorType, kind)
        if scale is not None:
            result.quantization = schema.QuantizationParametersT()
            result.quantization.scale = np.array([scale], np.float32)
        return result

    def operator(code: int, inputs: list[int], output: int) -> Any:
        result = schema.OperatorT()
        result.opcodeIndex = code
        result.inputs, result.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        return result

    def code(builtin: int, custom: str | None = None) -> Any:
        result = schema.OperatorCodeT()
        result.builtinCode, result.customCode = builtin, custom
        result.deprecatedBuiltinCode = min(builtin, 127)
        return result

    model, graph = schema.ModelT(), schema.SubGraphT()
    shapes = [
        (1, 8, 8, 3), (4, 3, 3, 3), (1, 8, 8, 4), (1, 3, 3, 4), (1, 4, 4, 4), (4,), (1, 4, 4, 4),
        (1, 4, 4, 4),
    ]  # fmt: skip
    constants = (1, 3, 5)
    graph.tensors = [tensor(shape, i if i in constants else 0) for i, shape in enumerate(shapes)]
    graph.tensors[0].type = getattr(schema.TensorType, pixels or kind)
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([7], np.int32)
    graph.operators = [
        operator(0, [0, 1, -1], 2), operator(1, [2, 3, -1], 4), operator(2, [4, 5], 6),
        operator(3, [6], 7),
    ]  # fmt: skip
    operators = schema.BuiltinOperator
    model.operatorCodes = [
        code(operators.CONV_2D if first is None else first), code(operators.DEPTHWISE_CONV_2D),
        code(operators.MUL), code(operators.CUSTOM, "Magic"),
    ]  # fmt: skip
    model.subgraphs = [graph]
    model.buffers = [schema.BufferT() for _ in range(6)]
    for i in constants:
        model.buffers[i].data = np.ones(108, np.uint8)
    model.version = 3
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def parsed(*nodes: Node, shape: tuple[int, ...] = (1, 4, 4, 8), **changes: Any) -> ParsedGraph:
    names = {name for node in nodes for name in (*node.reads, *node.writes)}
    usual: dict[str, Any] = {
        "predictions": frozenset({nodes[-1].writes[0]}),
        "stored_bits": frozenset({32}),
        "activation_bits": 32,
        "integers": frozenset(),
        "rounds": True,
    }
    return ParsedGraph(nodes=nodes, shapes=dict.fromkeys(names, shape), **{**usual, **changes})


def node(kind: Kind | None, reads: str, writes: str, name: str = "") -> Node:
    weights = Weights(1, 8, 8) if kind is Kind.WEIGHTED else None
    return Node(name or str(kind), kind, tuple(reads.split()), (writes,), weights)


def test_clip_is_free_after_an_operation_that_only_it_reads() -> None:
    alone = parsed(node(Kind.WEIGHTED, "in", "a"), node(Kind.CLIP, "a", "b"))
    shared = parsed(
        node(Kind.WEIGHTED, "in", "a"),
        node(Kind.CLIP, "a", "b"),
        node(Kind.ARITHMETIC, "a b", "c"),
    )
    first = parsed(node(Kind.CLIP, "in", "a"))

    assert kinds(simplify("onnx", alone)) == [Kind.POINTWISE]
    assert Kind.CLIP in kinds(simplify("onnx", shared))
    assert kinds(simplify("onnx", first)) == [Kind.CLIP]


def test_only_conversions_next_to_integer_operations_are_free() -> None:
    nodes = (
        node(Kind.MOVE, "in", "a"),
        node(Kind.CONVERT, "a", "b"),  # of the image: not part of another operation
        node(Kind.CONVERT, "b", "c"),
        node(Kind.WEIGHTED, "c", "d"),
        node(Kind.CONVERT, "d", "e"),
        node(Kind.CONVERT, "e", "out"),  # back to float for the output
    )
    changes: dict[str, Any] = {"integers": frozenset({"c", "out"}), "activation_bits": 8}

    rounded = simplify("onnx", parsed(*nodes, **changes))
    assert kinds(rounded) == [Kind.MOVE, Kind.CONVERT, Kind.POINTWISE, Kind.CONVERT]
    assert [each.integer for each in rounded.operations] == [False, False, True, False]
    assert rounded.precision is Precision.INT8
    real = simplify("tflite", parsed(*nodes, rounds=False, **changes))
    assert kinds(real).count(Kind.CONVERT) == 4


def test_integers_pass_through_moves() -> None:
    nodes = (node(Kind.MOVE, "in", "a"), node(Kind.WEIGHTED, "a", "b"))
    graph = simplify("tflite", parsed(*nodes, integers=frozenset({"in"}), activation_bits=8))
    assert all(each.integer for each in graph.operations)


@pytest.mark.parametrize(
    ("shape", "constant", "kind"),
    [
        pytest.param((1, 8, 8, 3), (3,), Kind.BROADCAST, id="colours of a pixel"),
        pytest.param((1, 8, 8, 3), (8, 3), Kind.ARITHMETIC, id="colours of a row of pixels"),
        pytest.param((1, 3, 8, 8), (3, 1, 1), Kind.ARITHMETIC, id="one for a plane"),
        pytest.param((1, 8, 8, 3), (), Kind.ARITHMETIC, id="one for all"),
        pytest.param((1, 50, 2), (1, 50, 2), Kind.ARITHMETIC, id="each its own"),
        pytest.param((1, 50, 2), (50, 1), Kind.BROADCAST, id="one for both sides of a box"),
        pytest.param((1, 1, 1, 8), (8,), Kind.ARITHMETIC, id="one row"),
    ],
)
def test_arithmetic_that_repeats_after_a_few_values_is_broadcast(
    shape: tuple[int, ...], constant: tuple[int, ...], kind: Kind
) -> None:
    nodes = (Node("Sub", Kind.ARITHMETIC, ("in",), ("a",), constants=(constant,)),)
    assert kinds(simplify("onnx", parsed(*nodes, shape=shape))) == [kind]


@pytest.mark.parametrize(
    ("stored", "activations", "precision"),
    [(32, 32, "fp32"), (16, 32, "fp16"), (8, 8, "int8"), (8, 16, "w8a16")],
)
def test_precision_follows_from_weights_and_activations(
    stored: int, activations: int, precision: str
) -> None:
    graph = simplify(
        "onnx",
        parsed(
            node(Kind.WEIGHTED, "in", "a"),
            stored_bits=frozenset({stored}),
            activation_bits=activations,
        ),
    )
    assert graph.precision == precision


def test_unknown_operations_are_counted_by_name() -> None:
    nodes = (node(None, "in", "a", "NonZero"), node(None, "a", "b", "NonZero"))
    graph = simplify("onnx", parsed(*nodes))
    assert (graph.operations, graph.unknown) == ((), {"NonZero": 2})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"x", "is not a model file; it must end with .onnx, .xml, .tflite"),
        ("torn.onnx", b"\x08\x01torn", "cannot be read as ONNX"),
        ("torn.tflite", b"torn torn torn", "cannot be read as TFLite: its identifier is missing"),
        ("cut.onnx", b"\x08\x01torn", "it begins like a model and is cut short .*\n  copy or"),
        ("cut.tflite", b" \0\0\0TFL3", "it begins like a model and is cut short .*\n  copy or"),
        ("page.xml", b"<!DOCTYPE html>", "is a web page, not the file itself\n  download"),
        ("torn.xml", b"<net", "cannot be read as OpenVINO"),
        ("text.xml", b"hello\n", "is supported and the model is correct.\n  name a model file or"),
    ],
    ids=["ending", "onnx", "tflite", "cut onnx", "cut tflite", "page", "openvino", "text"],
)
def test_file_that_is_not_a_model_is_refused_in_one_paragraph(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_graph(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.onnx: no such file"):
        read_graph(tmp_path / "none.onnx")


def test_open_size_is_refused(onnx_file: Path) -> None:
    import onnx

    model = onnx.load(onnx_file)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, onnx_file)
    with pytest.raises(ConfigError, match="does not fix the size of 'image'"):
        read_graph(onnx_file)
