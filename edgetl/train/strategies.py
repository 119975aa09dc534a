"""What is trained: a linear layer on cached features, or the whole network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.data.dataset import Dataset
from edgetl.models import Family
from edgetl.nn.losses import balanced_class_weights, label_loss
from edgetl.train.features import FeatureBatches, Features
from edgetl.train.fit import Batch, Fitted, Loss, Surroundings, Validation, fit
from edgetl.train.options import DistillLoss, Training
from edgetl.train.photos import Teacher, photo_batches, validation, validator
from edgetl.train.teachers import distillation_loss
from edgetl.types import Split


@dataclass(frozen=True, slots=True)
class Lesson:
    """A teacher, and how much its word counts."""

    teacher: Teacher
    loss: DistillLoss


def label_loss_of(training: Training, labels: NDArray[np.int64], num_classes: int) -> Loss:
    """Return the loss that `training` asks for; `labels` are those of the training split."""
    weights = None
    if training.class_weights == "balanced":
        counts = torch.bincount(torch.from_numpy(labels), minlength=num_classes)
        weights = balanced_class_weights(counts)

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        return label_loss(
            logits,
            batch.labels,
            smoothing=training.label_smoothing,
            class_weights=None if weights is None else weights.to(logits.device),
        )

    return loss


def train_probe(
    module: nn.Module,
    family: Family,
    training: Training,
    *,
    features: Features,
    val_features: Features,
    surroundings: Surroundings,
) -> Fitted:
    """Train the head of `module` on cached features; an epoch is a few matrix products.

    Args:
        module: Its head is replaced by the trained one; nothing else changes.
        family: Of `module`.
        training: Epochs are over the features.
        features: Of the training photos.
        val_features: Of the validation photos, as they are; may be empty.
        surroundings: Where to train.

    Returns:
        The trained head alone, and its history.
    """
    head = cast("nn.Linear", module.get_submodule(family.head))
    loss = label_loss_of(training, features.labels, head.out_features)

    def validate(trained: nn.Module) -> Validation:
        device = next(trained.parameters()).device
        with torch.inference_mode():
            logits = trained(torch.from_numpy(val_features.values[0]).to(device))
        return validation(logits.cpu().numpy(), val_features.labels)

    return fit(
        head,
        FeatureBatches(features, batch_size=training.batch_size, seed=training.seed),
        loss,
        training=training,
        validate=validate if len(val_features.labels) else None,
        surroundings=surroundings,
    )


def train_whole(
    module: nn.Module,
    family: Family,
    training: Training,
    *,
    dataset: Dataset,
    surroundings: Surroundings,
    lesson: Lesson | None = None,
) -> Fitted:
    """Train all of `module` on the training photos; batch normalisation too.

    Args:
        module: Changed in place.
        family: Of `module`.
        training: How.
        dataset: With training photos, and validation photos that choose the best epoch.
        surroundings: Where to train.
        lesson: What a teacher adds to the labels.
    """
    loss = label_loss_of(training, dataset.labels(Split.TRAIN), len(dataset.classes))
    return fit(
        module,
        photo_batches(dataset, training, family, teacher=lesson.teacher if lesson else None),
        distillation_loss(lesson.loss, loss) if lesson else loss,
        training=training,
        validate=validator(dataset, family),
        surroundings=surroundings,
    )
