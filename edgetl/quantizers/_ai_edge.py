"""Quantize TFLite files with ai_edge_quantizer, using our own activation ranges."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_quantizer import quantizer, recipe
from numpy.typing import NDArray

from edgetl.config.calibration import Int8Table, RangeTable
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

_PIXELS: Mapping[Precision, Range] = {
    # 256 steps of exactly 1: int8 = pixel - 128.
    Precision.INT8: (0.0, 255.0),
    # Symmetric, 32767 steps above zero of exactly 1/128: int16 = pixel * 128.
    Precision.W8A16: (0.0, 32767 / 128),
}
_RECIPES = {Precision.INT8: recipe.static_wi8_ai8, Precision.W8A16: recipe.static_wi8_ai16}
_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": -1, "FULLY_CONNECTED": 0}
"""The output channel axis of an operation's weights."""
_WEIGHT_STEPS = 127
_LARGEST_BIAS = 2**24
"""Upper bound of a quantized bias: int32 holds 127 times as much, live channels need 2**19."""
_LEAST_REACH = 2.0**-16
"""Lower bound of a channel's weight range, relative to the largest: the output has 2**8 steps."""


def quantize(
    model: Path,
    samples: Samples,
    precision: Precision,
    settings: Int8Table,
    out: Path,
) -> Facts:
    """Write ``out/model.tflite``; see `edgetl.quantizers.Quantizer.quantize`."""
    target = out / model.name
    if precision is Precision.FP16:
        caster = quantizer.Quantizer(str(model))
        caster.add_weight_only_config(
            ".*", "*", 16, algorithm_key=recipe.AlgorithmName.FLOAT_CASTING
        )
        _write(caster, None, target)
        return {"float_operations": {}}
    backend = _Backend(model)
    if precision is Precision.INT8:
        result = search(backend, samples, settings)
        backend.write(samples, result.range, result.left, out)
        tried = result.facts
    else:
        backend.write(samples, RangeTable(), frozenset(), out, precision=precision)
        tried = {}
    return {"float_operations": _float_operations(target), **tried}


class _Backend:
    """Quantizes one float file; see `_search.QuantizationBackend`."""

    reads = "tflite"
    channel_axis = -1

    def __init__(self, model: Path) -> None:
        self.model = model
        self._interpreter = Interpreter(
            str(model),
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._interpreter.allocate_tensors()
        self._inputs = _inputs(self._interpreter)
        self._activations = _activations(self._interpreter)
        names = _names(self._interpreter)
        self._scopes: dict[str, str] = {}
        self.operations: list[Operation] = []
        changing = {*self._inputs.values(), *self._activations}
        for number, details in enumerate(_operations(self._interpreter)):
            # Tensor names are too long to show: they spell the path through the torch modules.
            name = f"{details['op_name']} {number}"
            inputs = tuple(names[int(i)] for i in details["inputs"] if int(i) in changing)
            outputs = tuple(names[int(i)] for i in details["outputs"])
            self.operations.append(Operation(name, str(details["op_name"]), inputs, outputs))
            self._scopes[name] = "|".join(f"^{re.escape(output)};?$" for output in outputs)
        self.outputs = [details["name"] for details in self._interpreter.get_output_details()]
        self._statistics: Statistics | None = None

    def observe(self, feed: Feed) -> Iterator[tuple[str, Floats]]:
        """Yield every float activation."""
        for name, index in self._inputs.items():
            self._interpreter.set_tensor(index, feed[name])
        self._interpreter.invoke()
        for index, name in self._activations.items():
            yield name, self._interpreter.get_tensor(index)

    def write(
        self,
        samples: Samples,
        settings: RangeTable,
        left: frozenset[str],
        out: Path,
        *,
        precision: Precision = Precision.INT8,
    ) -> Path:
        """Write ``out/model.tflite``, keeping the operations `left` in float."""
        static = quantizer.Quantizer(str(self.model))
        static.load_quantization_recipe(_RECIPES[precision]())
        for name in sorted(left):
            static.update_quantization_recipe(
                self._scopes[name], "*", algorithm_key=recipe.AlgorithmName.NO_QUANTIZE
            )
        target = out / self.model.name
        _write(static, self._ranges(samples, settings, precision), target)
        return target

    def _ranges(
        self, samples: Samples, settings: RangeTable, precision: Precision
    ) -> dict[str, dict[str, NDArray[np.float32]]]:
        """Return ranges in the layout of ai_edge_quantizer's calibration result.

        Its own calibration uses a moving average of the extremes with a decay of 0.95, so the
        result would depend on the order of the images and reach neither extreme.
        """
        if self._statistics is None or self._statistics.samples is not samples:
            self._statistics = Statistics(self.observe, samples)
        names = _names(self._interpreter)
        images = [names[self._inputs[name]] for name in image_inputs(samples)]
        ranges = self._statistics.ranges(settings)
        if precision is Precision.INT8:
            ranges = without_closed_gates(ranges, gated(self.operations, self.outputs))
        head = _head(self._interpreter, images)
        ranges |= pixel_ranges(self.observe, head, samples)
        ranges |= dict.fromkeys(images, _PIXELS[precision])
        result = {
            name: {
                "min": np.array([[lowest]], np.float32),
                "max": np.array([[highest]], np.float32),
            }
            for name, (lowest, highest) in ranges.items()
        }
        for name, reach in _weight_ranges(self._interpreter, ranges, precision).items():
            result[name] = {"min": -reach, "max": reach}
        return result


def _write(model: Any, ranges: Mapping[str, Any] | None, target: Path) -> None:  # noqa: ANN401
    result = model.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    target.write_bytes(result.quantized_model)


def _operations(interpreter: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - LiteRT has no types
    details: list[dict[str, Any]] = interpreter._get_ops_details()  # noqa: SLF001 - no public list
    return details


def _names(interpreter: Any) -> dict[int, str]:  # noqa: ANN401 - LiteRT has no types
    return {details["index"]: details["name"] for details in interpreter.get_tensor_details()}


def _activations(interpreter: Any) -> dict[int, str]:  # noqa: ANN401 - LiteRT has no types
    """Return the names, by tensor index, of all float tensors computed by operations."""
    computed = {int(i) for operation in _operations(interpreter) for i in operation["outputs"]}
    return {
        details["index"]: details["name"]
        for details in interpreter.get_tensor_details()
        if details["index"] in computed and details["dtype"] is np.float32
    }


def _inputs(interpreter: Any) -> dict[str, int]:  # noqa: ANN401 - LiteRT has no types
    """Return the index of each input tensor by its name in the only signature, as engines do."""
    runner = interpreter.get_signature_runner()
    return {name: details["index"] for name, details in runner.get_input_details().items()}


def _head(interpreter: Any, images: Sequence[str]) -> frozenset[str]:  # noqa: ANN401
    names = _names(interpreter)
    operations = [
        (
            str(details["op_name"]),
            [names[int(index)] for index in details["inputs"] if index >= 0],
            [names[int(index)] for index in details["outputs"]],
        )
        for details in _operations(interpreter)
    ]
    inputs = {names[index] for index in _inputs(interpreter).values()}
    changing = inputs.union(*(outputs for _, _, outputs in operations))
    return pixel_head(operations, images, set(names.values()) - changing)


def _weight_ranges(
    interpreter: Any,  # noqa: ANN401 - LiteRT has no types
    ranges: Mapping[str, Range],
    precision: Precision,
) -> dict[str, NDArray[np.float32]]:
    """Return the largest absolute weight of each output channel, by name of the weight tensor.

    ai_edge_quantizer 0.10 gives a dead channel (all weights zero, as in the pretrained MobileNetV2)
    a scale of 8e-12; its bias then overflows 32 bits and is lost. Dead channels get a scale that
    keeps the bias a moderate number; live channels keep theirs.
    """
    names = _names(interpreter)
    reaches: dict[str, NDArray[np.float32]] = {}
    for operation in _operations(interpreter):
        if operation["op_name"] not in _CHANNEL_AXIS:
            continue
        source, kernel, bias = (int(index) for index in operation["inputs"][:3])
        if bias < 0:
            continue
        weights = np.abs(interpreter.get_tensor(kernel))
        axis = _CHANNEL_AXIS[operation["op_name"]] % weights.ndim
        others = tuple(i for i in range(weights.ndim) if i != axis)
        reach = weights.max(axis=others, keepdims=True)
        lowest, highest = ranges[names[source]]
        step = _activation_step(min(lowest, 0.0), max(highest, 0.0), precision)
        scale = np.abs(interpreter.get_tensor(bias)).reshape(reach.shape) / (step * _LARGEST_BIAS)
        least = np.maximum(scale * _WEIGHT_STEPS, reach.max() * _LEAST_REACH)
        reaches[names[kernel]] = np.maximum(reach, least).astype(np.float32)
    return reaches


def _activation_step(lowest: float, highest: float, precision: Precision) -> float:
    if precision is Precision.W8A16:
        return max(-lowest, highest) / 32767
    return (highest - lowest) / 255


def _float_operations(model: Path) -> Mapping[str, int]:
    interpreter = Interpreter(
        str(model), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    dtypes = {details["index"]: details["dtype"] for details in interpreter.get_tensor_details()}
    kinds = Counter(
        details["op_name"]
        for details in _operations(interpreter)
        if details["op_name"] != "DEQUANTIZE" and dtypes[int(details["outputs"][0])] is np.float32
    )
    return dict(sorted(kinds.items()))
