"""Between the images of a dataset and a classifier: normalised batches, answers of a whole split.

Letters: N batch or split, H, W, F features, K classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.data import loaders
from edgetl.data.dataset import Dataset
from edgetl.data.levels import Level
from edgetl.evaluation import EVALUATIONS
from edgetl.nn.layers import RawPixels
from edgetl.nn.losses import label_loss
from edgetl.train.interfaces import Validation, Validator
from edgetl.train.options import Training
from edgetl.types import Split, Task

_EVAL_BATCH = 64
"""Fixed: a matrix product's last bits may depend on the number of its rows."""


class Normalised(Protocol):
    """A family, or whatever else knows the normalisation that a network expects."""

    @property
    def mean(self) -> Sequence[float]:
        """Per channel, for pixels in [0, 1]."""

    @property
    def std(self) -> Sequence[float]:
        """Per channel, for pixels in [0, 1]."""


class Teacher(Protocol):
    """Whoever knows logits for images."""

    def logits(self, batch: loaders.Batch) -> Tensor:
        """Return the logits `(N, K)` for the images as they are in the batch."""


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """One step's samples for a classifier."""

    inputs: Tensor
    """What the network takes: shape `(N, 3, H, W)`, normalised, or `(N, F)`; float32."""
    labels: Tensor
    """Shape `(N,)`, int64."""
    teacher_logits: Tensor | None = None
    """Shape `(N, K)`, of a teacher that saw the same inputs; None where there is none."""

    def to(self, device: torch.device) -> LabelledBatch:
        """Return the same with all tensors on `device`."""
        return LabelledBatch(
            self.inputs.to(device),
            self.labels.to(device),
            None if self.teacher_logits is None else self.teacher_logits.to(device),
        )


@dataclass(frozen=True, slots=True)
class ImageBatches:
    """Training images, normalised, in `fit`'s terms; with a teacher's logits if there is one."""

    source: loaders.TrainBatches
    normalise: nn.Module
    teacher: Teacher | None = None

    def __len__(self) -> int:
        """Return the number of steps of an epoch."""
        return len(self.source)

    def epoch(self, number: int) -> Iterator[LabelledBatch]:
        """Yield the batches of epoch `number`, counted from 1."""
        for batch in self.source.epoch(number - 1):
            yield LabelledBatch(
                self.normalise(_raw_pixels(batch.images)),
                batch.labels,
                self.teacher.logits(batch) if self.teacher else None,
            )


def image_batches(
    dataset: Dataset, training: Training, normalised: Normalised, *, teacher: Teacher | None = None
) -> ImageBatches:
    """Return the training images of `dataset` as `training` wants them."""
    # A GPU leaves the processor free to make batches; without one, training itself fills it.
    threads = len(os.sched_getaffinity(0)) if torch.cuda.is_available() else 0
    source = loaders.TrainBatches(
        dataset,
        batch_size=training.batch_size,
        seed=training.seed,
        level=Level(training.augment),
        views=training.views,
        threads=threads,
    )
    return ImageBatches(source, raw_pixels(nn.Identity(), normalised), teacher)


def raw_pixels(module: nn.Module, normalised: Normalised) -> RawPixels:
    """Return `module` as it is exported: it takes pixels in 0..255."""
    return RawPixels(module, normalised.mean, normalised.std)


def predictions(
    network: Callable[[Tensor], Tensor],
    dataset: Dataset,
    split: Split,
    *,
    device: torch.device,
    mirrored: bool = False,
) -> Iterator[NDArray[np.float32]]:
    """Yield what `network` says to the images of a split, in order, batch by batch.

    Args:
        network: Takes raw pixels `(N, H, W, 3)`, float32 in 0..255, on `device`; draws nothing.
        dataset: The images.
        split: Which of them.
        device: Where the network is.
        mirrored: Show every image left to right.
    """
    with torch.inference_mode():
        for batch in loaders.eval_batches(dataset, split, batch_size=_EVAL_BATCH):
            pixels = batch.images.flip(3) if mirrored else batch.images
            yield network(_raw_pixels(pixels.to(device))).float().cpu().numpy()


def split_logits(
    module: nn.Module,
    normalised: Normalised,
    dataset: Dataset,
    split: Split,
    *,
    mirrored: bool = False,
) -> NDArray[np.float32]:
    """Return the logits `(N, K)` of `module`, in evaluation mode, for all images of a split."""
    device = next(module.parameters()).device
    network = raw_pixels(module, normalised).to(device)
    found = list(predictions(network, dataset, split, device=device, mirrored=mirrored))
    return np.concatenate(found) if found else np.empty((0, len(dataset.classes)), np.float32)


def image_validator(dataset: Dataset, normalised: Normalised) -> Validator | None:
    """Return what examines a classifier on the validation images; None if there are none."""
    return logits_validator(
        dataset, lambda module: split_logits(module, normalised, dataset, Split.VAL)
    )


def logits_validator(
    dataset: Dataset, predict: Callable[[nn.Module], NDArray[np.float32]]
) -> Validator | None:
    """Return the exam by what `predict` makes a network say to the validation images.

    Args:
        dataset: Its validation images are those answered; without any there is no exam.
        predict: Returns logits `(N, K)` for all of them.
    """
    if not len(dataset.labels(Split.VAL)):
        return None
    evaluation = EVALUATIONS.load(Task.CLASSIFICATION)
    labels = torch.from_numpy(dataset.labels(Split.VAL))

    def take(module: nn.Module) -> Validation:
        logits = predict(module)
        loss = label_loss(torch.from_numpy(logits), labels).item()
        return Validation(loss, evaluation.value({"logits": logits}, dataset, Split.VAL))

    return Validator(evaluation.metric, evaluation.title, take)


def _raw_pixels(images: Tensor) -> Tensor:
    # Images lie channels-last in memory: this is another view of the same bytes, then a cast.
    return images.permute(0, 2, 3, 1).float()
