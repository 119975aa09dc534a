"""How classifiers are taught: a linear layer on cached features, or the whole network on photos."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.data.dataset import Dataset
from edgetl.models import Family
from edgetl.nn.losses import balanced_class_weights, label_loss
from edgetl.train.features import FeatureBatches, read_features
from edgetl.train.fit import Fitted, fit
from edgetl.train.options import Training
from edgetl.train.photos import LabelledBatch, logits_exam, photo_batches, photo_exam
from edgetl.train.tasks import Lesson
from edgetl.train.teachers import distillation_loss, make_teacher
from edgetl.train.terms import Course, Loss, Surroundings
from edgetl.types import Split


def label_loss_of(
    training: Training, labels: NDArray[np.int64], num_classes: int
) -> Loss[Tensor, LabelledBatch]:
    """Return the loss that `training` asks for; `labels` are those of the training split."""
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


def train_head(
    module: nn.Module,
    family: Family,
    training: Training,
    *,
    dataset: Dataset,
    features: Path,
    surroundings: Surroundings,
) -> Fitted:
    """Train the head of `module` on cached features; an epoch is a few matrix products.

    Args:
        module: Its head is replaced by the trained one; nothing else changes.
        family: Of `module`.
        training: Epochs are over the features.
        dataset: That the features were made of.
        features: Folder of `edgetl.train.features.write_features`.
        surroundings: Where to train.

    Returns:
        The trained head alone, and its history.
    """
    head = cast("nn.Linear", module.get_submodule(family.head))
    seen = read_features(features, Split.TRAIN, dataset)
    seen_in_val = read_features(features, Split.VAL, dataset)

    def answer(trained: nn.Module) -> NDArray[np.float32]:
        device = next(trained.parameters()).device
        with torch.inference_mode():
            logits = trained(torch.from_numpy(seen_in_val.values[0]).to(device))
        found: NDArray[np.float32] = logits.cpu().numpy()
        return found

    taught = Course(
        FeatureBatches(seen, batch_size=training.batch_size, seed=training.seed),
        label_loss_of(training, seen.labels, head.out_features),
        logits_exam(dataset, answer),
    )
    return fit(head, taught, training=training, surroundings=surroundings)


def course(
    dataset: Dataset, family: Family, training: Training, *, lesson: Lesson | None
) -> Course[Tensor, LabelledBatch]:
    """Return what a whole classifier is taught on the training photos.

    Args:
        dataset: With training photos, and validation photos that choose the best epoch.
        family: Of the network.
        training: How.
        lesson: What a teacher adds to the labels.
    """
    loss = label_loss_of(training, dataset.labels(Split.TRAIN), len(dataset.classes))
    teacher = None
    if lesson:
        teacher = make_teacher(lesson.module, lesson.spec, dataset, augment=training.augment)
        loss = distillation_loss(lesson.loss, loss)
    batches = photo_batches(dataset, training, family, teacher=teacher)
    return Course(batches, loss, photo_exam(dataset, family))
