"""Exact rewritings of a network that make it cheaper to run."""

from __future__ import annotations

import torch
from torch import nn

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
