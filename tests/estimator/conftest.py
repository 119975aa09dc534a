"""Operations of known size, a cost profile of known prices, and a small ONNX network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgetl.estimator.cost import USUAL_NS
from edgetl.estimator.cost_profile import CostProfile, Fit, NetworkRow
from edgetl.estimator.graph import Kind, Operation
from edgetl.types import Precision

Operate = Callable[..., Operation]


@pytest.fixture
def operation() -> Operate:
    """Return a function that makes an operation of a kind with the given sizes."""

    def make(kind: Kind, **sizes: Any) -> Operation:
        usual = {"macs": 0, "read": 0, "written": 0, "weights": 0, "channels": (0, 0)}
        return Operation(**{"kind": kind, "name": kind.value, "integer": False, **usual, **sizes})

    return make


@pytest.fixture
def prices() -> dict[str, float]:
    """Return prices: 1 ms per inference, 1 ns per pointwise multiplication."""
    return {**dict.fromkeys(USUAL_NS, 0.0), "inference": 1e6, "pointwise multiplications": 1.0}


@pytest.fixture
def profile(prices: dict[str, float]) -> CostProfile:
    """Return a profile for ONNX files with bands of 25 %; int8 multiplications cost 2 ns."""
    row = NetworkRow(name="one", ms=1.0, fitted_ms=1.0, held_out_ms=1.1, disturbed=False)

    def fit(precision: Precision, ns: dict[str, float]) -> Fit:
        return Fit(
            format="onnx",
            precision=precision,
            engine="onnxruntime 1.31.1",
            lane=1,
            ns=ns,
            band=1.25,
            coverage=0.9,
            largest={"pointwise": 1000, "arithmetic": 1000},
            networks=(row, row.model_copy(update={"name": "two", "disturbed": True})),
        )

    return CostProfile(
        edgetl="1.0",
        device="ssh://board",
        host={"machine": "aarch64", "processor": "Board 4", "cores": 4},
        threads=2,
        fits=(
            fit(Precision.FP32, prices),
            fit(Precision.INT8, {**prices, "pointwise multiplications": 2.0}),
        ),
    )


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """Write a network of 3 x 8 x 8 pixels: every weighted kind, a broadcast sum, a free clip."""
    onnx = pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")
    import numpy as np

    helper = onnx.helper
    shapes = {
        "dense": (4, 3, 3, 3), "deep": (4, 1, 3, 3), "point": (8, 4, 1, 1), "row": (4,),
        "line": (8, 2),
    }  # fmt: skip
    weights = [
        onnx.numpy_helper.from_array(np.ones(shape, np.float32), name)
        for name, shape in shapes.items()
    ]
    axes = onnx.numpy_helper.from_array(np.array([2, 3]), "axes")
    same = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "dense"], ["a"], **same),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "deep"], ["c"], group=4, strides=[2, 2], **same),
        helper.make_node("Conv", ["c", "point"], ["d"]),
        helper.make_node("Add", ["d", "row"], ["e"]),
        helper.make_node("HardSwish", ["e"], ["f"]),
        helper.make_node("ReduceMean", ["f", "axes"], ["g"], keepdims=0),
        helper.make_node("Gemm", ["g", "line"], ["h"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("image", 1, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("h", 1, [1, 2])],
        [*weights, axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "tiny.onnx")
    return tmp_path / "tiny.onnx"
