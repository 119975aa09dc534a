"""What the YOLOX detectors share: sizes, names of tensors, and their blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

from edgetl.models import IMAGENET_MEAN, IMAGENET_STD, Block, PretrainedWeights
from edgetl.models._mobilenet import MobileNet, feature_blocks

if TYPE_CHECKING:  # plans read attributes of families without building a network
    from torch import Tensor, nn

COCO = "coco"
STRIDES = (8, 16, 32)

_BACKBONE = "backbone.backbone."
_REINITIALIZED = ("head.cls_preds",)
_NECK_MAPS = ("backbone.C3_p3", "backbone.C3_n3", "backbone.C3_n4")
_NECK = tuple(
    f"backbone.{name}"
    for name in (
        "lateral_conv0", "C3_p4", "reduce_conv1", "C3_p3", "bu_conv2", "C3_n3", "bu_conv1", "C3_n4",
    )
)  # fmt: skip
_HEAD = Block("head", ("head",))
_DARKNET = ("stem", "dark2", "dark3", "dark4", "dark5")
_RELEASE = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"
_WHITE = 255.0


@dataclass(frozen=True, slots=True)
class Yolox:
    """A `DetectorFamily` of the paper's own networks, on CSPDarknet."""

    stem: int
    """Channels of the first convolution at width 1, which determine all others."""
    depth: int
    """Bottlenecks of the first stage."""
    weights: str
    """Name of the official file."""
    depthwise: bool = False
    version: int = 1
    task: str = "detection"
    min_size: int = STRIDES[-1]
    size_multiple: int = STRIDES[-1]
    min_classes: int = 1
    strides: tuple[int, ...] = STRIDES
    # The pretrained weights take unnormalised pixels, 0..255.
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1 / _WHITE, 1 / _WHITE, 1 / _WHITE)
    has_widths: bool = True
    head: str = "head"
    reinitialized: tuple[str, ...] = _REINITIALIZED
    feature_layers: tuple[str, ...] = _NECK_MAPS
    key_mapping: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The stages of the backbone, the neck, the head."""
        stages = (Block(name, (f"{_BACKBONE}{name}",)) for name in _DARKNET)
        return (*stages, Block("neck", _NECK), _HEAD)

    @property
    def pretrained(self) -> Mapping[str, PretrainedWeights]:
        """The authors' COCO weights; see `Family.pretrained`."""
        return {COCO: PretrainedWeights(_RELEASE + self.weights, "Apache-2.0")}

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        """Return a network with random weights; see `Family.build`."""
        import torch
        from torch.nn import SiLU

        from edgetl.nn import yolox

        stem = _even(self.stem * width)
        channels = (4 * stem, 8 * stem, 16 * stem)
        convs = yolox.ConvFactory(depthwise=self.depthwise, activation=SiLU)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = yolox.CrossStageDarknet(stem, self.depth, convs)
            return yolox.Yolox(
                yolox.Neck(backbone, channels, self.depth, convs),
                yolox.Head(channels, 4 * stem, num_classes, convs),
            )

    def decoded(self, network: nn.Module, size: int) -> nn.Module:
        """Return `network` with boxes and scores as its outputs; see `Family.decoded`."""
        return _decoded(network, size, self.strides)

    def fetch(self, name: str) -> Mapping[str, Tensor]:
        """Return the authors' weights; see `Family.fetch`."""
        from torch.hub import load_state_dict_from_url

        content = load_state_dict_from_url(
            self.pretrained[name].source, map_location="cpu", progress=False, weights_only=True
        )
        tensors: Mapping[str, Tensor] = content["model"]
        return tensors


@dataclass(frozen=True, slots=True)
class MobileNetYolox:
    """A `DetectorFamily` of YOLOX's neck and depthwise head on a MobileNet."""

    classifier: MobileNet
    """Its `features` are the backbone."""
    backbone_layers: tuple[int, int, int]
    """Positions in `features` of the last layers of stride 8, 16 and 32, before the classifier's
    last convolution."""
    version: int = 1
    task: str = "detection"
    min_size: int = STRIDES[-1]
    size_multiple: int = STRIDES[-1]
    min_classes: int = 1
    strides: tuple[int, ...] = STRIDES
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    has_widths: bool = True
    head: str = "head"
    reinitialized: tuple[str, ...] = _REINITIALIZED
    feature_layers: tuple[str, ...] = _NECK_MAPS

    @property
    def key_mapping(self) -> Mapping[str, str]:
        """Mapping of torchvision's names of the layers; see `Family.key_mapping`."""
        return {"features.": f"{_BACKBONE}features."}

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The layers of the backbone one by one, the neck, the head.

        The convolutions that map the backbone to the neck's channels belong to the neck: they start
        at random even if the backbone is pretrained.
        """
        layers = feature_blocks(f"{_BACKBONE}features", self.backbone_layers[-1] + 1)
        return (*layers, Block("neck", (f"{_BACKBONE}reduce", *_NECK)), _HEAD)

    @property
    def pretrained(self) -> Mapping[str, PretrainedWeights]:
        """Weights of the classifier, for the backbone only; see `Family.pretrained`."""
        return self.classifier.pretrained

    def build(self, *, width: float, num_classes: int, seed: int) -> nn.Module:
        """Return a network with random weights; see `Family.build`."""
        import torch
        from torch.nn import ReLU6

        from edgetl.nn import yolox
        from edgetl.nn.multi_scale_backbone import MultiScaleBackbone

        hidden = max(_STEP, round(_HIDDEN * width / _STEP) * _STEP)
        channels = (hidden, 2 * hidden, 4 * hidden)
        # SiLU and hard-swish have no fused int8 kernel, and negative tails that need a scale; the
        # neck and head on a MobileNet use ReLU6, whose range is known before calibration.
        convs = yolox.ConvFactory(depthwise=True, activation=partial(ReLU6, inplace=True))
        with torch.random.fork_rng(devices=[]):
            classifier = self.classifier.build(width=width, num_classes=1, seed=seed)
            torch.manual_seed(seed)
            features = cast("nn.Sequential", classifier.get_submodule("features"))
            backbone = MultiScaleBackbone(features, self.backbone_layers, channels, convs)
            return yolox.Yolox(
                yolox.Neck(backbone, channels, 1, convs),
                yolox.Head(channels, hidden, num_classes, convs),
            )

    def decoded(self, network: nn.Module, size: int) -> nn.Module:
        """Return `network` with boxes and scores as its outputs; see `Family.decoded`."""
        return _decoded(network, size, self.strides)

    def fetch(self, name: str) -> Mapping[str, Tensor]:
        """Return the classifier's weights, by torchvision's names; see `Family.fetch`."""
        return self.classifier.fetch(name)


_HIDDEN = 64
_STEP = 8


def _even(channels: float) -> int:
    return max(2, 2 * round(channels / 2))


def _decoded(network: nn.Module, size: int, strides: tuple[int, ...]) -> nn.Module:
    from edgetl.nn.detector import DecodedDetector

    return DecodedDetector(network, height=size, width=size, strides=strides)
