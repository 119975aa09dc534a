"""What the MobileNet families share: torchvision's builders, and where backbone and head part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum

MIN_SIZE = 32
"""The stride of the last feature map: less leaves no pixel."""

# Momentum 0.01, MobileNetV3's own, needs some 500 steps to forget the start; on a few hundred
# photos that is the whole training, and evaluation would run on statistics of no photo.
V3_NORM = partial(nn.BatchNorm2d, eps=0.001, momentum=0.1)


@dataclass(frozen=True, slots=True)
class MobileNet:
    """A `Family` whose module has `features`, and a `classifier` that ends in the head."""

    builder: Callable[..., nn.Module]
    weights: WeightsEnum
    head: str
    taps: tuple[str, ...]
    norm: Callable[..., nn.Module] | None = None
    """Normalisation layer; None takes torchvision's own choice."""
    min_size: int = MIN_SIZE
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        """Return a network with random weights; see `Family.build`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.builder(width_mult=width, num_classes=num_classes, norm_layer=self.norm)

    def features(self, module: nn.Module, images: Tensor) -> Tensor:
        """Return pooled features, through all of the classifier but the head."""
        maps = module.get_submodule("features")(images)
        pooled = nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1)
        classifier = cast("nn.Sequential", module.get_submodule("classifier"))
        return cast("Tensor", classifier[:-1](pooled))

    def imagenet(self) -> dict[str, Tensor]:
        """Return torchvision's weights, hash checked; see `Family.imagenet`."""
        return dict(self.weights.get_state_dict(progress=False, check_hash=True))
