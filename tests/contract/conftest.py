"""A tiny model for the suites of exporters and quantizers, exported once per format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.exporters import EXPORTERS
from edgetl.nn.layers import RawPixels


class TinyClassifier(nn.Module):
    """What the families are made of: convolutions, depthwise ones, hard-swish, squeeze-excite."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8))
        self.depthwise = nn.Sequential(
            nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6()
        )
        self.squeeze = nn.Sequential(nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1))
        self.project = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits `(N, 3)` and features `(N, 8)`."""
        activations = self.depthwise(nn.functional.hardswish(self.stem(image)))
        gate = self.squeeze(nn.functional.adaptive_avg_pool2d(activations, 1))
        activations = activations + self.project(activations * nn.functional.hardsigmoid(gate))
        features = nn.functional.adaptive_avg_pool2d(activations, (1, 1)).flatten(1)
        return self.head(nn.functional.dropout(features, 0.2, self.training)), features


@dataclass(frozen=True)
class Tiny:
    """A module that takes raw pixels, images for it, and what it answers."""

    module: nn.Module
    example: Tensor
    images: NDArray[np.uint8]
    """Shape `(12, 32, 32, 3)`, with pixels in 10..200 only."""
    outputs: dict[str, NDArray[np.float32]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.outputs)


@dataclass(frozen=True)
class Exported:
    """A float file."""

    folder: Path
    tensors: dict[str, str]


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """Return the tiny model with fixed weights and settled statistics."""
    torch.manual_seed(0)
    network = TinyClassifier()
    module = RawPixels(network, (0.5, 0.4, 0.3), (0.2, 0.2, 0.25))
    blocks = np.random.default_rng(0).integers(10, 201, (12, 4, 4, 3), dtype=np.uint8)
    pixels = blocks.repeat(8, axis=1).repeat(8, axis=2)
    images = torch.from_numpy(pixels).float()
    with torch.no_grad():
        for _ in range(20):
            module.train()(images)
        logits, features = module.eval()(images)
    outputs = {"logits": logits.numpy(), "features": features.numpy()}
    return Tiny(module, images[:1], pixels, outputs)


@pytest.fixture(scope="session")
def exported(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Return a function that exports the tiny model to a format, once."""
    made: dict[str, Exported] = {}

    def export(name: str) -> Exported:
        if name not in made:
            exporter = EXPORTERS.load(name)
            missing = [module for module in exporter.requires if find_spec(module) is None]
            if missing:
                pytest.skip(f"edgetl[{EXPORTERS.extra_of(name) or missing[0]}] is not installed")
            folder = tmp_path_factory.mktemp(f"exported-{name}")
            tensors = exporter.export(tiny.module, {"image": tiny.example}, tiny.names, folder)
            made[name] = Exported(folder, tensors)
        return made[name]

    return export
