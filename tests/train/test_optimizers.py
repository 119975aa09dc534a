from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from edgetl.train.optimizers import (
    WeightAverage,
    frozen_parts,
    learning_rate,
    make_optimizer,
    set_learning_rate,
)
from edgetl.train.options import Training


def training(**fields: object) -> Training:
    given = {"epochs": 4, "batch_size": 8, "lr": 0.1, "weight_decay": 0.05, "seed": 0}
    return Training.model_validate(given | fields)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_biases_and_norms_are_not_decayed(optimizer: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))

    groups = make_optimizer(module, training(optimizer=optimizer)).param_groups

    decay = {
        id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]
    }
    decays = {name: decay[id(parameter)] for name, parameter in module.named_parameters()}
    assert decays == {
        "0.weight": 0.05,
        "0.bias": 0.0,
        "1.weight": 0.0,
        "1.bias": 0.0,
        "3.weight": 0.05,
        "3.bias": 0.0,
    }


def test_sgd_has_nesterov_momentum() -> None:
    [weights, _] = make_optimizer(nn.Linear(2, 2), training(optimizer="sgd")).param_groups

    assert weights["momentum"] == 0.9
    assert weights["nesterov"] is True


def test_frozen_parameters_are_left_out() -> None:
    module = nn.Linear(2, 2)
    module.weight.requires_grad = False

    groups = make_optimizer(module, training()).param_groups

    assert [len(group["params"]) for group in groups] == [0, 1]


def named_rates(module: nn.Module, optimizer: Optimizer) -> dict[str, float]:
    rates = {
        id(parameter): group["lr"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    return {
        name: rates[id(parameter)]
        for name, parameter in module.named_parameters()
        if id(parameter) in rates
    }


def test_parts_learn_at_their_own_multiple_of_the_rate() -> None:
    module = nn.ModuleDict(
        {"stem": nn.Linear(2, 2), "head": nn.Linear(2, 2), "neck": nn.Linear(2, 2)}
    )
    beside = nn.Linear(1, 1)

    optimizer = make_optimizer(
        module, training(), learns={"head": 1.0, "stem": 0.25}, along=[beside]
    )
    set_learning_rate(optimizer, 0.5)

    assert named_rates(module, optimizer) == {
        "stem.weight": 0.125,
        "stem.bias": 0.125,
        "head.weight": 0.5,
        "head.bias": 0.5,
    }
    assert named_rates(beside, optimizer) == {"weight": 0.5, "bias": 0.5}


def test_first_of_nested_parts_counts() -> None:
    module = nn.ModuleDict({"stem": nn.Linear(2, 2), "head": nn.Linear(2, 2)})

    optimizer = make_optimizer(module, training(), learns={"head": 1.0, "": 0.5})
    set_learning_rate(optimizer, 1.0)

    assert named_rates(module, optimizer) == {
        "stem.weight": 0.5,
        "stem.bias": 0.5,
        "head.weight": 1.0,
        "head.bias": 1.0,
    }


def test_largest_parts_in_which_nothing_learns_are_frozen() -> None:
    inner = nn.ModuleDict({"a": nn.Linear(2, 2), "ab": nn.Linear(2, 2)})
    module = nn.ModuleDict({"stem": nn.Sequential(nn.Linear(2, 2)), "head": inner})

    assert frozen_parts(module, {"": 1.0}) == []
    assert frozen_parts(module, {"head": 1.0}) == [module["stem"]]
    # `head.a` is not the beginning of `head.ab`.
    assert frozen_parts(module, {"head.a": 1.0}) == [module["stem"], inner["ab"]]


def test_training_without_a_part_that_learns_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs at least one module that learns"):
        frozen_parts(nn.Linear(2, 2), {})


def test_learning_rate_rises_linearly_then_falls_as_half_a_cosine() -> None:
    options = training(epochs=3, warmup_epochs=1.0, lr=0.1)

    rates = [learning_rate(step, options, steps_per_epoch=4) for step in range(12)]

    # Warm-up over 4 steps: fifths of the highest rate. Then 8 steps from 0 to 7/8 of half a turn.
    rise = [0.02, 0.04, 0.06, 0.08]
    fall = [0.05 * (1 + math.cos(math.pi * eighths / 8)) for eighths in range(8)]
    assert rates == pytest.approx(rise + fall)


def test_without_warm_up_the_first_step_has_the_highest_rate() -> None:
    assert learning_rate(0, training(warmup_epochs=0.0), steps_per_epoch=10) == 0.1


def test_average_follows_quickly_at_first_and_copies_counters() -> None:
    module = nn.BatchNorm1d(1)
    average = WeightAverage(module, decay=0.5)
    with torch.no_grad():
        module.weight.fill_(11.0)
    assert module.num_batches_tracked is not None
    module.num_batches_tracked.fill_(3)

    average.update(step=0)
    first = average.module.state_dict()["weight"].item()
    average.update(step=100)
    second = average.module.state_dict()["weight"].item()

    # Step 0: decay (1 + 0) / (10 + 0) = 0.1, so 0.1 * 1 + 0.9 * 11 = 10. Step 100: decay 0.5.
    assert first == pytest.approx(10.0)
    assert second == pytest.approx(10.5)
    assert average.module.state_dict()["num_batches_tracked"].item() == 3


def test_average_is_another_network_in_evaluation_mode() -> None:
    module = nn.Linear(1, 1)

    average = WeightAverage(module, decay=0.9)

    assert not average.module.training
    assert all(not parameter.requires_grad for parameter in average.module.parameters())
    assert all(parameter.requires_grad for parameter in module.parameters())
