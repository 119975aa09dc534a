"""What is kept of model files: the graph exactly, its numbers by figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetl.types import Fact, Facts
from tests.system.stage_record.condense import digest, grouped

Arrays = Iterator[tuple[str, NDArray[np.generic]]]


def saved_weights(path: Path) -> Facts:
    """Return what is kept of a file of safetensors."""
    from safetensors.numpy import load_file

    tensors = sorted(load_file(path).items())
    return {
        "tensors": len(tensors),
        "structure": digest([[name, str(each.dtype), list(each.shape)] for name, each in tensors]),
        "weights": grouped(
            (f"{each.ndim}d {name.rpartition('.')[2]}", each) for name, each in tensors
        ),
    }


def onnx_graph(path: Path) -> Facts:
    """Return what is kept of an ONNX file."""
    import onnx

    model = onnx.load(path)
    model.producer_version = ""  # says how torch was built, too
    operations = Counter(node.op_type for node in model.graph.node)
    weights = grouped(_taken_from_onnx(model))
    return {
        "opset": [[each.domain, each.version] for each in model.opset_import],
        "operations": dict(sorted(operations.items())),
        "structure": digest(model.SerializeToString(deterministic=True).hex()),
        "weights": weights,
    }


def _taken_from_onnx(model: Any) -> Arrays:
    """Yield all tensors and leave empty ones behind."""
    from onnx import numpy_helper

    attributes = [each for node in model.graph.node for each in node.attribute]
    tensors = [*model.graph.initializer, *(each.t for each in attributes if each.HasField("t"))]
    for tensor in tensors:
        values = numpy_helper.to_array(tensor)
        yield f"{values.ndim}d {values.dtype}", values
        for field in ("raw_data", "float_data", "int32_data", "int64_data"):
            tensor.ClearField(field)


def tflite_graph(path: Path) -> Facts:
    """Return what is kept of a TFLite file."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    codes = [
        names[max(each.builtinCode, each.deprecatedBuiltinCode)] for each in model.operatorCodes
    ]
    operators = [each for graph in model.subgraphs for each in graph.operators]
    operations = Counter(codes[each.opcodeIndex] for each in operators)
    weights = grouped(_taken_from_tflite(model, schema.TensorType))
    return {
        "operations": dict(sorted(operations.items())),
        "structure": digest(_plain(model)),
        "weights": weights,
    }


def _taken_from_tflite(model: Any, types: Any) -> Arrays:
    """Yield all tensors with scales and zero points, and leave empty ones behind."""
    dtypes = {value: name.lower() for name, value in vars(types).items()}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            buffer, quantization = model.buffers[tensor.buffer], tensor.quantization
            if buffer.data is not None and len(buffer.data):
                values = np.frombuffer(bytes(buffer.data), dtypes[tensor.type])
                yield f"{len(tensor.shape)}d {values.dtype}", values
                buffer.data = None
            if quantization is not None and quantization.scale is not None:
                yield "scales", np.array(quantization.scale, np.float32)
                yield "zero points", np.array(quantization.zeroPoint, np.int32)
                quantization.scale = quantization.zeroPoint = None


def _plain(value: Any) -> Fact:
    """Return a table of the schema, and what is in it, as JSON."""
    match value:
        case bytes():
            return value.hex()
        case np.ndarray():
            return [_plain(each) for each in value.tolist()]
        case list():
            return [_plain(each) for each in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return {name: _plain(each) for name, each in vars(value).items()}
