"""TFLite by ai_edge_quantizer: fp16 weights, static int8, int8 weights with 16-bit activations."""

from __future__ import annotations

from edgetl.quantizers._isolated import IsolatedQuantizer
from edgetl.types import Precision

EXTRA = "tflite"

QUANTIZER = IsolatedQuantizer(
    module="edgetl.quantizers._ai_edge",
    reads="tflite",
    requires=("ai_edge_quantizer", "ai_edge_litert"),
    tools=("ai-edge-quantizer", "ai-edge-litert"),
    precisions=frozenset({Precision.FP16, Precision.INT8, Precision.W8A16}),
    estimators=frozenset({"minmax", "percentile", "entropy", "mse", "best"}),
)
