"""Networks are made in both precisions, timed on this machine in turns, and parsed again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip("onnxscript", reason="edgetl[onnx] is not installed")

from edgetl.devices import open_device
from edgetl.estimator._suite_files import make
from edgetl.estimator.graph import read_graph
from edgetl.estimator.networks import Network
from edgetl.estimator.profiling import folders
from edgetl.estimator.timing import time_folders
from edgetl.nn.layers import RawPixels
from edgetl.types import Precision

_PRECISIONS = (Precision.FP32, Precision.INT8)
_PAIRS = [("onnx", precision) for precision in _PRECISIONS]


def network(channels: int) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Conv2d(3, channels, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(channels, 2),
        )  # fmt: skip
        return RawPixels(layers, (0.5,) * 3, (0.5,) * 3).eval()

    return build


def test_suite_is_made_timed_and_parsed(tmp_path: Path) -> None:
    networks = [Network("narrow", 16, network(4)), Network("wide", 64, network(64))]
    make(networks, "onnx", _PRECISIONS, tmp_path)
    models = list(folders(tmp_path, _PAIRS))
    device = open_device("local")
    times = time_folders(
        device,
        {each.folder.name: each.folder for each in models},
        threads=1,
        host=device.describe(),
    )

    assert sorted(times) == [
        "narrow-onnx-fp32", "narrow-onnx-int8", "wide-onnx-fp32", "wide-onnx-int8",
    ]  # fmt: skip
    for each in models:
        graph = read_graph(each.folder / "model.onnx")
        assert graph.precision is each.precision
        assert times[each.folder.name].engine.startswith("onnxruntime ")
    # 64 x 64 pixels to 64 channels against 16 x 16 to 4: 256 times the work.
    assert times["wide-onnx-fp32"].ms > times["narrow-onnx-fp32"].ms > 0
