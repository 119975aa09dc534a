from __future__ import annotations

import numpy as np
import pytest
import torch

from edgetl.data.augment import Level, augment

IMAGE = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).permute(
    2, 0, 1
)


def changed(level: Level, seed: int) -> torch.Tensor:
    return augment(IMAGE, level, np.random.default_rng(seed), pad=114)


def test_none_changes_nothing() -> None:
    assert changed(Level.NONE, 0) is IMAGE


def test_flip_mirrors_about_half_of_the_images() -> None:
    mirrored = [torch.equal(changed(Level.FLIP, seed), IMAGE.flip(2)) for seed in range(100)]
    same = [torch.equal(changed(Level.FLIP, seed), IMAGE) for seed in range(100)]
    assert sum(mirrored) + sum(same) == 100
    assert 30 < sum(mirrored) < 70


@pytest.mark.parametrize("level", list(Level))
def test_image_keeps_shape_and_type_and_is_left_alone(level: Level) -> None:
    before = IMAGE.clone()
    for seed in range(40):
        image = changed(level, seed)
        assert image.shape == IMAGE.shape
        assert image.dtype == torch.uint8
    assert torch.equal(IMAGE, before)


@pytest.mark.parametrize("level", [Level.LIGHT, Level.STRONG])
def test_same_dice_give_the_same_image_and_others_another(level: Level) -> None:
    assert torch.equal(changed(level, 3), changed(level, 3))
    assert not torch.equal(changed(level, 3), changed(level, 4))


def test_random_state_of_torch_is_not_touched() -> None:
    before = torch.random.get_rng_state()
    for seed in range(10):
        changed(Level.STRONG, seed)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_strong_level_erases_a_patch_in_the_grey_of_the_border() -> None:
    white = torch.full((3, 32, 32), 255, dtype=torch.uint8)
    shares = []
    for seed in range(100):
        image = augment(white, Level.STRONG, np.random.default_rng(seed), pad=0)
        shares.append(float((image == 0).float().mean()))
    assert 10 < sum(share > 0.01 for share in shares) < 90
    assert max(shares) < 0.5
