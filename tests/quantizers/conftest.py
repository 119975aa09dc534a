"""A network and images that are hard to quantize: dead channels, no black or white pixels."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgetl.exporters import EXPORTERS
from edgetl.nn.layers import RawPixels

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.2, 0.25)


def network() -> nn.Module:
    torch.manual_seed(0)
    stem = nn.Conv2d(3, 8, 3, 2, 1)
    layers = nn.Sequential(
        stem,
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, 2, 1, groups=8),
        nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    with torch.no_grad():
        # As in the pretrained MobileNetV2: zero weights with a non-zero bias.
        stem.weight[:2] = 0.0
        assert stem.bias is not None
        stem.bias[:2] = torch.tensor([2.5, 1.5])
    return RawPixels(layers, MEAN, STD).eval()


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    """Return images with pixels in 10..200 only."""
    blocks = np.random.default_rng(0).integers(10, 201, (8, 4, 4, 3), dtype=np.uint8)
    return blocks.repeat(4, axis=1).repeat(4, axis=2)


@pytest.fixture(scope="session")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that exports the network to a format, once."""
    files: dict[str, Path] = {}

    def export(name: str) -> Path:
        exporter = EXPORTERS.load(name)
        if any(find_spec(module) is None for module in exporter.requires):
            pytest.skip(f"edgetl[{EXPORTERS.extra_of(name)}] is not installed")
        if name not in files:
            folder = tmp_path_factory.mktemp(f"float-{name}")
            exporter.export(network(), {"image": torch.zeros(1, 16, 16, 3)}, ("logits",), folder)
            files[name] = folder / exporter.file
        return files[name]

    return export
