from __future__ import annotations

import pytest

from edgetl.train.options import DistillTable, FinetuneTable
from edgetl.train.tasks import TASKS

TASK = TASKS.load("classification")


def test_open_fields_are_filled_in_by_optimizer_and_by_what_was_learned_before() -> None:
    def rate(*, pretrained: bool, **fields: object) -> float:
        table = FinetuneTable.model_validate(fields)
        found = TASK.whole(table, seed=3, pretrained=pretrained)
        assert found is not None
        return found.lr

    assert rate(pretrained=True, lr=0.123) == 0.123
    assert rate(pretrained=True) == 0.001
    assert rate(pretrained=True, strategy="full") == 0.002
    assert rate(pretrained=True, strategy="full", optimizer="sgd") == 0.02
    assert rate(pretrained=False, strategy="full", optimizer="sgd") == 0.05


def test_defaults_are_those_of_images_with_one_label() -> None:
    found = TASK.whole(FinetuneTable(), seed=3, pretrained=True)

    assert found is not None
    assert (found.batch_size, found.weight_decay, found.seed) == (32, 0.05, 3)
    assert (found.label_smoothing, found.class_weights) == (0.1, "none")
    assert (found.mosaic, found.mixup, found.no_aug_epochs) == (0.0, 0.0, 0)


def test_probe_reads_its_own_epochs_and_rate_and_the_shared_treatment_of_labels() -> None:
    table = FinetuneTable(
        probe_epochs=9, probe_lr=0.25, label_smoothing=0.2, class_weights="balanced", patience=2
    )

    probe = TASK.probe(table, seed=1)

    assert probe is not None
    assert (probe.epochs, probe.lr, probe.optimizer) == (9, 0.25, "adamw")
    assert (probe.label_smoothing, probe.class_weights) == (0.2, "balanced")
    assert (probe.ema, probe.patience, probe.best_by) == (None, None, "loss")


@pytest.mark.parametrize(("augment", "views"), [("none", "none"), ("light", "flip")])
def test_probe_only_mirrors_images_and_not_those_that_must_not_change(
    augment: str, views: str
) -> None:
    probe = TASK.probe(FinetuneTable.model_validate({"augment": augment}), seed=0)

    assert probe is not None
    assert probe.augment == views


@pytest.mark.parametrize(
    ("strategy", "phases"),
    [
        (None, (True, True)),
        ("linear-probe", (True, False)),
        ("probe-then-full", (True, True)),
        ("full", (False, True)),
    ],
)
def test_strategy_says_what_is_trained(strategy: str | None, phases: tuple[bool, bool]) -> None:
    table = FinetuneTable.model_validate({"strategy": strategy})

    probe, whole = TASK.probe(table, seed=0), TASK.whole(table, seed=0, pretrained=True)

    assert (probe is not None, whole is not None) == phases


def test_loss_of_a_student_keeps_what_its_method_reads() -> None:
    table = DistillTable(temperature=2.0, label_weight=0.5, soft_weight=3.0, alpha=4.0, beta=5.0)

    decoupled = TASK.distillation(table)
    soft = TASK.distillation(table.model_copy(update={"method": "soft-targets"}))

    unread = {"box_weight": 0.0, "feature_weight": 0.0}
    assert decoupled.model_dump() == {
        "method": "dkd",
        "temperature": 2.0,
        "label_weight": 0.5,
        "soft_weight": 0.0,
        "alpha": 4.0,
        "beta": 5.0,
        **unread,
    }
    assert soft.model_dump() == {
        "method": "soft-targets",
        "temperature": 2.0,
        "label_weight": 0.5,
        "soft_weight": 3.0,
        "alpha": 0.0,
        "beta": 0.0,
        **unread,
    }
    assert TASK.distillation(DistillTable()).temperature == 4.0


@pytest.mark.parametrize("name", ["mosaic", "mixup", "no_aug_epochs", "multi_scale"])
def test_fields_of_detection_are_refused_when_set(name: str) -> None:
    table = FinetuneTable.model_validate({name: 1})

    assert list(TASK.problems(table)) == [
        (name, "is only read for `task: detection`; leave it out")
    ]
    assert list(TASK.problems(FinetuneTable())) == []


def test_methods_and_weights_of_detectors_are_refused() -> None:
    table = DistillTable(method="pkd", feature_weight=1.0)

    wrong = (
        "is 'pkd', which imitates maps of a detector; for `task: classification` it must be "
        "one of: dkd, soft-targets"
    )

    assert list(TASK.problems(table)) == [
        ("feature_weight", "is only read for `task: detection`; leave it out"),
        ("method", wrong),
    ]
