"""Validation of a classifier on the validation images, by loss and top-1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgetl.data.dataset import Dataset
from edgetl.nn.losses import label_loss
from edgetl.tasks.classification.evaluation import EVALUATION
from edgetl.train.image_batches import Normalised, predictions, raw_pixels
from edgetl.train.interfaces import Validation, Validator
from edgetl.types import Split


def image_validator(dataset: Dataset, normalised: Normalised) -> Validator | None:
    """Return the validator of a classifier on images; None if there are none to validate on."""
    return logits_validator(dataset, lambda module: _logits(module, normalised, dataset))


def logits_validator(
    dataset: Dataset, predict: Callable[[nn.Module], NDArray[np.float32]]
) -> Validator | None:
    """Return the validator of a network whose logits `predict` computes.

    Args:
        dataset: With the validation images; without any there is no validator.
        predict: Returns the logits `(N, K)` of a network for all of them.
    """
    if not len(dataset.labels(Split.VAL)):
        return None
    labels = torch.from_numpy(dataset.labels(Split.VAL))

    def take(module: nn.Module) -> Validation:
        logits = predict(module)
        loss = label_loss(torch.from_numpy(logits), labels).item()
        return Validation(loss, EVALUATION.value({"logits": logits}, dataset, Split.VAL))

    return Validator(EVALUATION.metric, EVALUATION.title, take)


def _logits(module: nn.Module, normalised: Normalised, dataset: Dataset) -> NDArray[np.float32]:
    """Return the logits `(N, K)` of `module`, in evaluation mode, for all validation images."""
    device = next(module.parameters()).device
    network = raw_pixels(module, normalised).to(device)
    return np.concatenate(list(predictions(network, dataset, Split.VAL, device=device)))
