"""Exact rewritings of a network that make it cheaper to run."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgetl.nn.yolox import Focus

_SIDE = 6
"""Two pixels for each of the three taps of the convolution that is folded."""


def fold_focus(module: nn.Module) -> None:
    """Replace every `Focus` in `module` by one convolution of 6 x 6 with stride 2.

    Both compute the same sums, in another order; but the twelve-channel image is never made, which
    needs eight strided slices that some engines copy one by one.

    Args:
        module: Changed in place; its answers stay.
    """
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Focus):
                setattr(parent, name, _folded(child))


def fold_norms(module: nn.Module) -> None:
    """Put every batch norm that follows a convolution into that convolution's weights.

    Engines do the same when they load a file; done before, converters have less of a graph to read.

    Args:
        module: In evaluation mode, changed in place; its answers stay but for rounding. A norm
            counts as following a convolution if it is the next child of the same module and has as
            many channels.
    """
    for parent in list(module.modules()):
        for (first, conv), (second, norm) in pairwise(list(parent.named_children())):
            if (
                isinstance(conv, nn.Conv2d)
                and isinstance(norm, nn.BatchNorm2d)
                and norm.num_features == conv.out_channels
            ):
                setattr(parent, first, fuse_conv_bn_eval(conv, norm))
                setattr(parent, second, nn.Identity())


def _folded(focus: Focus) -> nn.Sequential:
    unit = focus.conv
    twelve = unit.conv.weight.detach()
    wide = nn.Conv2d(3, len(twelve), _SIDE, stride=2, padding=2, bias=False)
    weight = torch.zeros_like(wide.weight)
    # Input channel 3 * shift + colour of the twelve is the pixel (y, x) of its pair, in BGR.
    for shift, (x, y) in enumerate((x, y) for x in (0, 1) for y in (0, 1)):
        for colour, rgb in enumerate((2, 1, 0)):
            weight[:, rgb, y::2, x::2] = twelve[:, 3 * shift + colour]
    wide.weight = nn.Parameter(weight)
    return nn.Sequential(wide, unit.bn, unit.act).train(focus.training)
