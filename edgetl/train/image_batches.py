"""Normalised batches of labelled images, and the outputs of a network for the images of a split.

Letters: N batch or split, H, W, F features, K classes.
"""

from __future__ import annotations

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
from edgetl.nn.layers import RawPixels
from edgetl.runtime.cores import usable_cores
from edgetl.train.options import Training
from edgetl.types import Split

_EVAL_BATCH = 64
"""Fixed, because the last bits of a matrix product may depend on the number of its rows."""


class Normalised(Protocol):
    """A family, or another object that defines the normalisation that a network expects."""

    @property
    def mean(self) -> Sequence[float]:
        """Per channel, for pixels in [0, 1]."""

    @property
    def std(self) -> Sequence[float]:
        """Per channel, for pixels in [0, 1]."""


class Teacher(Protocol):
    """Provides logits for images."""

    def logits(self, batch: loaders.Batch) -> Tensor:
        """Return the logits `(N, K)` for the images as they are in the batch."""


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """One step's samples for a classifier."""

    inputs: Tensor
    """Inputs of the network: shape `(N, 3, H, W)`, normalised, or `(N, F)`; float32."""
    labels: Tensor
    """Shape `(N,)`, int64."""
    teacher_logits: Tensor | None = None
    """Shape `(N, K)`, of a teacher that saw the same inputs; None without a teacher."""

    def to(self, device: torch.device) -> LabelledBatch:
        """Return the same with all tensors on `device`."""
        return LabelledBatch(
            self.inputs.to(device),
            self.labels.to(device),
            None if self.teacher_logits is None else self.teacher_logits.to(device),
        )


@dataclass(frozen=True, slots=True)
class ImageBatches:
    """Normalised training images as a stream of `fit`, with a teacher's logits if there is one."""

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
    """Return the training images of `dataset`, augmented as set by `training`."""
    # With a GPU the CPU is free to make batches; without one, the training itself uses all cores.
    threads = usable_cores() if torch.cuda.is_available() else 0
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
    """Yield the outputs of `network` for the images of a split, in order, batch by batch.

    Args:
        network: Takes raw pixels `(N, H, W, 3)`, float32 in 0..255, on `device`; is not random.
        dataset: The images.
        split: Which of them.
        device: Where the network is.
        mirrored: Mirror every image horizontally.
    """
    with torch.inference_mode():
        for batch in loaders.eval_batches(dataset, split, batch_size=_EVAL_BATCH):
            pixels = batch.images.flip(3) if mirrored else batch.images
            yield network(_raw_pixels(pixels.to(device))).float().cpu().numpy()


def _raw_pixels(images: Tensor) -> Tensor:
    # Images are channels-last in memory: this is another view of the same bytes, then a cast.
    return images.permute(0, 2, 3, 1).float()
