"""Optimizers: AdamW or SGD, the learning rate schedule, and the running average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from edgetl.train.interfaces import EVERYTHING
from edgetl.train.options import Training

_MOMENTUM = 0.9


def make_optimizer(
    module: nn.Module,
    training: Training,
    *,
    learns: Mapping[str, float] = EVERYTHING,
    along: Sequence[nn.Module] = (),
) -> Optimizer:
    """Return the optimizer of `training` over the parameters of `module` that learn.

    Weight decay applies to weights of more than one dimension, not to biases and the scales of
    norms (Goyal et al. 2017, section 5.1, https://arxiv.org/abs/1706.02677).

    Args:
        module: The network.
        training: Optimizer, rate and weight decay.
        learns: As in `TrainingSetup`; two groups of parameters for each factor.
        along: Further modules that learn, at the plain rate.
    """
    by_factor: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        factor = _rate_factor(name, learns)
        if parameter.requires_grad and factor is not None:
            by_factor.setdefault(factor, []).append(parameter)
    for other in along:
        by_factor.setdefault(1.0, []).extend(other.parameters())
    groups = [
        group
        for factor, parameters in by_factor.items()
        for group in _groups(parameters, factor, training)
    ]
    if training.optimizer == "sgd":
        return SGD(groups, lr=training.lr, momentum=_MOMENTUM, nesterov=True)
    return AdamW(groups, lr=training.lr)


def learning_rate(step: int, training: Training, steps_per_epoch: int) -> float:
    """Return the learning rate of `step`, counted from 0 over the whole training.

    A linear rise over the warm-up, then half a cosine down towards zero at the last step.
    """
    warmup = round(training.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return training.lr * (step + 1) / (warmup + 1)
    progress = (step - warmup) / (training.epochs * steps_per_epoch - warmup)
    return training.lr * 0.5 * (1.0 + math.cos(math.pi * progress))


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the rate of every group of parameters: `rate` times the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def frozen_parts(module: nn.Module, learns: Mapping[str, float]) -> list[nn.Module]:
    """Return the topmost modules in `module` in which nothing learns.

    Raises:
        ValueError: If `learns` names no module, or one that `module` does not have.
    """
    if not learns:
        raise ValueError("a training needs at least one module that learns")
    names = {name for name, _ in module.named_modules()}
    unknown = sorted(set(learns) - names)
    if unknown:
        raise ValueError(f"the network has no module {', '.join(unknown)}")
    return list(_frozen(module, "", learns))


@contextmanager
def learning(module: nn.Module, learns: Mapping[str, float]) -> Iterator[None]:
    """Disable gradients of the parameters of `module` that do not learn, within the context."""
    still = [
        parameter
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and _rate_factor(name, learns) is None
    ]
    for parameter in still:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in still:
            parameter.requires_grad = True


class WeightAverage:
    """The running average of a module's weights and of its normalisation statistics.

    The decay rises from a small value to `decay`, as `(1 + step) / (10 + step)`, so that the random
    start does not dominate the average of a training of a hundred steps.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(module).eval().requires_grad_(requires_grad=False)
        """The network with the averaged weights, in evaluation mode."""
        values, averages = module.state_dict(), self.module.state_dict()
        # Tensors of both networks, listed once: they change in place.
        names = [name for name, value in values.items() if value.is_floating_point()]
        self._averaged = [averages[name] for name in names], [values[name] for name in names]
        others = values.keys() - names
        self._copied = [(averages[name], values[name]) for name in others]

    def update(self, step: int) -> None:
        """Include the weights of the module after `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages, values = self._averaged
        with torch.no_grad():
            torch._foreach_lerp_(averages, values, 1.0 - decay)
            for average, value in self._copied:
                average.copy_(value)


def _groups(
    parameters: Sequence[nn.Parameter], factor: float, training: Training
) -> list[dict[str, object]]:
    """Return the decayed and the undecayed parameters as groups of an optimizer."""
    return [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": training.weight_decay,
            "factor": factor,
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim <= 1],
            "weight_decay": 0.0,
            "factor": factor,
        },
    ]


def _rate_factor(name: str, learns: Mapping[str, float]) -> float | None:
    """Return the factor of the first module in `learns` that `name` is in; None for none."""
    for prefix, factor in learns.items():
        if _is_inside(name, prefix):
            return factor
    return None


def _frozen(module: nn.Module, name: str, learns: Mapping[str, float]) -> Iterator[nn.Module]:
    if _rate_factor(name, learns) is not None:
        return
    if not any(_is_inside(prefix, name) for prefix in learns):
        yield module
        return
    for child_name, child in module.named_children():
        yield from _frozen(child, f"{name}.{child_name}" if name else child_name, learns)


def _is_inside(name: str, prefix: str) -> bool:
    return not prefix or name == prefix or name.startswith(f"{prefix}.")
