"""A model family of your own: two convolutions. The contract is in `edgetl/models/__init__.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgetl.models import Block, PretrainedWeights

if TYPE_CHECKING:  # plans import this module, and do not need torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TwoLayers:
    """Networks with `16 * width` channels, for images of any size from 16 x 16."""

    version: int = 1
    task: str = "classification"
    min_size: int = 16
    size_multiple: int = 1
    min_classes: int = 2
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    has_widths: bool = True
    blocks: tuple[Block, ...] = (Block("body", ("body",)), Block("head", ("head",)))
    head: str = "head"
    reinitialized: tuple[str, ...] = ("head",)
    pretrained: Mapping[str, PretrainedWeights] = field(default_factory=dict)
    key_mapping: Mapping[str, str] = field(default_factory=dict)

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        """Return a network with random weights drawn from `seed`."""
        import torch
        from torch import nn

        channels = round(16 * width)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = nn.Sequential()
            body = (nn.Conv2d(3, channels, 3, 2), nn.ReLU(), nn.Conv2d(channels, channels, 3, 2))
            network.add_module("body", nn.Sequential(*body, nn.ReLU()))
            network.add_module("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
            network.add_module("head", nn.Linear(channels, num_classes))
        return network.train()

    def decoded(self, network: nn.Module, size: int) -> nn.Module:
        """Return `network`, whose outputs are logits already."""
        del size
        return network

    def features(self, module: nn.Module, images: Tensor) -> Tensor:
        """Return what the head reads, shape `(N, F)`."""
        features: Tensor = module.get_submodule("pool")(module.get_submodule("body")(images))
        return features

    def fetch(self, name: str) -> Mapping[str, Tensor]:
        """Refuse every name: there are no pretrained weights."""
        raise KeyError(name)


FAMILY = TwoLayers()
