"""ONNX by ONNX Runtime: fp16 weights, static int8, and int8 weights with 16-bit activations."""

from __future__ import annotations

from edgetl.quantizers._isolated import IsolatedQuantizer
from edgetl.types import Precision

EXTRA = "onnx"

QUANTIZER = IsolatedQuantizer(
    module="edgetl.quantizers._onnxruntime",
    reads="onnx",
    requires=("onnx", "onnxruntime"),
    tools=("onnx", "onnxruntime"),
    precisions=frozenset({Precision.FP16, Precision.INT8, Precision.W8A16}),
    estimators=frozenset({"minmax", "percentile", "entropy", "mse", "best"}),
    version=2,
)
