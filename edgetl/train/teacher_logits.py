"""Where a student's batches get their teacher's logits from: from a cache, or from the teacher."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.data import loaders
from edgetl.data.dataset import Dataset
from edgetl.train.image_batches import Normalised, Teacher, raw_pixels, split_logits
from edgetl.types import Split

_VIEWS = {"none": (False,), "flip": (False, True)}
"""Levels of augmentation with so few views of an image that all logits can be cached."""


def make_teacher(
    module: nn.Module, normalised: Normalised, dataset: Dataset, *, augment: str
) -> Teacher:
    """Return the teacher as batches of `dataset` need it.

    Args:
        module: In evaluation mode, on the device it is to run on; not changed.
        normalised: What the module expects.
        dataset: The images.
        augment: How the training images vary.
    """
    views = _VIEWS.get(augment)
    if views is None:
        return _LiveTeacher(module, normalised)
    logits = [
        split_logits(module, normalised, dataset, Split.TRAIN, mirrored=mirrored)
        for mirrored in views
    ]
    return _CachedTeacher(np.stack(logits), dataset)


class _LiveTeacher:
    """Answers every batch anew: augmented images never come back."""

    def __init__(self, module: nn.Module, normalised: Normalised) -> None:
        self._device = next(module.parameters()).device
        self._network = raw_pixels(module, normalised).to(self._device)

    def logits(self, batch: loaders.Batch) -> Tensor:
        with torch.inference_mode():
            pixels = batch.images.to(self._device).permute(0, 2, 3, 1).float()
            found: Tensor = self._network(pixels)
        # A plain tensor: what inference mode makes must not be saved for a backward pass.
        return found.clone()


class _CachedTeacher:
    """Knows the answers to every view of every training image."""

    def __init__(self, logits: NDArray[np.float32], dataset: Dataset) -> None:
        self._logits = torch.from_numpy(logits)
        self._images = dataset.images(Split.TRAIN)

    def logits(self, batch: loaders.Batch) -> Tensor:
        if len(self._logits) == 1:
            return self._logits[0, batch.indices]
        # The batch itself says which images are mirrored: those that are not as they were.
        plain = torch.from_numpy(self._images[batch.indices.numpy()]).permute(0, 3, 1, 2)
        mirrored = (batch.images != plain).flatten(1).any(dim=1)
        return self._logits[mirrored.long(), batch.indices]
