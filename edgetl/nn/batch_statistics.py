"""Batch normalisation statistics of images other than those of the training.

Letters: N batch, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def replace_batch_statistics(module: nn.Module, batches: Iterable[Tensor]) -> int:
    """Replace mean and variance of every batch norm by those of other images.

    Adaptive batch normalisation (AdaBN, Li et al. 2016, https://arxiv.org/abs/1603.04779, section
    3.2): weights are kept, statistics become those of the target domain. While they are collected,
    each norm normalises by the statistics of the batch, so that later norms see inputs that are
    already adapted. Batches are pooled exactly: the result is that of all values at once, except
    that later layers depend on how images are batched.

    Args:
        module: Changed in place; returned in evaluation mode. Nothing is trained or sampled.
        batches: Inputs of `module`, at least one batch, each of two images or more, on its device.

    Returns:
        The number of changed norms.

    Raises:
        ValueError: If there is no batch.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    moments = {norm: _Moments() for norm in norms}
    with _collecting(module, moments), torch.no_grad():
        for batch in batches:
            module(batch)
    used = {norm: each for norm, each in moments.items() if each.count}
    if norms and not used:
        raise ValueError("no batch to collect statistics from")
    for norm, each in used.items():
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.copy_(each.mean)
            norm.running_var.copy_(each.squares / max(each.count - 1, 1))
    return len(used)


class _Moments:
    """Mean and sum of squared deviations per channel, pooled over batches.

    Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance, equation 2.1.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(())
        self.squares = torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Take one batch into account; shape `(N, C, ...)`."""
        axes = [axis for axis in range(values.ndim) if axis != 1]
        count = values.numel() // values.shape[1]
        variance, mean = torch.var_mean(values.float(), axes, correction=0)
        mean, squares = mean.double(), variance.double() * count
        total = self.count + count
        delta = mean - self.mean
        self.mean = self.mean + delta * (count / total)
        self.squares = self.squares + squares + delta**2 * (self.count * count / total)
        self.count = total


@contextmanager
def _collecting(module: nn.Module, moments: dict[_BatchNorm, _Moments]) -> Iterator[None]:
    """Let every norm normalise by its batch and report its inputs, but keep its statistics."""

    def collect(norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        moments[norm].add(inputs[0])

    module.eval()
    momentum = {norm: norm.momentum for norm in moments}
    tracked = {
        norm: norm.num_batches_tracked.clone()
        for norm in moments
        if norm.num_batches_tracked is not None
    }
    handles = [norm.register_forward_pre_hook(collect) for norm in moments]
    for norm in moments:
        norm.train()
        norm.momentum = 0.0
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for norm, value in momentum.items():
            norm.momentum = value
        for norm, count in tracked.items():
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(count)
        module.eval()
