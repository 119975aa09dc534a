"""What the MobileNet families share: torchvision's builders, and their blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

from edgetl.models import IMAGENET_MEAN, IMAGENET_STD, Block, PretrainedWeights

if TYPE_CHECKING:  # plans read attributes of families without building a network
    from torch import Tensor, nn

IMAGENET = "imagenet"

MIN_SIZE = 32
"""The stride of the last feature map: a smaller input leaves no pixel."""


@dataclass(frozen=True, slots=True)
class Norm:
    """Parameters of batch normalisation."""

    eps: float
    momentum: float

    def layer(self) -> Callable[..., nn.Module]:
        """Return a factory that makes a layer for a number of channels."""
        from torch.nn import BatchNorm2d

        return partial(BatchNorm2d, eps=self.eps, momentum=self.momentum)


# Of batch normalisation in MobileNetV3. Its original momentum, 0.01, needs some 500 steps to forget
# the initial values; with a few hundred images that is the whole training, and evaluation would use
# statistics of no image.
V3_NORM = Norm(eps=0.001, momentum=0.1)


@dataclass(frozen=True, slots=True)
class MobileNet:
    """A `ClassifierFamily` whose module has `features`, and a `classifier` with the head."""

    builder: str
    """Name of the network in torchvision."""
    weights: str
    """Name of its ImageNet weights in torchvision."""
    num_features: int
    """Number of layers in `features`, from the stem to the last convolution."""
    head: str
    hidden: tuple[str, ...] = ()
    """Names of the layers with parameters between `features` and the head."""
    norm: Norm | None = None
    """None for torchvision's default."""
    version: int = 1
    task: str = "classification"
    min_size: int = MIN_SIZE
    size_multiple: int = 1
    min_classes: int = 2
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    has_widths: bool = True
    key_mapping: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The layers of `features` one by one, then those of the classifier."""
        hidden = (Block("hidden", self.hidden),) if self.hidden else ()
        head = Block("head", (self.head,))
        return (*feature_blocks("features", self.num_features), *hidden, head)

    @property
    def reinitialized(self) -> tuple[str, ...]:
        """The head; see `Family.reinitialized`."""
        return (self.head,)

    @property
    def pretrained(self) -> Mapping[str, PretrainedWeights]:
        """Torchvision's weights; see `Family.pretrained`."""
        return {IMAGENET: PretrainedWeights(f"torchvision's {self.weights}", "BSD-3-Clause")}

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        """Return a network with random weights; see `Family.build`."""
        import torch
        from torchvision.models import get_model

        norm = self.norm and self.norm.layer()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = get_model(
                self.builder,
                weights=None,
                width_mult=width,
                num_classes=num_classes,
                norm_layer=norm,
            )
        return cast("nn.Module", module)

    def decoded(self, network: nn.Module, size: int) -> nn.Module:
        """Return `network`, whose outputs are logits already."""
        del size
        return network

    def features(self, module: nn.Module, images: Tensor) -> Tensor:
        """Return pooled features, after all of the classifier except the head."""
        from torch.nn.functional import adaptive_avg_pool2d

        maps = module.get_submodule("features")(images)
        pooled = adaptive_avg_pool2d(maps, 1).flatten(1)
        classifier = cast("nn.Sequential", module.get_submodule("classifier"))
        return cast("Tensor", classifier[:-1](pooled))

    def fetch(self, name: str) -> Mapping[str, Tensor]:
        """Return torchvision's weights, hash checked; see `Family.fetch`."""
        from torchvision.models import get_weight

        if name not in self.pretrained:
            raise KeyError(name)
        return dict(get_weight(self.weights).get_state_dict(progress=False, check_hash=True))


def feature_blocks(prefix: str, count: int) -> tuple[Block, ...]:
    """Return a block for each of the first `count` layers of the submodule `prefix`."""
    stem = Block("stem", (f"{prefix}.0",))
    return (stem, *(Block(f"block{i}", (f"{prefix}.{i}",)) for i in range(1, count)))
