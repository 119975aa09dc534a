from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgetl.tasks import TASKS
from edgetl.tasks.detection.training import DetectorTable, DetectorTraining
from edgetl.train.options import TrainingTable
from edgetl.train.task_training import Start

TASK = TASKS.load("detection").training


def training(start: Start = Start.PRETRAINED, **fields: object) -> DetectorTraining:
    settings = TASK.training(DetectorTable.model_validate(fields), start=start, seed=3)
    assert isinstance(settings, DetectorTraining)
    return settings


def test_mosaic_comes_with_strong_augmentation_and_by_its_own_field() -> None:
    assert training().mosaic == 0.0
    assert training(augment="strong").mosaic == 0.5
    assert training(augment="strong", mosaic=0.0).mosaic == 0.0
    assert training(mosaic=0.75).mosaic == 0.75


def test_gradients_are_clipped_unless_the_recipe_says_otherwise() -> None:
    assert training().clip_norm == 10.0
    assert training(clip_norm=1.0).clip_norm == 1.0


def test_last_fifth_of_the_epochs_is_without_mosaic() -> None:
    assert training(epochs=4).no_aug_epochs == 0
    assert training(epochs=12).no_aug_epochs == 2
    assert training(epochs=12, no_aug_epochs=0).no_aug_epochs == 0


def test_more_epochs_without_mosaic_than_epochs_are_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"no_aug_epochs is 4; must not be more than epochs \(3\)"
    ):
        DetectorTable(epochs=3, no_aug_epochs=4)


def test_rate_left_out_is_higher_for_a_network_that_starts_at_random() -> None:
    assert (training(Start.RANDOM).lr, training(Start.RANDOM, optimizer="sgd").lr) == (0.01, 0.01)
    for start in (Start.PRETRAINED, Start.PROBED, Start.STUDENT):
        assert (training(start).lr, training(start, optimizer="sgd").lr) == (0.001, 0.005)


def test_head_has_its_own_epochs_and_rate_and_varies_images_like_the_rest() -> None:
    table = DetectorTable(augment="strong", optimizer="sgd", patience=3)

    head = TASK.head_training(table, epochs=2, lr=0.25, seed=1)

    assert isinstance(head, DetectorTraining)
    assert (head.epochs, head.lr, head.optimizer, head.seed) == (2, 0.25, "adamw", 1)
    assert (head.augment, head.mosaic, head.no_aug_epochs) == ("strong", 0.5, 0)
    assert (head.weight_decay, head.warmup_epochs, head.patience) == (0.05, 0.0, None)


def test_head_is_trained_for_three_epochs_unless_told_otherwise() -> None:
    head = TASK.head_training(DetectorTable(), epochs=None, lr=None, seed=1)

    assert (head.epochs, head.lr, head.batch_size) == (3, 0.001, 8)


def test_keys_of_the_task_are_those_of_boxes() -> None:
    own = set(TASK.table.model_fields) - set(TrainingTable.model_fields)

    assert own == {"mosaic", "mixup", "no_aug_epochs", "multi_scale"}
    assert (TASK.strategy, TASK.method) == ("full", "pkd")
