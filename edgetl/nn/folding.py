"""Exact rewrites of a network that make it cheaper to run."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgetl.nn.yolox import Focus

_SIDE = 6
"""Two pixels for each of the three kernel elements per side of the folded convolution."""


def fold_focus(module: nn.Module) -> None:
    """Replace every `Focus` in `module` by one convolution of 6 x 6 with stride 2.

    Both compute the same sums, in a different order; but the twelve-channel image, which needs
    eight strided slices that some engines copy one by one, is never made.

    Args:
        module: Changed in place; its outputs stay the same except for rounding.
    """
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Focus):
                setattr(parent, name, _folded(child))


def fold_norms(module: nn.Module) -> None:
    """Fold every batch norm that follows a convolution into that convolution's weights.

    Engines do the same when they load a file; done earlier, converters have a smaller graph to
    read. Which norm follows which convolution is determined from the data flow: a pair is folded if
    the norm is the only reader of the convolution's output and both run once per pass. Every other
    norm stays.

    Args:
        module: In evaluation mode, changed in place; its outputs stay the same except for rounding.

    Raises:
        torch.fx.proxy.TraceError: If control flow in `module` depends on values.
    """
    if not any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
        return
    for first, second in list(_pairs(module)):
        conv, norm = module.get_submodule(first), module.get_submodule(second)
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            continue
        if norm.track_running_stats:
            module.set_submodule(first, fuse_conv_bn_eval(conv, norm))
            module.set_submodule(second, nn.Identity())


def _pairs(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the names of two submodules; only the second reads the output of the first.

    Both run once per pass, and nothing else reads their parameters.
    """
    graph = fx.Tracer().trace(module)
    calls = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    calls += [str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"]
    for node in graph.nodes:
        if node.op != "call_module" or len(node.users) != 1:
            continue
        (reader,) = node.users
        if reader.op != "call_module" or reader.args != (node,) or reader.kwargs:
            continue
        first, second = str(node.target), str(reader.target)
        if calls.count(first) == calls.count(second) == 1:
            yield first, second


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
