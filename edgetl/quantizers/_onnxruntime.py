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
from onnx import numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData, save_tensors_data
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgetl.config.calibration import Int8Table, RangeTable
from edgetl.errors import EdgetlError
from edgetl.nn.onnx_file import write_onnx
from edgetl.quantizers._graph import Operation, gated
from edgetl.quantizers._ranges import (
    Floats,
    Range,
    Statistics,
    pixel_head,
    pixel_ranges,
    without_closed_gates,
)
from edgetl.quantizers._samples import Feed, Samples, image_inputs
from edgetl.quantizers._search import search
from edgetl.types import Facts, Precision

_MOVES = frozenset({"Cast", "Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose"})
"""Operations that only move or convert values."""
_PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operations whose second input holds their weights."""


def quantize(
    model: Path,
    samples: Samples,
    precision: Precision,
    settings: Int8Table,
    out: Path,
) -> Facts:
    """Write ``out/model.onnx``; see `edgetl.quantizers.Quantizer.quantize`."""
    target = out / model.name
    if precision is Precision.FP16:
        write_onnx(_halved(onnx.load(model)), target)
        return {"float_operations": {}}
    with tempfile.TemporaryDirectory(prefix="edgetl-onnx-") as folder:
        backend = _Backend(model, Path(folder))
        if precision is Precision.INT8:
            result = search(backend, samples, settings)
            backend.write(samples, result.range, result.left, out)
            tried = result.facts
        else:
            backend.write(samples, RangeTable(), frozenset(), out, activations=QuantType.QUInt16)
            tried = {}
    return {"float_operations": _float_operations(target), **tried}


class _Backend:
    """Quantizes one float file; see `_search.QuantizationBackend`."""

    reads = "onnx"
    channel_axis = 1

    def __init__(self, model: Path, scratch: Path) -> None:
        self.model = model
        self._prepared = scratch / "prepared.onnx"
        self._range_file = scratch / "ranges.json"
        quant_pre_process(model, self._prepared, skip_symbolic_shape=True)
        graph = onnx.load(self._prepared).graph
        constants = {tensor.name for tensor in graph.initializer}
        self.operations = [
            Operation(
                node.name,
                node.op_type,
                tuple(name for name in node.input if name and name not in constants),
                tuple(node.output),
            )
            for node in graph.node
        ]
        self.outputs = [output.name for output in graph.output]
        self._constants = constants
        self._nodes = [(node.op_type, node.input, node.output) for node in graph.node]
        self._session, self._watched = _watch(self._prepared)
        self._statistics: Statistics | None = None

    def observe(self, feed: Feed) -> Iterator[tuple[str, Floats]]:
        """Yield every float activation."""
        values = self._session.run(self._watched, feed)
        yield from zip(self._watched, values, strict=True)

    def write(
        self,
        samples: Samples,
        settings: RangeTable,
        left: frozenset[str],
        out: Path,
        *,
        activations: QuantType = QuantType.QUInt8,
    ) -> Path:
        """Write ``out/model.onnx``, keeping the operations `left` in float."""
        if self._statistics is None or self._statistics.samples is not samples:
            self._statistics = Statistics(self.observe, samples)
        ranges = self._statistics.ranges(settings)
        if activations is QuantType.QUInt8:
            ranges = without_closed_gates(ranges, gated(self.operations, self.outputs))
        images = image_inputs(samples)
        head = pixel_head(self._nodes, images, self._constants)
        ranges |= pixel_ranges(self.observe, head, samples) | dict.fromkeys(images, (0.0, 255.0))
        _save_ranges(ranges, self._range_file)
        # In float32 a normalised pixel is rounded once, quantized after every operation.
        pixels = {each.name for each in self.operations if set(each.outputs) <= head}
        target = out / self.model.name
        quantize_static(
            self._prepared,
            target,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=activations,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[each.name for each in self.operations if each.name in pixels | left],
            calibrate_method=CalibrationMethod.MinMax,
            calibration_cache_path=self._range_file,
        )
        write_onnx(onnx.load(target), target)
        return target


def _watch(model: Path) -> tuple[onnxruntime.InferenceSession, list[str]]:
    """Return a session that outputs every float activation of `model`, and their names."""
    watched = onnx.shape_inference.infer_shapes(onnx.load(model))
    graph = watched.graph
    known = {output.name for output in graph.output}
    # The optimiser leaves shape entries of fused tensors behind.
    computed = {name for node in graph.node for name in node.output}
    graph.output.extend(
        value
        for value in graph.value_info
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        and value.name in computed - known
    )
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session, [output.name for output in graph.output]


def _save_ranges(ranges: Mapping[str, Range], file: Path) -> None:
    tensors = {
        name: (np.array(lowest, np.float32), np.array(highest, np.float32))
        for name, (lowest, highest) in ranges.items()
    }
    # quantize_static only checks that the method equals its own argument; it uses these ranges.
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, tensors), file)


def _float_operations(model: Path) -> Mapping[str, int]:
    """Count the operations that ONNX Runtime computes in float32 after fusion."""
    options = onnxruntime.SessionOptions()
    # Above this level the graph depends on the processor.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory(prefix="edgetl-onnx-") as folder:
        fused = Path(folder) / "fused.onnx"
        options.optimized_model_filepath = str(fused)
        onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        kinds = Counter(node.op_type for node in onnx.load(fused).graph.node)
    integer = {kind for kind in kinds if kind == "QGemm" or "Linear" in kind or "Integer" in kind}
    return {kind: kinds[kind] for kind in sorted(kinds.keys() - integer - _MOVES)}


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store weights in half precision; they are cast to float32 when the model is loaded.

    Arithmetic stays float32: ONNX Runtime has almost no float16 CPU kernels and would insert casts
    around every operation.
    """
    # Other constants, such as biases, take little space but lose accuracy in half precision.
    factors = {node.input[1] for node in model.graph.node if node.op_type in _PRODUCTS}
    casts = []
    for tensor in model.graph.initializer:
        values, name = numpy_helper.to_array(tensor), tensor.name
        if name not in factors or values.dtype != np.float32:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise EdgetlError(
                f"weight '{name}' reaches {np.abs(values).max():g}; the fp16 maximum is 65504",
                remedy="remove fp16 from the candidates of 'onnx'",
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
