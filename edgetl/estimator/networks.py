"""The suite: small networks of the blocks that real students and detectors consist of.

Each emphasizes one kind of operation, or one combination, at realistic sizes and widths. None is a
complete network of a supported family.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.mobilenetv3 import InvertedResidual as InvertedResidualV3
from torchvision.models.mobilenetv3 import InvertedResidualConfig

from edgetl.models import IMAGENET_MEAN, IMAGENET_STD
from edgetl.nn import yolox
from edgetl.nn.detector import DecodedDetector
from edgetl.nn.layers import RawPixels

LOGITS = ("logits",)
DETECTIONS = ("boxes", "scores")

_NUM_CLASSES = 10
_AS_THEY_ARE = ((0.0,) * 3, (1 / 255,) * 3)
_STRIDES = (8, 16, 32)

_SILU = yolox.ConvFactory(depthwise=True, activation=nn.SiLU)
_RELU6 = yolox.ConvFactory(depthwise=True, activation=nn.ReLU6)
_DENSE_SILU = yolox.ConvFactory(depthwise=False, activation=nn.SiLU)
_DENSE_RELU = yolox.ConvFactory(depthwise=False, activation=nn.ReLU)
_DENSE_HARDSWISH = yolox.ConvFactory(depthwise=False, activation=nn.Hardswish)


@dataclass(frozen=True, slots=True)
class Network:
    """One network that can be exported and timed."""

    name: str
    size: int
    """Height and width of the input, pixels."""
    build: Callable[[], nn.Module]
    """Returns the deployable module in evaluation mode; input: raw pixels ``(1, H, W, 3)``."""
    outputs: tuple[str, ...] = field(default=LOGITS)
    task: str = "classification"


def suite() -> tuple[Network, ...]:
    """Return the networks of the suite; their random weights have fixed seeds."""
    classifiers: tuple[tuple[str, int, Callable[[], nn.Sequential], bool], ...] = (
        ("pixels", 224, _pixels, True),
        ("dense-relu", 128, _dense_relu, True),
        ("dense-silu", 192, _dense_silu, False),
        ("pointwise-fine", 112, _pointwise_fine, False),
        ("pointwise-coarse", 112, _pointwise_coarse, True),
        ("depthwise-3", 128, _depthwise_3, False),
        ("depthwise-5", 112, _depthwise_5, True),
        ("linear", 32, partial(_linear, (1024, 1000)), True),
        ("linear-long", 32, partial(_linear, (960, 1280, 1000)), True),
        ("hardswish", 128, partial(_pointwise_chain, 24, _DENSE_HARDSWISH), False),
        ("silu", 160, partial(_pointwise_chain, 16, _DENSE_SILU), False),
        ("squeeze-fine", 128, partial(_v3, (24, 72, 32), 5, 2), False),
        ("squeeze-coarse", 112, partial(_v3, (48, 288, 96), 5, 3), True),
        ("inverted-narrow", 96, partial(_v2, (8, 16, 24, 40)), False),
        ("inverted-wide", 144, partial(_v2, (24, 32, 64, 112)), True),
        ("cross-stage-silu", 224, partial(_cross_stage, 16, _SILU), False),
        ("neck-relu6", 192, partial(_neck, _RELU6), False),
        ("pyramid-pool", 160, _pyramid_pool, False),
        ("many-small", 32, _many_small, True),
        ("sums", 128, _sums, False),
    )
    networks = [
        Network(name, size, partial(_classifier, build, size, seed, normalised=normalised))
        for seed, (name, size, build, normalised) in enumerate(classifiers)
    ]
    for name, size, convs in (("detector-relu", 160, _DENSE_RELU), ("detector-silu", 192, _SILU)):
        build = partial(_detector, size, convs)
        networks.append(Network(name, size, build, DETECTIONS, task="detection"))
    return tuple(networks)


def _classifier(
    build: Callable[[], nn.Sequential], size: int, seed: int, *, normalised: bool
) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build()
        if not isinstance(network[-1], nn.Linear):
            rows = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            network = nn.Sequential(network, rows, nn.Linear(_channels(network), _NUM_CLASSES))
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if normalised else _AS_THEY_ARE
    return RawPixels(network, mean, std, row=size).eval()


def _channels(network: nn.Sequential) -> int:
    with torch.inference_mode():
        return int(network.eval()(torch.zeros(1, 3, 64, 64)).shape[1])


def _detector(size: int, convs: yolox.ConvFactory) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(size)
        backbone = yolox.CrossStageDarknet(8, 1, convs)
        channels = (32, 64, 128)
        whole = yolox.Yolox(
            yolox.Neck(backbone, channels, 1, convs),
            yolox.Head(channels, 32, _NUM_CLASSES, convs),
        )
        # As in deployed detectors, where the focus layer is folded into one convolution.
        backbone.stem = nn.Sequential(  # type: ignore[assignment]
            nn.Conv2d(3, 8, 6, stride=2, padding=2), nn.SiLU()
        )
    decoded = DecodedDetector(whole.eval(), height=size, width=size, strides=_STRIDES)
    return RawPixels(decoded, *_AS_THEY_ARE).eval()


def _pixels() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 7, stride=4, padding=3), nn.ReLU6(), _RELU6.spatial(16, 32, stride=2)
    )


def _dense_relu() -> nn.Sequential:
    plain = _DENSE_RELU.plain
    return nn.Sequential(
        plain(3, 16, stride=2), plain(16, 16), plain(16, 16), plain(16, 32, stride=2),
        plain(32, 32), plain(32, 32), plain(32, 64, stride=2), plain(64, 64), plain(64, 64),
    )  # fmt: skip


def _dense_silu() -> nn.Sequential:
    plain = _DENSE_SILU.plain
    return nn.Sequential(
        nn.Conv2d(3, 16, 6, stride=2, padding=2), nn.SiLU(), plain(16, 32, stride=2),
        plain(32, 32), plain(32, 64, stride=2), plain(64, 64), plain(64, 96, stride=2),
    )  # fmt: skip


def _pointwise_fine() -> nn.Sequential:
    steps: list[nn.Module] = [_RELU6.plain(3, 24, stride=2)]
    for _ in range(4):
        steps += [_RELU6.pointwise(24, 144), nn.Conv2d(144, 24, 1)]
    return nn.Sequential(*steps)


def _pointwise_coarse() -> nn.Sequential:
    widths = (64, 384, 64, 384, 96, 576, 96)
    narrow = [_RELU6.pointwise(*pair) for pair in itertools.pairwise(widths)]
    widths = (96, 160, 960, 160, 960, 320, 1280)
    wide = [_RELU6.pointwise(*pair) for pair in itertools.pairwise(widths)]
    return nn.Sequential(*_down(64, 3), *narrow, _RELU6.spatial(96, 96, stride=2), *wide)


def _depthwise_3() -> nn.Sequential:
    steps: list[nn.Module] = [_RELU6.plain(3, 16, stride=2), _RELU6.pointwise(16, 96)]
    steps += [_depthwise(96, 3, nn.ReLU6) for _ in range(4)]
    steps.append(_depthwise(96, 3, nn.ReLU6, stride=2))
    steps += [_depthwise(96, 3, nn.ReLU6) for _ in range(4)]
    return nn.Sequential(*steps)


def _depthwise_5() -> nn.Sequential:
    steps: list[nn.Module] = [*_down(32, 3), _RELU6.pointwise(32, 240)]
    steps += [_depthwise(240, 5, nn.ReLU) for _ in range(5)]
    steps += [_depthwise(240, 5, nn.ReLU, stride=2), _RELU6.pointwise(240, 480)]
    steps += [_depthwise(480, 5, nn.ReLU) for _ in range(4)]
    return nn.Sequential(*steps)


def _linear(widths: Sequence[int]) -> nn.Sequential:
    steps: list[nn.Module] = [*_down(16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    known = 16
    for width in widths:
        steps += [nn.Linear(known, width), nn.Hardswish()]
        known = width
    return nn.Sequential(*steps[:-1])


def _pointwise_chain(channels: int, convs: yolox.ConvFactory) -> nn.Sequential:
    first = [convs.pointwise(channels, channels) for _ in range(4)]
    second = [convs.pointwise(2 * channels, 2 * channels) for _ in range(4)]
    return nn.Sequential(
        convs.plain(3, channels, stride=2), *first,
        convs.plain(channels, 2 * channels, stride=2), *second,
    )  # fmt: skip


def _v2(widths: Sequence[int]) -> nn.Sequential:
    steps: list[nn.Module] = [_RELU6.plain(3, widths[0], stride=2)]
    known = widths[0]
    for width in widths[1:]:
        steps.append(InvertedResidual(known, width, stride=2, expand_ratio=6))
        steps += [InvertedResidual(width, width, stride=1, expand_ratio=6) for _ in range(2)]
        known = width
    return nn.Sequential(*steps)


def _v3(widths: tuple[int, int, int], kernel: int, halvings: int) -> nn.Sequential:
    known, hidden, wide = widths
    return nn.Sequential(
        *_down(known, halvings),
        *(_v3_block(known, hidden, known, kernel, 1) for _ in range(3)),
        _v3_block(known, hidden, wide, kernel, 2),
        *(_v3_block(wide, 2 * hidden, wide, kernel, 1) for _ in range(2)),
    )


def _v3_block(known: int, hidden: int, out: int, kernel: int, stride: int) -> nn.Module:
    setting = InvertedResidualConfig(
        known, kernel, hidden, out, use_se=True, activation="HS", stride=stride, dilation=1,
        width_mult=1.0,
    )  # fmt: skip
    block: nn.Module = InvertedResidualV3(setting, norm_layer=nn.BatchNorm2d)
    return block


def _cross_stage(stem: int, convs: yolox.ConvFactory) -> nn.Sequential:
    steps: list[nn.Module] = [convs.plain(3, stem, stride=2)]
    for _ in range(3):
        steps.append(convs.spatial(stem, 2 * stem, stride=2))
        steps.append(yolox.CrossStage(2 * stem, 2 * stem, convs, depth=2, shortcut=True))
        stem *= 2
    return nn.Sequential(*steps)


def _pyramid_pool() -> nn.Sequential:
    return nn.Sequential(
        *_down(48, 3), yolox.PyramidPool(48, 48, _RELU6), yolox.PyramidPool(48, 96, _RELU6),
        _RELU6.spatial(96, 160, stride=2), yolox.PyramidPool(160, 160, _RELU6),
    )  # fmt: skip


def _many_small() -> nn.Sequential:
    blocks = [InvertedResidual(16, 16, stride=1, expand_ratio=3) for _ in range(12)]
    return nn.Sequential(*_down(16, 3), *blocks)


class _Sum(nn.Module):
    """A depthwise convolution with a shortcut, multiplied by the convolution's output."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, maps: Tensor) -> Tensor:
        output: Tensor = self.convolution(maps)
        return (output + maps) * output


def _sums() -> nn.Sequential:
    return nn.Sequential(
        _RELU6.plain(3, 24, stride=2), _Sum(24), _Sum(24), _RELU6.plain(24, 40, stride=2),
        _Sum(40), _Sum(40), _Sum(40),
    )  # fmt: skip


class _Necked(nn.Module):
    """A backbone and neck whose feature maps are merged into one."""

    def __init__(self, convs: yolox.ConvFactory) -> None:
        super().__init__()
        self.neck = yolox.Neck(_Backbone(convs), (24, 48, 96), 1, convs)
        self.shrink = convs.spatial(24, 48, stride=2)
        self.shrink_again = convs.spatial(96, 96, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        fine, middle, coarse = self.neck(images)
        mixed = torch.cat([self.shrink(fine), middle], dim=1)
        return torch.cat([self.shrink_again(mixed), coarse], dim=1)


class _Backbone(nn.Module):
    def __init__(self, convs: yolox.ConvFactory) -> None:
        super().__init__()
        self.stem = nn.Sequential(convs.plain(3, 16, stride=2), convs.spatial(16, 24, stride=2))
        self.third = convs.spatial(24, 24, stride=2)
        self.fourth = convs.spatial(24, 48, stride=2)
        self.fifth = convs.spatial(48, 96, stride=2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        third = self.third(self.stem(images))
        fourth = self.fourth(third)
        return third, fourth, self.fifth(fourth)


def _neck(convs: yolox.ConvFactory) -> nn.Sequential:
    return nn.Sequential(_Necked(convs))


def _down(channels: int, times: int) -> list[nn.Module]:
    """Return layers that output `channels` and halve the size `times` times."""
    rest = [_RELU6.spatial(16, 16, stride=2) for _ in range(times - 2)]
    return [_RELU6.plain(3, 16, stride=2), *rest, _RELU6.spatial(16, channels, stride=2)]


def _depthwise(
    channels: int, kernel: int, activation: yolox.Activation, stride: int = 1
) -> nn.Module:
    return yolox.ConvUnit(
        channels, channels, kernel=kernel, stride=stride, groups=channels, activation=activation
    )
