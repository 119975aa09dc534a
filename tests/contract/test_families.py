"""What every model family must hold, for each file in `edgetl/models/`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgetl.models import FAMILIES, Family

CLASSES = 3
SIZE = 64


@pytest.fixture(params=FAMILIES.names())
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES.load(request.param)


def built(family: Family, *, width: float = 0.35, seed: int = 0) -> nn.Module:
    return family.build(width=width, num_classes=CLASSES, seed=seed)


def images(size: int = SIZE) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_head_is_a_linear_layer_over_the_features(family: Family) -> None:
    module = built(family).eval()
    head = module.get_submodule(family.head)

    with torch.inference_mode():
        features = family.features(module, images())
        logits = module(images())
        logits_of_features = head(features)

    assert isinstance(head, nn.Linear)
    assert head.out_features == CLASSES
    assert features.shape == (2, head.in_features)
    assert torch.equal(logits_of_features, logits)


def test_same_seed_builds_the_same_weights_and_leaves_the_random_state(family: Family) -> None:
    before = torch.get_rng_state()
    first, second, other = (built(family, seed=seed).state_dict() for seed in (4, 4, 5))

    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_wider_networks_have_more_parameters(family: Family) -> None:
    sizes = [
        sum(parameter.numel() for parameter in built(family, width=width).parameters())
        for width in (0.35, 0.5, 1.0)
    ]

    assert sizes == sorted(set(sizes))


def test_taps_have_strides_8_16_and_32(family: Family) -> None:
    module = built(family).eval()
    heights: list[int] = []
    for name in family.taps:
        module.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output: heights.append(output.shape[2])
        )

    with torch.inference_mode():
        module(images())

    assert heights == [SIZE // 8, SIZE // 16, SIZE // 32]


def test_smallest_input_is_large_enough_to_train_on(family: Family) -> None:
    module = built(family).train()

    logits = module(images(family.min_size))

    assert logits.shape == (2, CLASSES)
    assert bool(logits.isfinite().all())
