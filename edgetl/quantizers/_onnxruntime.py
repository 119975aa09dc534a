"""Quantize ONNX files with ONNX Runtime: QDQ, int8 weights per channel, unsigned activations.

Unsigned activations with signed weights give the same bits on x86 and ARM; signed activations
saturate on x86 processors without VNNI.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData, save_tensors_data
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgetl.config.calibration import RangeTable
from edgetl.errors import EdgetlError
from edgetl.quantizers._ranges import Floats, Range, estimate, pixel_head, pixel_ranges
from edgetl.types import Precision

_ACTIVATIONS = {Precision.INT8: QuantType.QUInt8, Precision.W8A16: QuantType.QUInt16}
_MOVES = frozenset({"Cast", "Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose"})
"""Operations that only move values, whatever their type."""


def quantize(
    model: Path,
    photos: NDArray[np.uint8],
    precision: Precision,
    settings: RangeTable,
    out: Path,
) -> Mapping[str, int]:
    """Write ``out/model.onnx``; see `edgetl.quantizers.Quantizer.quantize`."""
    target = out / model.name
    if precision is Precision.FP16:
        _write(_halved(onnx.load(model)), target)
        return {}
    wanted = settings if precision is Precision.INT8 else RangeTable()
    with tempfile.TemporaryDirectory(prefix="edgetl-onnx-") as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        ranges = Path(folder) / "ranges.json"
        head = _head(onnx.load(prepared).graph)
        _save_ranges(_ranges(prepared, photos, wanted, head), ranges)
        quantize_static(
            prepared,
            target,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=_ACTIVATIONS[precision],
            weight_type=QuantType.QInt8,
            # In float32 a normalised pixel is rounded once; quantised, after each operation.
            nodes_to_exclude=_nodes_of(onnx.load(prepared).graph, head),
            calibrate_method=CalibrationMethod.MinMax,
            calibration_cache_path=ranges,
        )
    _write(onnx.load(target), target)
    return _float_operations(target)


def _write(model: onnx.ModelProto, target: Path) -> None:
    onnx.checker.check_model(model, full_check=True)
    target.write_bytes(model.SerializeToString(deterministic=True))


def _head(graph: onnx.GraphProto) -> frozenset[str]:
    constants = {tensor.name for tensor in graph.initializer}
    operations = [(node.op_type, node.input, node.output) for node in graph.node]
    return pixel_head(operations, graph.input[0].name, constants)


def _nodes_of(graph: onnx.GraphProto, activations: frozenset[str]) -> list[str]:
    """Return the names of the nodes that compute `activations`."""
    return [node.name for node in graph.node if set(node.output) <= activations]


def _ranges(
    model: Path, photos: NDArray[np.uint8], settings: RangeTable, head: frozenset[str]
) -> dict[str, Range]:
    """Return the range of every float activation, by name."""
    watched = onnx.shape_inference.infer_shapes(onnx.load(model))
    graph = watched.graph
    known = {output.name for output in graph.output}
    graph.output.extend(
        value
        for value in graph.value_info
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT and value.name not in known
    )
    names = [output.name for output in graph.output]
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (image,) = session.get_inputs()

    def observe(photo: Floats) -> Iterator[tuple[str, Floats]]:
        yield from zip(names, session.run(names, {image.name: photo}), strict=True)

    ranges = estimate(observe, photos, settings)
    return {**ranges, **pixel_ranges(observe, head, photos.shape[1:]), image.name: (0.0, 255.0)}


def _save_ranges(ranges: Mapping[str, Range], file: Path) -> None:
    tensors = {
        name: (np.array(lowest, np.float32), np.array(highest, np.float32))
        for name, (lowest, highest) in ranges.items()
    }
    # quantize_static compares the method's name with its own argument, and uses the ranges.
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, tensors), file)


def _float_operations(model: Path) -> Mapping[str, int]:
    """Count what ONNX Runtime, after fusing, computes in float32."""
    options = onnxruntime.SessionOptions()
    # Beyond this level the graph depends on the processor.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory(prefix="edgetl-onnx-") as folder:
        fused = Path(folder) / "fused.onnx"
        options.optimized_model_filepath = str(fused)
        onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        kinds = Counter(node.op_type for node in onnx.load(fused).graph.node)
    integer = {kind for kind in kinds if kind == "QGemm" or "Linear" in kind or "Integer" in kind}
    return {kind: kinds[kind] for kind in sorted(kinds.keys() - integer - _MOVES)}


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store weights in half precision and widen them when the model is loaded.

    The arithmetic stays float32: ONNX Runtime has next to no float16 kernels for CPUs and would
    cast around every operation.
    """
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        # Vectors are biases: they cost little, and half precision would be all their error.
        if values.dtype != np.float32 or np.count_nonzero(np.array(values.shape) > 1) < 2:  # noqa: PLR2004
            continue
        name = tensor.name
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise EdgetlError(
                f"weight '{name}' reaches {np.abs(values).max():g}, but fp16 ends at 65504",
                remedy="take fp16 out of the candidates of 'onnx'",
            )
        half = f"{name}.half"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(
            onnx.helper.make_node(
                "Cast", [half], [name], name=f"{name}.widen", to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
