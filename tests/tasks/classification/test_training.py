from __future__ import annotations

import pytest

from edgetl.tasks import TASKS
from edgetl.tasks.classification.training import ClassifierTable, ClassifierTraining
from edgetl.train.options import TrainingTable
from edgetl.train.task_training import Start

TASK = TASKS.load("classification").training


def training(start: Start = Start.PROBED, **fields: object) -> ClassifierTraining:
    settings = TASK.training(ClassifierTable.model_validate(fields), start=start, seed=3)
    assert isinstance(settings, ClassifierTraining)
    return settings


def test_rate_left_out_depends_on_optimizer_and_on_what_was_learned_before() -> None:
    assert training(lr=0.123).lr == 0.123
    assert training(Start.PROBED).lr == 0.001
    assert training(Start.PRETRAINED).lr == 0.002
    assert training(Start.PRETRAINED, optimizer="sgd").lr == 0.02
    assert training(Start.RANDOM, optimizer="sgd").lr == 0.05
    assert training(Start.STUDENT).lr == 0.001


def test_defaults_are_those_of_images_with_one_label() -> None:
    settings = training()

    assert (settings.batch_size, settings.weight_decay, settings.seed) == (32, 0.05, 3)
    assert (settings.label_smoothing, settings.class_weights) == (0.1, "none")
    assert settings.clip_norm is None


def test_head_has_its_own_epochs_and_rate_and_the_shared_treatment_of_labels() -> None:
    table = ClassifierTable(label_smoothing=0.2, class_weights="balanced", patience=2, lr=9.0)

    head = TASK.head_training(table, epochs=9, lr=0.25, seed=1)

    assert isinstance(head, ClassifierTraining)
    assert (head.epochs, head.lr, head.optimizer) == (9, 0.25, "adamw")
    assert (head.label_smoothing, head.class_weights) == (0.2, "balanced")
    assert (head.ema, head.patience, head.best_by) == (None, None, "loss")


def test_head_is_trained_for_sixty_epochs_unless_told_otherwise() -> None:
    head = TASK.head_training(ClassifierTable(), epochs=None, lr=None, seed=1)

    assert (head.epochs, head.lr, head.batch_size) == (60, 0.001, 256)


@pytest.mark.parametrize(("augment", "views"), [("none", "none"), ("light", "flip")])
def test_head_only_sees_mirrored_images_and_not_those_that_must_not_change(
    augment: str, views: str
) -> None:
    table = ClassifierTable.model_validate({"augment": augment})

    assert TASK.head_training(table, epochs=None, lr=None, seed=0).augment == views


def test_keys_of_the_task_are_those_of_labels() -> None:
    own = set(TASK.table.model_fields) - set(TrainingTable.model_fields)

    assert own == {"label_smoothing", "class_weights"}
    assert (TASK.strategy, TASK.method) == ("probe-then-full", "dkd")
