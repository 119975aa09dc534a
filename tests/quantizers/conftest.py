"""A network with what goes wrong in quantizers: dead channels, images without extremes."""

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
    found = nn.Sequential(
        stem,
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, 2, 1, groups=8),
        nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    with torch.no_grad():
        # As in published MobileNetV2: weights that died, with a bias that did not.
        stem.weight[:2] = 0.0
        assert stem.bias is not None
        stem.bias[:2] = torch.tensor([2.5, 1.5])
    return RawPixels(found, MEAN, STD).eval()


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    """Return images with pixels in 10..200 only."""
    blocks = np.random.default_rng(0).integers(10, 201, (8, 4, 4, 3), dtype=np.uint8)
    return blocks.repeat(4, axis=1).repeat(4, axis=2)


@pytest.fixture(scope="session")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that exports the network to a format, once."""
    made: dict[str, Path] = {}

    def export(name: str) -> Path:
        exporter = EXPORTERS.load(name)
        if any(find_spec(module) is None for module in exporter.requires):
            pytest.skip(f"edgetl[{EXPORTERS.extra_of(name)}] is not installed")
        if name not in made:
            folder = tmp_path_factory.mktemp(f"float-{name}")
            exporter.export(network(), torch.zeros(1, 16, 16, 3), ("logits",), folder)
            made[name] = folder / exporter.file
        return made[name]

    return export
