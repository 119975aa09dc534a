from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgetl.train.options import NetworkSettings, Training, TrainingTable, resolve

DEFAULTS = {"lr": 0.001, "weight_decay": 0.05, "batch_size": 32}


class Table(TrainingTable):
    mixup: float = 0.25


class MixedTraining(Training):
    mixup: float


def test_what_a_recipe_leaves_open_is_filled_in() -> None:
    training = resolve(Training, TrainingTable(), DEFAULTS, seed=3)

    assert (training.lr, training.weight_decay, training.seed) == (0.001, 0.05, 3)
    assert (training.batch_size, training.clip_norm) == (32, None)


def test_what_a_recipe_gives_stays_with_the_keys_of_its_task() -> None:
    table = Table(lr=0.5, weight_decay=0.0, epochs=7, ema=None, augment="strong", mixup=0.0)

    training = resolve(MixedTraining, table, DEFAULTS, seed=0)

    assert training == MixedTraining(
        epochs=7,
        batch_size=32,
        lr=0.5,
        weight_decay=0.0,
        ema=None,
        augment="strong",
        mixup=0.0,
        seed=0,
    )


def test_warm_up_as_long_as_the_training_is_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"warmup_epochs is 3; must be less than epochs \(3\)"
    ):
        TrainingTable(epochs=3, warmup_epochs=3.0)


def test_place_of_a_weights_file_is_no_part_of_the_settings() -> None:
    settings = NetworkSettings(
        family="mobilenet_v2", width=1.0, weights="0" * 64, weights_file="/a/b.pth", seed=0
    )

    assert "weights_file" not in settings.model_dump(mode="json")
