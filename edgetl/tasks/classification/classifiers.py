"""Training of classifiers: a linear layer on cached features, or more of the network on images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.data.dataset import Dataset
from edgetl.models import Family
from edgetl.nn.losses import balanced_class_weights, label_loss
from edgetl.tasks.classification.training import ClassifierTraining
from edgetl.tasks.classification.validation import image_validator, logits_validator
from edgetl.train.distillation import DistillationLoss, Outputs, Signal, TeacherSignal
from edgetl.train.features import FeatureBatches, read_features
from edgetl.train.fit import Fitted, fit
from edgetl.train.image_batches import LabelledBatch, image_batches
from edgetl.train.interfaces import (
    LABELLED,
    Loss,
    Objective,
    RunContext,
    Supervised,
    TrainingSetup,
)
from edgetl.train.strategies import Phase
from edgetl.train.teacher_logits import make_teacher
from edgetl.types import Split


def label_loss_of(
    training: ClassifierTraining, labels: NDArray[np.int64], num_classes: int
) -> Loss[Tensor, LabelledBatch]:
    """Return the loss of `training` on labels; `labels` are those of the training split."""
    weights = None
    if training.class_weights == "balanced":
        counts = torch.bincount(torch.from_numpy(labels), minlength=num_classes)
        weights = balanced_class_weights(counts)

    def loss(logits: Tensor, batch: LabelledBatch) -> Tensor:
        return label_loss(
            logits,
            batch.labels,
            smoothing=training.label_smoothing,
            class_weights=None if weights is None else weights.to(logits.device),
        )

    return loss


@dataclass(frozen=True, slots=True)
class LogitDistillation:
    """The objective of a student that learns from the logits of its teacher."""

    distillation: DistillationLoss
    label_loss: Loss[Tensor, LabelledBatch]
    modules: tuple[nn.Module, ...] = ()

    def loss(self, network: nn.Module, samples: Mapping[str, LabelledBatch]) -> Tensor:
        """Return the loss of one batch that a teacher has seen."""
        batch = samples[LABELLED]
        if batch.teacher_logits is None:
            raise ValueError("distillation needs batches with teacher_logits")
        logits: Tensor = network(batch.inputs)
        return self.distillation.total(
            self.label_loss(logits, batch),
            batch.labels,
            student=Outputs({Signal.LOGITS: logits}),
            teacher=Outputs({Signal.LOGITS: batch.teacher_logits}),
        )


def train_head(
    module: nn.Module,
    family: Family,
    phase: Phase,
    *,
    dataset: Dataset,
    features: Path,
    run_context: RunContext,
) -> Fitted:
    """Train the head of `module` on cached features; an epoch is a few matrix products.

    Args:
        module: Its head is trained in place; nothing else changes.
        family: Of `module`.
        phase: Epochs are over the features.
        dataset: The images of the features.
        features: Folder of `edgetl.train.features.write_features`.
        run_context: Where and how to run.

    Returns:
        The trained head alone, and its history.

    Raises:
        ValueError: If the phase trains more than the head.
    """
    if not phase.trains_only(family.head):
        raise ValueError(f"phase '{phase.name}' trains more than the head, but on cached features")
    training = cast("ClassifierTraining", phase.training)
    head = cast("nn.Linear", module.get_submodule(family.head))
    train = read_features(features, Split.TRAIN, dataset)
    val = read_features(features, Split.VAL, dataset)

    def predict(trained: nn.Module) -> NDArray[np.float32]:
        device = next(trained.parameters()).device
        with torch.inference_mode():
            logits = trained(torch.from_numpy(val.values[0]).to(device))
        array: NDArray[np.float32] = logits.cpu().numpy()
        return array

    batches = FeatureBatches(train, batch_size=training.batch_size, seed=training.seed)
    head_setup = TrainingSetup(
        {LABELLED: batches},
        Supervised(label_loss_of(training, train.labels, head.out_features)),
        logits_validator(dataset, predict),
    )
    return fit(head, head_setup, training=training, run_context=run_context)


def setup(
    dataset: Dataset, family: Family, phase: Phase, *, teacher_signal: TeacherSignal | None = None
) -> TrainingSetup[LabelledBatch]:
    """Return the training of a classifier on images.

    Args:
        dataset: With training images, and validation images that select the best epoch.
        family: Of the network.
        phase: The parts that learn, and the training's settings.
        teacher_signal: A teacher in addition to the labels.
    """
    training = cast("ClassifierTraining", phase.training)
    label_loss = label_loss_of(training, dataset.labels(Split.TRAIN), len(dataset.classes))
    objective: Objective[LabelledBatch] = Supervised(label_loss)
    teacher = None
    if teacher_signal:
        teacher = make_teacher(teacher_signal, training)
        objective = LogitDistillation(DistillationLoss(teacher_signal), label_loss)
    batches = image_batches(dataset, training, family, teacher=teacher)
    return TrainingSetup(
        {LABELLED: batches}, objective, image_validator(dataset, family), phase.rates
    )
