"""How classifiers are taught: a linear layer on cached features, or the whole network on images."""

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
from edgetl.train.image_batches import (
    LabelledBatch,
    image_batches,
    image_validator,
    logits_validator,
)
from edgetl.train.interfaces import LABELLED, Loss, RunContext, Supervised, TrainingSetup
from edgetl.train.options import Training
from edgetl.train.tasks import TeacherSignal
from edgetl.train.teacher_logits import distillation_loss, make_teacher
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
    run_context: RunContext,
) -> Fitted:
    """Train the head of `module` on cached features; an epoch is a few matrix products.

    Args:
        module: Its head is replaced by the trained one; nothing else changes.
        family: Of `module`.
        training: Epochs are over the features.
        dataset: That the features were made of.
        features: Folder of `edgetl.train.features.write_features`.
        run_context: Where to train.

    Returns:
        The trained head alone, and its history.
    """
    head = cast("nn.Linear", module.get_submodule(family.head))
    seen = read_features(features, Split.TRAIN, dataset)
    seen_in_val = read_features(features, Split.VAL, dataset)

    def predict(trained: nn.Module) -> NDArray[np.float32]:
        device = next(trained.parameters()).device
        with torch.inference_mode():
            logits = trained(torch.from_numpy(seen_in_val.values[0]).to(device))
        found: NDArray[np.float32] = logits.cpu().numpy()
        return found

    batches = FeatureBatches(seen, batch_size=training.batch_size, seed=training.seed)
    head_setup = TrainingSetup(
        {LABELLED: batches},
        Supervised(label_loss_of(training, seen.labels, head.out_features)),
        logits_validator(dataset, predict),
    )
    return fit(head, head_setup, training=training, run_context=run_context)


def setup(
    dataset: Dataset, family: Family, training: Training, *, teacher_signal: TeacherSignal | None
) -> TrainingSetup[LabelledBatch]:
    """Return what a whole classifier is taught on the training images.

    Args:
        dataset: With training images, and validation images that choose the best epoch.
        family: Of the network.
        training: How.
        teacher_signal: What a teacher adds to the labels.
    """
    loss = label_loss_of(training, dataset.labels(Split.TRAIN), len(dataset.classes))
    teacher = None
    if teacher_signal:
        teacher = make_teacher(teacher_signal, training)
        loss = distillation_loss(teacher_signal.loss, loss)
    batches = image_batches(dataset, training, family, teacher=teacher)
    return TrainingSetup({LABELLED: batches}, Supervised(loss), image_validator(dataset, family))
