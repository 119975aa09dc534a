"""A network of few layers: what rounding does to it stays small, in float and in 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgetl.models import Block, PretrainedWeights

if TYPE_CHECKING:
    from torch import Tensor, nn

_CHANNELS = 16


@dataclass(frozen=True, slots=True)
class FewLayers:
    version: int = 1
    task: str = "classification"
    min_size: int = 8
    size_multiple: int = 1
    min_classes: int = 2
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)
    has_widths: bool = True
    blocks: tuple[Block, ...] = (
        Block("stem", ("stem",)),
        Block("body", ("depthwise", "pointwise")),
        Block("head", ("head",)),
    )
    head: str = "head"
    reinitialized: tuple[str, ...] = ("head",)
    pretrained: Mapping[str, PretrainedWeights] = field(default_factory=dict)
    key_mapping: Mapping[str, str] = field(default_factory=dict)

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        import torch
        from torch import nn

        def layer(convolution: nn.Conv2d) -> nn.Module:
            norm = nn.BatchNorm2d(convolution.out_channels)
            return nn.Sequential(convolution, norm, nn.ReLU6())

        c = round(_CHANNELS * width)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = nn.Sequential()
            stem = nn.Conv2d(3, c, 3, stride=2, padding=1, bias=False)
            network.add_module("stem", layer(stem))
            depthwise = nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False)
            network.add_module("depthwise", layer(depthwise))
            network.add_module("pointwise", layer(nn.Conv2d(c, 2 * c, 1, bias=False)))
            network.add_module("pool", nn.AdaptiveAvgPool2d(1))
            network.add_module("flatten", nn.Flatten())
            network.add_module("head", nn.Linear(2 * c, num_classes))
        return network.train()

    def decoded(self, network: nn.Module, size: int) -> nn.Module:
        del size
        return network

    def features(self, module: nn.Module, images: Tensor) -> Tensor:
        features = images
        for name, part in module.named_children():
            if name != self.head:
                features = part(features)
        return features

    def fetch(self, name: str) -> Mapping[str, Tensor]:
        raise KeyError(name)


FAMILY = FewLayers()
