from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgetl.train.options import (
    DistillTable,
    FinetuneTable,
    NetworkSettings,
    TrainingTable,
    resolve,
    resolve_loss,
    resolve_probe,
)

RATES = {"adamw": 0.001, "sgd": 0.1}


def test_what_a_recipe_leaves_open_is_filled_in_by_optimizer() -> None:
    adamw = resolve(FinetuneTable(), RATES, seed=3)
    sgd = resolve(FinetuneTable(optimizer="sgd"), RATES, seed=3)

    assert (adamw.lr, adamw.weight_decay, adamw.seed) == (0.001, 0.05, 3)
    assert (sgd.lr, sgd.weight_decay) == (0.1, 0.0001)


def test_what_a_recipe_says_stays() -> None:
    table = FinetuneTable(lr=0.5, weight_decay=0.0, epochs=7, ema=None, augment="strong")

    training = resolve(table, RATES, seed=0)

    found = {name: getattr(training, name) for name in ("lr", "weight_decay", "epochs", "augment")}
    assert found == {"lr": 0.5, "weight_decay": 0.0, "epochs": 7, "augment": "strong"}
    assert training.ema is None


def test_probe_reads_its_own_epochs_and_rate_and_the_shared_treatment_of_labels() -> None:
    table = FinetuneTable(
        probe_epochs=9, probe_lr=0.25, label_smoothing=0.2, class_weights="balanced", patience=2
    )

    probe = resolve_probe(table, seed=1)

    assert (probe.epochs, probe.lr, probe.optimizer) == (9, 0.25, "adamw")
    assert (probe.label_smoothing, probe.class_weights) == (0.2, "balanced")
    assert (probe.ema, probe.patience, probe.best_by) == (None, None, "loss")


@pytest.mark.parametrize(("augment", "views"), [("none", "none"), ("light", "flip")])
def test_probe_only_mirrors_photos_and_not_those_that_must_not_change(
    augment: str, views: str
) -> None:
    table = FinetuneTable.model_validate({"augment": augment})

    assert resolve_probe(table, seed=0).augment == views


def test_loss_of_a_student_keeps_what_its_method_reads() -> None:
    table = DistillTable(temperature=2.0, label_weight=0.5, soft_weight=3.0, alpha=4.0, beta=5.0)

    decoupled = resolve_loss(table)
    soft = resolve_loss(table.model_copy(update={"method": "soft-targets"}))

    assert decoupled.model_dump() == {
        "method": "dkd",
        "temperature": 2.0,
        "label_weight": 0.5,
        "soft_weight": 0.0,
        "alpha": 4.0,
        "beta": 5.0,
    }
    assert soft.model_dump() == {
        "method": "soft-targets",
        "temperature": 2.0,
        "label_weight": 0.5,
        "soft_weight": 3.0,
        "alpha": 0.0,
        "beta": 0.0,
    }


def test_warm_up_as_long_as_the_training_is_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"warmup_epochs is 3; must be less than epochs \(3\)"
    ):
        TrainingTable(epochs=3, warmup_epochs=3.0)


def test_one_epoch_needs_no_other_field() -> None:
    assert FinetuneTable(epochs=1).warmup_epochs < 1


def test_place_of_a_weights_file_is_no_part_of_the_settings() -> None:
    settings = NetworkSettings(
        family="mobilenet_v2", width=1.0, weights="0" * 64, weights_file="/a/b.pth", seed=0
    )

    assert "weights_file" not in settings.model_dump(mode="json")
