from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgetl.train.options import FinetuneTable, NetworkSettings, TrainingTable, filled_in, resolve

DEFAULTS = {"lr": 0.001, "weight_decay": 0.05, "batch_size": 32, "mixup": 0.25}


def test_what_a_recipe_leaves_open_is_filled_in() -> None:
    training = resolve(FinetuneTable(), DEFAULTS, seed=3)

    assert (training.lr, training.weight_decay, training.seed) == (0.001, 0.05, 3)
    assert (training.batch_size, training.mixup) == (32, 0.25)


def test_what_a_recipe_says_stays() -> None:
    table = FinetuneTable(lr=0.5, weight_decay=0.0, epochs=7, ema=None, augment="strong", mixup=0.0)

    training = resolve(table, DEFAULTS, seed=0)

    found = {
        name: getattr(training, name)
        for name in ("lr", "weight_decay", "epochs", "augment", "mixup")
    }
    assert found == {
        "lr": 0.5,
        "weight_decay": 0.0,
        "epochs": 7,
        "augment": "strong",
        "mixup": 0.0,
    }
    assert training.ema is None


def test_fields_that_a_task_does_not_read_say_nothing() -> None:
    training = resolve(FinetuneTable(label_smoothing=0.5, mosaic=0.5), DEFAULTS, seed=0)

    assert (training.label_smoothing, training.mosaic) == (0.0, 0.0)


def test_zero_is_no_missing_value() -> None:
    assert filled_in(FinetuneTable(mixup=0.0), {"mixup": 0.5, "mosaic": 0.5}) == {
        "mixup": 0.0,
        "mosaic": 0.5,
    }


def test_warm_up_as_long_as_the_training_is_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"warmup_epochs is 3; must be less than epochs \(3\)"
    ):
        TrainingTable(epochs=3, warmup_epochs=3.0)


def test_more_closing_epochs_than_epochs_are_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"no_aug_epochs is 4; must not be more than epochs \(3\)"
    ):
        TrainingTable(epochs=3, no_aug_epochs=4)


def test_one_epoch_needs_no_other_field() -> None:
    assert FinetuneTable(epochs=1).warmup_epochs < 1


def test_place_of_a_weights_file_is_no_part_of_the_settings() -> None:
    settings = NetworkSettings(
        family="mobilenet_v2", width=1.0, weights="0" * 64, weights_file="/a/b.pth", seed=0
    )

    assert "weights_file" not in settings.model_dump(mode="json")
