"""The YOLOX detector (Ge et al. 2021, https://arxiv.org/abs/2107.08430) with official tensor names.

A backbone returns three feature maps, a path aggregation network (PAFPN) mixes them, and a
decoupled head predicts at every location of each. Letters: N batch, C channels, H, W, M locations
of all three maps, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

_NORM_EPS = 1e-3
_NORM_MOMENTUM = 0.03
_PRIOR = 0.01
"""Initial probability of every class and of objectness (Lin et al. 2017, section 3.3)."""

Activation = Callable[[], nn.Module]


class RawDetections(NamedTuple):
    """Outputs of the head before decoding; locations by stride, then row by row."""

    offsets: Tensor
    """Shape `(N, M, 4)`: centre x and y from the location's corner, log width and log height, all
    in units of the location's stride."""
    objectness: Tensor
    """Shape `(N, M, 1)`, logits of objectness."""
    classes: Tensor
    """Shape `(N, M, K)`, logits of classes that are not mutually exclusive."""


class ConvUnit(nn.Module):
    """Convolution, batch normalisation, activation."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: Activation = nn.SiLU,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels_out, eps=_NORM_EPS, momentum=_NORM_MOMENTUM)
        self.act = activation()

    def forward(self, maps: Tensor) -> Tensor:
        """Return shape `(N, channels_out, H / stride, W / stride)`."""
        outputs: Tensor = self.act(self.bn(self.conv(maps)))
        return outputs


class DepthwiseUnit(nn.Module):
    """A convolution per channel, then one per location; each with norm and activation."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int,
        stride: int = 1,
        activation: Activation = nn.SiLU,
    ) -> None:
        super().__init__()
        self.dconv = ConvUnit(
            channels_in,
            channels_in,
            kernel=kernel,
            stride=stride,
            groups=channels_in,
            activation=activation,
        )
        self.pconv = ConvUnit(channels_in, channels_out, kernel=1, activation=activation)

    def forward(self, maps: Tensor) -> Tensor:
        """Return shape `(N, channels_out, H / stride, W / stride)`."""
        outputs: Tensor = self.pconv(self.dconv(maps))
        return outputs


class ConvFactory:
    """Makes the convolution units of one network: plain or depthwise, with its activation."""

    def __init__(self, *, depthwise: bool, activation: Activation) -> None:
        self._depthwise = depthwise
        self._activation = activation

    def pointwise(self, channels_in: int, channels_out: int) -> nn.Module:
        """Return a unit that mixes channels."""
        return ConvUnit(channels_in, channels_out, kernel=1, activation=self._activation)

    def plain(self, channels_in: int, channels_out: int, *, stride: int = 1) -> ConvUnit:
        """Return a 3 x 3 unit that is never depthwise."""
        return ConvUnit(
            channels_in, channels_out, kernel=3, stride=stride, activation=self._activation
        )

    def spatial(self, channels_in: int, channels_out: int, *, stride: int = 1) -> nn.Module:
        """Return a 3 x 3 unit."""
        if not self._depthwise:
            return self.plain(channels_in, channels_out, stride=stride)
        return DepthwiseUnit(
            channels_in, channels_out, kernel=3, stride=stride, activation=self._activation
        )


class Focus(nn.Module):
    """Every second pixel of four shifted copies as channels, in BGR, then a convolution.

    The network takes RGB like all of edgetl; the pretrained weights were trained on BGR.
    """

    def __init__(self, channels_out: int, convs: ConvFactory) -> None:
        super().__init__()
        self.conv = convs.plain(12, channels_out)

    def forward(self, images: Tensor) -> Tensor:
        """Return shape `(N, channels_out, H / 2, W / 2)`."""
        bgr = images[:, [2, 1, 0]]
        shifted = [bgr[..., y::2, x::2] for x in (0, 1) for y in (0, 1)]
        outputs: Tensor = self.conv(torch.cat(shifted, dim=1))
        return outputs


class Bottleneck(nn.Module):
    """A narrow unit and a wide one, with an optional shortcut if the shapes match."""

    def __init__(self, channels: int, convs: ConvFactory, *, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = convs.pointwise(channels, channels)
        self.conv2 = convs.spatial(channels, channels)
        self.shortcut = shortcut

    def forward(self, maps: Tensor) -> Tensor:
        """Return the shape of `maps`."""
        outputs: Tensor = self.conv2(self.conv1(maps))
        return outputs + maps if self.shortcut else outputs


class CrossStage(nn.Module):
    """Cross stage partial layer (Wang et al. 2019): bottlenecks process half of the channels."""

    def __init__(
        self, channels_in: int, channels_out: int, convs: ConvFactory, *, depth: int, shortcut: bool
    ) -> None:
        super().__init__()
        hidden = channels_out // 2
        self.conv1 = convs.pointwise(channels_in, hidden)
        self.conv2 = convs.pointwise(channels_in, hidden)
        self.conv3 = convs.pointwise(2 * hidden, channels_out)
        self.m = nn.Sequential(
            *(Bottleneck(hidden, convs, shortcut=shortcut) for _ in range(depth))
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return shape `(N, channels_out, H, W)`."""
        outputs: Tensor = self.conv3(torch.cat([self.m(self.conv1(maps)), self.conv2(maps)], dim=1))
        return outputs


class PyramidPool(nn.Module):
    """Spatial pyramid pooling: neighbourhoods of 5, 9 and 13, and the map itself."""

    def __init__(self, channels_in: int, channels_out: int, convs: ConvFactory) -> None:
        super().__init__()
        hidden = channels_in // 2
        self.conv1 = convs.pointwise(channels_in, hidden)
        self.m = nn.ModuleList(nn.MaxPool2d(side, 1, side // 2) for side in (5, 9, 13))
        self.conv2 = convs.pointwise(4 * hidden, channels_out)

    def forward(self, maps: Tensor) -> Tensor:
        """Return shape `(N, channels_out, H, W)`."""
        narrow = self.conv1(maps)
        outputs: Tensor = self.conv2(torch.cat([narrow, *(pool(narrow) for pool in self.m)], dim=1))
        return outputs


class CrossStageDarknet(nn.Module):
    """The backbone CSPDarknet: maps of stride 8, 16 and 32."""

    def __init__(self, stem: int, depth: int, convs: ConvFactory) -> None:
        """Describe the backbone.

        Args:
            stem: Channels of the first convolution, an even number.
            depth: Bottlenecks of the first stage; the middle ones have three times as many.
            convs: Makes its convolution units.
        """
        super().__init__()
        self.stem = Focus(stem, convs)
        self.dark2 = self._stage(stem, convs, depth=depth)
        self.dark3 = self._stage(2 * stem, convs, depth=3 * depth)
        self.dark4 = self._stage(4 * stem, convs, depth=3 * depth)
        last = 16 * stem
        self.dark5 = nn.Sequential(
            convs.spatial(8 * stem, last, stride=2),
            PyramidPool(last, last, convs),
            CrossStage(last, last, convs, depth=depth, shortcut=False),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the maps of stride 8, 16 and 32 with 4, 8 and 16 times the stem's channels."""
        third = self.dark3(self.dark2(self.stem(images)))
        fourth = self.dark4(third)
        return third, fourth, self.dark5(fourth)

    @staticmethod
    def _stage(channels: int, convs: ConvFactory, *, depth: int) -> nn.Sequential:
        return nn.Sequential(
            convs.spatial(channels, 2 * channels, stride=2),
            CrossStage(2 * channels, 2 * channels, convs, depth=depth, shortcut=True),
        )


class Neck(nn.Module):
    """A backbone with the path aggregation network on top, which mixes all scales."""

    def __init__(
        self, backbone: nn.Module, channels: tuple[int, int, int], depth: int, convs: ConvFactory
    ) -> None:
        """Describe the neck.

        Args:
            backbone: Returns three maps.
            channels: Of these maps, and of those that the neck returns.
            depth: Bottlenecks of each layer.
            convs: Makes its convolution units.
        """
        super().__init__()
        c3, c4, c5 = channels
        self.backbone = backbone
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.lateral_conv0 = convs.pointwise(c5, c4)
        self.C3_p4 = CrossStage(2 * c4, c4, convs, depth=depth, shortcut=False)
        self.reduce_conv1 = convs.pointwise(c4, c3)
        self.C3_p3 = CrossStage(2 * c3, c3, convs, depth=depth, shortcut=False)
        self.bu_conv2 = convs.spatial(c3, c3, stride=2)
        self.C3_n3 = CrossStage(2 * c3, c4, convs, depth=depth, shortcut=False)
        self.bu_conv1 = convs.spatial(c4, c4, stride=2)
        self.C3_n4 = CrossStage(2 * c4, c5, convs, depth=depth, shortcut=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return maps of stride 8, 16 and 32."""
        third, fourth, fifth = self.backbone(images)
        top = self.lateral_conv0(fifth)
        middle = self.reduce_conv1(self.C3_p4(torch.cat([self.upsample(top), fourth], dim=1)))
        fine = self.C3_p3(torch.cat([self.upsample(middle), third], dim=1))
        mixed = self.C3_n3(torch.cat([self.bu_conv2(fine), middle], dim=1))
        coarse = self.C3_n4(torch.cat([self.bu_conv1(mixed), top], dim=1))
        return fine, mixed, coarse


class Head(nn.Module):
    """The decoupled head: classes in one branch, boxes and objectness in another, per map."""

    def __init__(
        self, channels: tuple[int, int, int], hidden: int, num_classes: int, convs: ConvFactory
    ) -> None:
        super().__init__()
        self.stems = nn.ModuleList(convs.pointwise(count, hidden) for count in channels)
        self.cls_convs = nn.ModuleList(_branch(hidden, convs) for _ in channels)
        self.reg_convs = nn.ModuleList(_branch(hidden, convs) for _ in channels)
        self.cls_preds = nn.ModuleList(nn.Conv2d(hidden, num_classes, 1) for _ in channels)
        self.reg_preds = nn.ModuleList(nn.Conv2d(hidden, 4, 1) for _ in channels)
        self.obj_preds = nn.ModuleList(nn.Conv2d(hidden, 1, 1) for _ in channels)
        prior = -math.log((1 - _PRIOR) / _PRIOR)
        for predictor in (*self.cls_preds, *self.obj_preds):
            nn.init.constant_(predictor.bias, prior)

    def forward(self, maps: tuple[Tensor, Tensor, Tensor]) -> RawDetections:
        """Return the raw predictions at every location of every map."""
        offsets, objectness, classes = [], [], []
        for index, features in enumerate(maps):
            stem = self.stems[index](features)
            about_class = self.cls_convs[index](stem)
            about_box = self.reg_convs[index](stem)
            classes.append(_listed(self.cls_preds[index](about_class)))
            offsets.append(_listed(self.reg_preds[index](about_box)))
            objectness.append(_listed(self.obj_preds[index](about_box)))
        return RawDetections(
            torch.cat(offsets, dim=1), torch.cat(objectness, dim=1), torch.cat(classes, dim=1)
        )


class Yolox(nn.Module):
    """Neck (with its backbone) and head; takes `(N, 3, H, W)`, RGB, sides multiples of 32."""

    def __init__(self, backbone: Neck, head: Head) -> None:
        super().__init__()
        # The official names: `backbone` is the neck, which contains the backbone itself.
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> RawDetections:
        """Return the raw predictions at every location."""
        outputs: RawDetections = self.head(self.backbone(images))
        return outputs


def _branch(channels: int, convs: ConvFactory) -> nn.Sequential:
    return nn.Sequential(convs.spatial(channels, channels), convs.spatial(channels, channels))


def _listed(maps: Tensor) -> Tensor:
    """Return `(N, C, H, W)` as `(N, H * W, C)`."""
    return maps.flatten(2).permute(0, 2, 1)
