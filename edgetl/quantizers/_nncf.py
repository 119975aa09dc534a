"""Quantize OpenVINO files with NNCF; fp16 uses OpenVINO's own weight compression."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from edgetl.config.calibration import Int8Table, RangeTable
from edgetl.quantizers._graph import Operation
from edgetl.quantizers._samples import (
    Feed,
    Samples,
    as_feed,
    each_sample,
    extreme_pixels,
    feeds,
    image_inputs,
    num_samples,
)
from edgetl.quantizers._search import search
from edgetl.types import Facts, Precision

_LEVELS = 256
_MOVES = frozenset({"Convert", "Reshape", "Squeeze", "Transpose", "MaxPool"})
"""Operations that only move or convert values."""
_ELEMENTWISE = frozenset(
    {"Add", "Clamp", "HSigmoid", "HSwish", "Multiply", "Relu", "Sigmoid", "Subtract", "Swish"}
)


def quantize(
    model: Path,
    samples: Samples,
    precision: Precision,
    settings: Int8Table,
    out: Path,
) -> Facts:
    """Write ``model.xml`` and ``model.bin``; see `edgetl.quantizers.Quantizer.quantize`."""
    if precision is Precision.FP16:
        network = openvino.Core().read_model(model)
        openvino.save_model(network, out / model.name, compress_to_fp16=True)
        return {"float_operations": {}}
    backend = _Backend(model)
    result = search(backend, samples, settings)
    target = backend.write(samples, result.range, result.left, out)
    kinds = _float_operations(openvino.Core().read_model(target))
    return {"float_operations": kinds, **result.facts}


class _Backend:
    """Quantizes one float file to int8; see `_search.QuantizationBackend`."""

    reads = "openvino"
    channel_axis = 1

    def __init__(self, model: Path) -> None:
        self.model = model

    @cached_property
    def _float(self) -> Any:  # noqa: ANN401 - openvino is not followed by mypy
        return openvino.Core().read_model(self.model)

    @cached_property
    def operations(self) -> list[Operation]:
        """Return the graph."""
        return _operations(self._float)

    @property
    def outputs(self) -> list[str]:
        """Return the operations that compute the outputs; tensors share the operation's name."""
        return [_source(result) for result in self._float.get_results()]

    def observe(self, feed: Feed) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield inputs and outputs of the weighted operations."""
        names, compiled = self._watched
        activations = compiled(feed)
        for number, name in enumerate(names):
            yield name, activations[number]

    @cached_property
    def _watched(self) -> tuple[list[str], Any]:
        touched = {
            name
            for operation in self.operations
            if operation.weighted
            for name in (*operation.inputs, *operation.outputs)
        }
        clone = self._float.clone()
        nodes = [node for node in clone.get_ordered_ops() if node.get_friendly_name() in touched]
        watched = openvino.Model([node.output(0) for node in nodes], clone.get_parameters(), "all")
        compiled = openvino.compile_model(watched, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return [node.get_friendly_name() for node in nodes], compiled

    def write(
        self, samples: Samples, settings: RangeTable, left: frozenset[str], out: Path
    ) -> Path:
        """Write ``model.xml`` and ``model.bin``, keeping the operations `left` in float."""
        network = openvino.Core().read_model(self.model)
        known = frozenset(node.get_friendly_name() for node in network.get_ops())
        quantized = _quantized(network, samples, settings, left)
        _widen_to_all_pixels(quantized, samples)
        _renumber(quantized, known)
        target = out / self.model.name
        openvino.save_model(quantized, target, compress_to_fp16=False)
        return target


def _source(node: Any, index: int = 0) -> str:  # noqa: ANN401 - openvino is not followed by mypy
    name: str = node.input_value(index).get_node().get_friendly_name()
    return name


def _operations(model: Any) -> list[Operation]:  # noqa: ANN401
    """Return the operations that depend on an input; tensors share the operation's name."""
    changing, operations = set(), []
    for node in model.get_ordered_ops():
        name, kind = node.get_friendly_name(), node.get_type_name()
        sources = (_source(node, index) for index in range(node.get_input_size()))
        inputs = tuple(source for source in sources if source in changing)
        if inputs or kind == "Parameter":
            changing.add(name)
        if inputs and kind != "Result":
            operations.append(Operation(name, kind, inputs, (name,)))
    return operations


def _quantized(
    model: Any,  # noqa: ANN401
    samples: Samples,
    settings: RangeTable,
    left: frozenset[str],
) -> Any:  # noqa: ANN401
    # Importing nncf takes longer than a whole fp16 conversion, which does not need it.
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters

    return nncf.quantize(
        model,
        nncf.Dataset(list(each_sample(samples)), as_feed),
        subset_size=num_samples(samples),
        # Symmetric activations would waste half of the steps after ReLU6 and hard-swish.
        preset=nncf.QuantizationPreset.MIXED,
        fast_bias_correction=True,
        ignored_scope=nncf.IgnoredScope(names=sorted(left), validate=False) if left else None,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # By default nncf gives depthwise convolutions a range per channel, for which a few
            # hundred images are too few: a rarely active channel would be clipped later.
            activations_quantization_params=QuantizationParameters(per_channel=False),
            activations_range_estimator_params=_range_estimator(settings),
        ),
    )


def _range_estimator(settings: RangeTable) -> Any:  # noqa: ANN401 - nncf is not followed by mypy
    from nncf.quantization.range_estimator import (
        AggregatorType,
        RangeEstimatorParameters,
        RangeEstimatorParametersSet,
        StatisticsCollectorParameters,
        StatisticsType,
    )

    if settings.estimator == "minmax":
        return RangeEstimatorParametersSet.MINMAX
    if settings.estimator == "mse":
        return RangeEstimatorParametersSet.HISTOGRAM
    tail = (1.0 - settings.percentile / 100.0) / 2.0
    # Per image, and then the widest of all images.
    return RangeEstimatorParameters(
        min=StatisticsCollectorParameters(
            StatisticsType.QUANTILE, AggregatorType.MIN, quantile_outlier_prob=tail
        ),
        max=StatisticsCollectorParameters(
            StatisticsType.QUANTILE, AggregatorType.MAX, quantile_outlier_prob=tail
        ),
    )


def _widen_to_all_pixels(model: Any, samples: Samples) -> None:  # noqa: ANN401 - as above
    """Widen the first quantizer after each image to what pixels 0 and 255 reach at its input.

    Its range comes from the calibration images; a darker or brighter image must not be clipped.
    Only the normalisation, which is monotonic in every pixel, precedes the quantizer.
    """
    images = image_inputs(samples)
    parameters = [port.get_node() for port in model.inputs if port.get_any_name() in images]
    for quantizer in _first_quantizers(parameters):
        head = openvino.Model([quantizer.input_value(0)], model.get_parameters(), "head")
        compiled = openvino.compile_model(head.clone(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        ends = [compiled(feed)[0] for feed in feeds(extreme_pixels(samples))]
        low, high = _aligned(float(np.min(ends)), float(np.max(ends)))
        for index, end in enumerate((low, high, low, high), start=1):
            old = quantizer.input_value(index).get_node()
            value = np.full(tuple(old.get_output_shape(0)), end, np.float32)
            quantizer.input(index).replace_source_output(
                openvino.opset13.constant(value, openvino.Type.f32).output(0)
            )


def _renumber(model: Any, known: frozenset[str]) -> None:  # noqa: ANN401
    """Renumber automatically named nodes that are not among `known` in graph order.

    OpenVINO 2026.4 numbers nodes with a process-wide counter that racing threads share, and saves
    the names, so two runs would write different bytes.
    """
    for number, node in enumerate(model.get_ordered_ops()):
        name, kind = node.get_friendly_name(), node.get_type_name()
        if name not in known and re.fullmatch(rf"{kind}_\d+", name):
            node.set_friendly_name(f"{kind}_new_{number}")


def _aligned(low: float, high: float) -> tuple[float, float]:
    """Return the narrowest range containing `low`, `high` and zero with a step at zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    zero = round(-low / (high - low) * (_LEVELS - 1))
    ends = [-low / zero] if zero else []
    ends += [high / (_LEVELS - 1 - zero)] if zero < _LEVELS - 1 else []
    step = max(ends)
    return -zero * step, (_LEVELS - 1 - zero) * step


def _first_quantizers(parameters: Sequence[Any]) -> list[Any]:
    """Return every FakeQuantize reachable from the input without passing another one."""
    quantizers, seen = [], set()
    waiting = [parameter.output(0) for parameter in parameters]
    while waiting:
        for target in waiting.pop().get_target_inputs():
            node = target.get_node()
            if node.get_friendly_name() in seen:
                continue
            seen.add(node.get_friendly_name())
            if node.get_type_name() == "FakeQuantize":
                quantizers.append(node)
            elif node.get_type_name() in {"Add", "Subtract", "Multiply", "Transpose", "Convert"}:
                waiting.append(node.output(0))
    return quantizers


def _float_operations(model: Any) -> Mapping[str, int]:  # noqa: ANN401
    """Count operations that read float activations and are not fused into an integer convolution.

    OpenVINO fuses elementwise operations into the convolution before them, so bias, clip and
    hard-swish cost nothing there.
    """
    kinds: Counter[str] = Counter()
    weights: set[str] = set()
    integer: set[str] = set()
    fused: set[str] = set()
    for node in model.get_ordered_ops():
        name, kind = node.get_friendly_name(), node.get_type_name()
        sources = {value.get_node().get_friendly_name() for value in node.input_values()} - weights
        if kind != "Parameter" and not sources:
            weights.add(name)
        elif kind == "FakeQuantize" or (kind in _MOVES and sources <= integer):
            integer.add(name)
        elif sources <= integer or (
            kind in _ELEMENTWISE and len(sources) == 1 and sources <= fused
        ):
            fused.add(name)
        elif kind not in _MOVES | {"Parameter", "Result"}:
            kinds[kind] += 1
    return dict(sorted(kinds.items()))
