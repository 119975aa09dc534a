"""The smallest network that learns colours: one convolution, a pool and a linear layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgetl.models import Block, PretrainedWeights

if TYPE_CHECKING:
    from torch import Tensor, nn

_CHANNELS = 8


@dataclass(frozen=True, slots=True)
class PatchMean:
    version: int = 1
    task: str = "classification"
    min_size: int = 8
    size_multiple: int = 1
    min_classes: int = 2
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    has_widths: bool = True
    blocks: tuple[Block, ...] = (Block("stem", ("stem",)), Block("head", ("head",)))
    head: str = "head"
    reinitialized: tuple[str, ...] = ("head",)
    pretrained: Mapping[str, PretrainedWeights] = field(default_factory=dict)
    key_mapping: Mapping[str, str] = field(default_factory=dict)

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        import torch
        from torch import nn

        channels = round(_CHANNELS * width)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = nn.Sequential()
            network.add_module("stem", nn.Conv2d(3, channels, 1))
            network.add_module("activation", nn.ReLU())
            network.add_module("pool", nn.AdaptiveAvgPool2d(1))
            network.add_module("flatten", nn.Flatten())
            network.add_module("head", nn.Linear(channels, num_classes))
        return network.train()

    def decoded(self, network: nn.Module, size: int) -> nn.Module:
        del size
        return network

    def features(self, module: nn.Module, images: Tensor) -> Tensor:
        features: Tensor = images
        for name, part in module.named_children():
            if name != self.head:
                features = part(features)
        return features

    def fetch(self, name: str) -> Mapping[str, Tensor]:
        raise KeyError(name)


FAMILY = PatchMean()
