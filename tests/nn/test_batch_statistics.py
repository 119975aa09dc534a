"""Statistics of other images replace those of the training, and nothing else changes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from edgetl.nn.batch_statistics import replace_batch_statistics


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5),
        nn.Flatten(), nn.Linear(5 * 4 * 4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5),
    )  # fmt: skip


def test_statistics_are_those_of_the_values_by_hand() -> None:
    norm = nn.BatchNorm1d(2)
    first = torch.tensor([[1.0, 10.0], [3.0, 10.0]])
    second = torch.tensor([[5.0, 40.0]] * 2)

    assert replace_batch_statistics(norm, [first, second]) == 1

    # Channel 0: 1, 3, 5, 5: mean 3.5, squared deviations 6.25 + 0.25 + 2.25 + 2.25 = 11.
    # Channel 1: 10, 10, 40, 40: mean 25, squared deviations 4 * 225 = 900. Both over n - 1 = 3.
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.running_mean.tolist() == pytest.approx([3.5, 25.0])
    assert norm.running_var.tolist() == pytest.approx([11 / 3, 300.0])


def test_one_batch_gives_what_training_with_full_momentum_gives() -> None:
    network = _network()
    images = torch.rand(8, 3, 8, 8)
    expected = copy.deepcopy(network).train()
    for layer in expected.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.momentum = 1.0
        if isinstance(layer, nn.Dropout):
            layer.eval()
    expected(images)

    assert replace_batch_statistics(network, [images]) == 3

    for name, value in expected.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(network.state_dict()[name], value, msg=name)


def test_weights_counters_and_settings_stay() -> None:
    network = _network()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    replace_batch_statistics(network, [torch.rand(4, 3, 8, 8) for _ in range(3)])

    changed = {
        name for name, value in network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {f"{at}.running_{what}" for at in (1, 4, 7) for what in ("mean", "var")}
    assert not any(layer.training for layer in network.modules())
    assert {layer.momentum for layer in network.modules() if hasattr(layer, "momentum")} == {0.1}
    assert not any(layer._forward_pre_hooks for layer in network.modules())


def test_images_of_the_training_bring_the_statistics_of_the_training_back() -> None:
    network = _network()
    images = torch.rand(64, 3, 8, 8)
    replace_batch_statistics(network, images.split(64))
    whole = network(images)
    shifted = copy.deepcopy(network)
    replace_batch_statistics(shifted, [images * 3 + 1])
    assert not torch.allclose(shifted(images), whole, atol=0.1)
    replace_batch_statistics(shifted, [images])
    torch.testing.assert_close(shifted(images), whole)


def test_no_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="no batch to collect statistics from"):
        replace_batch_statistics(nn.BatchNorm1d(2), [])
