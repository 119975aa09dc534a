"""What moves the weights: AdamW or SGD, the learning rate at each step, the running average."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from edgetl.train.options import Training

_MOMENTUM = 0.9


def make_optimizer(module: nn.Module, training: Training) -> Optimizer:
    """Return the optimizer of `training` over all parameters of `module`.

    Weight decay is for weights of more than one dimension: pulling biases and the scales of norms
    to zero only fights the data (Goyal et al. 2017, section 5.1, https://arxiv.org/abs/1706.02677).
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": training.weight_decay,
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim <= 1],
            "weight_decay": 0.0,
        },
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
    """Set `rate` for all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class WeightAverage:
    """The running average of a module's weights and of its normalisation statistics.

    The decay rises from a small value to `decay`, as `(1 + step) / (10 + step)`, so that a training
    of a hundred steps is not an average with its random start.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(module).eval().requires_grad_(requires_grad=False)
        """The network with the averaged weights, in evaluation mode."""

    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights of `module` after `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages = self.module.state_dict()
        with torch.no_grad():
            for name, value in module.state_dict().items():
                average: Tensor = averages[name]
                if value.is_floating_point():
                    average.lerp_(value, 1.0 - decay)
                else:
                    average.copy_(value)
