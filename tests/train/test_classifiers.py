from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgetl.config.recipe import InputTable
from edgetl.models import ModelSpec
from edgetl.nn.distillation import decoupled_loss, soft_target_loss
from edgetl.nn.losses import label_loss
from edgetl.train.classifiers import LogitDistillation
from edgetl.train.distillation import (
    METHODS,
    DistillationLoss,
    MethodSettings,
    TeacherSignal,
)
from edgetl.train.image_batches import LabelledBatch
from edgetl.train.interfaces import LABELLED

SPEC = ModelSpec.of(
    "mobilenet_v2", width=1.0, classes=("a", "b", "c"), image_input=InputTable(size=32)
)


def on_labels(logits: Tensor, batch: LabelledBatch) -> Tensor:
    return label_loss(logits, batch.labels)


def objective(name: str, label_weight: float, **options: float) -> LogitDistillation:
    settings = MethodSettings(name=name, options=METHODS.load(name).options.model_validate(options))
    signal = TeacherSignal(SPEC, nn.Identity(), settings, label_weight)
    return LogitDistillation(DistillationLoss(signal), on_labels)


def batch() -> LabelledBatch:
    """Return six samples whose inputs are the student's logits."""
    rng = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(6, 3, generator=rng) for _ in range(2))
    return LabelledBatch(student, torch.randint(3, (6,), generator=rng), teacher)


def test_loss_of_soft_targets_weighs_labels_and_teacher() -> None:
    given = batch()

    loss = objective("soft-targets", 0.3, temperature=2.0, soft_weight=0.7).loss(
        nn.Identity(), {LABELLED: given}
    )

    assert given.teacher_logits is not None
    expected = 0.3 * on_labels(given.inputs, given) + 0.7 * soft_target_loss(
        given.inputs, given.teacher_logits, 2.0
    )
    assert loss.item() == pytest.approx(expected.item())


def test_loss_of_dkd_weighs_labels_and_both_parts() -> None:
    given = batch()

    loss = objective("dkd", 0.3, temperature=2.0, alpha=0.5, beta=4.0).loss(
        nn.Identity(), {LABELLED: given}
    )

    assert given.teacher_logits is not None
    distilled = decoupled_loss(
        given.inputs, given.teacher_logits, given.labels, temperature=2.0, alpha=0.5, beta=4.0
    )
    assert loss.item() == pytest.approx((0.3 * on_labels(given.inputs, given) + distilled).item())


def test_distillation_without_a_teacher_in_the_batch_is_an_error() -> None:
    given = batch()

    with pytest.raises(ValueError, match="distillation needs batches with teacher_logits"):
        objective("dkd", 1.0).loss(
            nn.Identity(), {LABELLED: LabelledBatch(given.inputs, given.labels)}
        )
