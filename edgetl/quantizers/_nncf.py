"""Quantize OpenVINO files with NNCF; fp16 is OpenVINO's own compression of weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from edgetl.config.calibration import RangeTable
from edgetl.types import Precision

_LEVELS = 256
_MOVES = frozenset({"Convert", "Reshape", "Squeeze", "Transpose", "MaxPool"})
"""Operations that only move values, whatever their type."""
_ELEMENTWISE = frozenset(
    {"Add", "Clamp", "HSigmoid", "HSwish", "Multiply", "Relu", "Sigmoid", "Subtract", "Swish"}
)


def quantize(
    model: Path,
    photos: NDArray[np.uint8],
    precision: Precision,
    settings: RangeTable,
    out: Path,
) -> Mapping[str, int]:
    """Write ``model.xml`` and ``model.bin``; see `edgetl.quantizers.Quantizer.quantize`."""
    found = openvino.Core().read_model(model)
    if precision is Precision.FP16:
        openvino.save_model(found, out / model.name, compress_to_fp16=True)
        return {}
    quantized = _quantized(found, photos, settings)
    _reach_all_pixels(quantized)
    openvino.save_model(quantized, out / model.name, compress_to_fp16=False)
    return _float_operations(quantized)


def _quantized(model: Any, photos: NDArray[np.uint8], settings: RangeTable) -> Any:  # noqa: ANN401
    # Takes longer to import than fp16, which does without, takes to make.
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters

    return nncf.quantize(
        model,
        nncf.Dataset(photos, lambda photo: photo[np.newaxis].astype(np.float32)),
        subset_size=len(photos),
        # Symmetric activations would waste half of the steps behind ReLU6 and hard-swish.
        preset=nncf.QuantizationPreset.MIXED,
        fast_bias_correction=True,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # nncf gives depthwise convolutions a range per channel, which a few hundred photos
            # do not settle: a channel that hardly fired would be clipped on the next photo.
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
    # Per photo, and then the widest of all photos.
    return RangeEstimatorParameters(
        min=StatisticsCollectorParameters(
            StatisticsType.QUANTILE, AggregatorType.MIN, quantile_outlier_prob=tail
        ),
        max=StatisticsCollectorParameters(
            StatisticsType.QUANTILE, AggregatorType.MAX, quantile_outlier_prob=tail
        ),
    )


def _reach_all_pixels(model: Any) -> None:  # noqa: ANN401 - openvino is not followed by mypy
    """Widen the first quantizer to what pixels of 0 and 255 become in front of it.

    Its range came from the photos, and a darker or brighter one in the field must not be clipped.
    Between input and quantizer lies the normalisation, which grows with every pixel.
    """
    for quantizer in _first_quantizers(model):
        head = openvino.Model([quantizer.input_value(0)], model.get_parameters(), "head")
        compiled = openvino.compile_model(head.clone(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        shape = tuple(model.inputs[0].get_shape())
        ends = [compiled([np.full(shape, pixel, np.float32)])[0] for pixel in (0.0, 255.0)]
        low, high = _aligned(float(np.min(ends)), float(np.max(ends)))
        for index, end in enumerate((low, high, low, high), start=1):
            old = quantizer.input_value(index).get_node()
            value = np.full(tuple(old.get_output_shape(0)), end, np.float32)
            quantizer.input(index).replace_source_output(
                openvino.opset13.constant(value, openvino.Type.f32).output(0)
            )


def _aligned(low: float, high: float) -> tuple[float, float]:
    """Return the narrowest range around `low`, `high` and zero that has a step at zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    zero = round(-low / (high - low) * (_LEVELS - 1))
    ends = [-low / zero] if zero else []
    ends += [high / (_LEVELS - 1 - zero)] if zero < _LEVELS - 1 else []
    step = max(ends)
    return -zero * step, (_LEVELS - 1 - zero) * step


def _first_quantizers(model: Any) -> list[Any]:  # noqa: ANN401 - openvino is not followed by mypy
    """Return every FakeQuantize that the input reaches without passing another one."""
    found, seen = [], set()
    waiting = [parameter.output(0) for parameter in model.get_parameters()]
    while waiting:
        for target in waiting.pop().get_target_inputs():
            node = target.get_node()
            if node.get_friendly_name() in seen:
                continue
            seen.add(node.get_friendly_name())
            if node.get_type_name() == "FakeQuantize":
                found.append(node)
            elif node.get_type_name() in {"Add", "Subtract", "Multiply", "Transpose", "Convert"}:
                waiting.append(node.output(0))
    return found


def _float_operations(model: Any) -> Mapping[str, int]:  # noqa: ANN401
    """Count operations that read float activations and follow no integer convolution.

    OpenVINO computes what follows a convolution element by element while its sums are still in the
    registers, so bias, clamp and hard-swish cost nothing there.
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
