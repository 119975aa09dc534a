"""OpenVINO by NNCF: fp16 weights, and static int8 with bias correction."""

from __future__ import annotations

from edgetl.quantizers._isolated import IsolatedQuantizer
from edgetl.types import Precision

EXTRA = "openvino"

QUANTIZER = IsolatedQuantizer(
    module="edgetl.quantizers._nncf",
    reads="openvino",
    requires=("nncf", "openvino"),
    tools=("nncf", "openvino"),
    precisions=frozenset({Precision.FP16, Precision.INT8}),
    estimators=frozenset({"minmax", "percentile", "mse", "best"}),
)
