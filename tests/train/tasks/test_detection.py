from __future__ import annotations

import pytest

from edgetl.train.options import DistillTable, FinetuneTable, Training
from edgetl.train.tasks import TASKS

TASK = TASKS.load("detection")


def whole(**fields: object) -> Training:
    found = TASK.whole(FinetuneTable.model_validate(fields), seed=3, pretrained=True)
    assert found is not None
    return found


def test_mosaic_comes_with_strong_augmentation_and_by_its_own_field() -> None:
    assert whole().mosaic == 0.0
    assert whole(augment="strong").mosaic == 0.5
    assert whole(augment="strong", mosaic=0.0).mosaic == 0.0
    assert whole(mosaic=0.75).mosaic == 0.75


def test_gradients_are_clipped_unless_the_recipe_says_otherwise() -> None:
    assert whole().clip_norm == 10.0
    assert whole(clip_norm=1.0).clip_norm == 1.0


def test_last_fifth_of_the_epochs_closes_the_training() -> None:
    assert whole(epochs=4).no_aug_epochs == 0
    assert whole(epochs=12).no_aug_epochs == 2
    assert whole(epochs=12, no_aug_epochs=0).no_aug_epochs == 0


def test_what_starts_at_random_learns_faster_than_what_knows_something() -> None:
    table = FinetuneTable()
    reinitialized = TASK.whole(table, seed=0, pretrained=False)

    assert reinitialized is not None
    assert reinitialized.lr > whole().lr


@pytest.mark.parametrize(
    ("strategy", "phases"),
    [
        (None, (False, True)),
        ("linear-probe", (True, False)),
        ("probe-then-full", (True, True)),
        ("full", (False, True)),
    ],
)
def test_strategy_says_what_is_trained(strategy: str | None, phases: tuple[bool, bool]) -> None:
    table = FinetuneTable.model_validate({"strategy": strategy})

    probe, full = TASK.probe(table, seed=0), TASK.whole(table, seed=0, pretrained=True)

    assert (probe is not None, full is not None) == phases


def test_probe_reads_its_own_epochs_and_rate_and_varies_images_like_the_rest() -> None:
    table = FinetuneTable(
        strategy="linear-probe", probe_epochs=2, probe_lr=0.25, augment="strong", optimizer="sgd"
    )

    probe = TASK.probe(table, seed=1)

    assert probe is not None
    assert (probe.epochs, probe.lr, probe.optimizer, probe.seed) == (2, 0.25, "adamw", 1)
    assert (probe.augment, probe.mosaic, probe.no_aug_epochs) == ("strong", 0.5, 0)


def test_loss_of_a_student_has_all_parts_and_a_method_by_default() -> None:
    found = TASK.distillation(DistillTable(box_weight=2.0, feature_weight=3.0))

    assert found.model_dump() == {
        "method": "pkd",
        "temperature": 1.0,
        "label_weight": 1.0,
        "soft_weight": 1.0,
        "alpha": 0.0,
        "beta": 0.0,
        "box_weight": 2.0,
        "feature_weight": 3.0,
    }
    assert TASK.distillation(DistillTable(method="cwd", temperature=4.0)).temperature == 4.0


@pytest.mark.parametrize(
    ("name", "value"), [("label_smoothing", 0.0), ("class_weights", "balanced")]
)
def test_fields_of_classification_are_refused_when_set(name: str, value: object) -> None:
    table = FinetuneTable.model_validate({name: value})

    assert list(TASK.problems(table)) == [
        (name, "is only read for `task: classification`; leave it out")
    ]
    assert list(TASK.problems(FinetuneTable())) == []


def test_methods_and_weights_of_classifiers_are_refused() -> None:
    wrong = (
        "is 'dkd', which needs one answer per image; for `task: detection` it must be one of: "
        "pkd, cwd"
    )

    assert list(TASK.problems(DistillTable(method="dkd", beta=2.0))) == [
        ("beta", "is only read for `task: classification`; leave it out"),
        ("method", wrong),
    ]
