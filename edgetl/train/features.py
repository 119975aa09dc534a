"""Cached features: the outputs of the frozen backbone for each image, on disk and as batches.

Letters: V views of an image (unchanged, mirrored), N images of a split, F features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.data.dataset import Dataset
from edgetl.models import ClassifierFamily
from edgetl.train.image_batches import LabelledBatch, predictions, raw_pixels
from edgetl.types import Split


@dataclass(frozen=True, slots=True)
class Features:
    """The inputs of the head for all images of a split."""

    values: NDArray[np.float32]
    """Shape `(V, N, F)`."""
    labels: NDArray[np.int64]
    """Shape `(N,)`."""


class FeatureBatches:
    """Shuffled features; in each epoch, one view of each image is drawn at random."""

    def __init__(self, features: Features, *, batch_size: int, seed: int) -> None:
        self._values = torch.from_numpy(features.values)
        self._labels = torch.from_numpy(features.labels)
        self._batch_size = batch_size
        self._seed = seed

    def __len__(self) -> int:
        """Return the number of batches; the last one may be smaller."""
        return math.ceil(len(self._labels) / self._batch_size)

    def epoch(self, number: int) -> Iterator[LabelledBatch]:
        """Yield all images once; the same number gives the same batches."""
        num_views, num_images, num_features = self._values.shape
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self._seed, number])))
        order = torch.from_numpy(rng.permutation(num_images))
        views = torch.from_numpy(rng.integers(num_views, size=num_images))
        # One table of all views, so that the row of an image is computed by plain arithmetic.
        table = self._values.reshape(num_views * num_images, num_features)
        for rows in torch.split(order, self._batch_size):
            yield LabelledBatch(table[views[rows] * num_images + rows], self._labels[rows])


def write_features(
    folder: Path,
    split: Split,
    *,
    module: nn.Module,
    family: ClassifierFamily,
    dataset: Dataset,
    views: Sequence[bool],
    on_batch: Callable[[int], None],
) -> None:
    """Write the features of a split, batch by batch: memory does not grow with the images.

    Args:
        folder: The folder to write to.
        split: Of `dataset`.
        module: Of `family`, in evaluation mode, on any device.
        family: Defines the boundary between backbone and head.
        dataset: The images.
        views: For each view, whether images are mirrored.
        on_batch: Called with the number of images after every batch.
    """
    device = next(module.parameters()).device
    normalise = raw_pixels(nn.Identity(), family).to(device)
    num_features = module.get_submodule(family.head).in_features

    def network(pixels: Tensor) -> Tensor:
        return family.features(module, normalise(pixels))

    with _file(folder, split).open("wb") as file:
        shape = (len(views), len(dataset.labels(split)), num_features)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for mirrored in views:
            for block in predictions(network, dataset, split, device=device, mirrored=mirrored):
                file.write(block.astype("<f4", copy=False).tobytes())
                on_batch(len(block))


def read_features(folder: Path, split: Split, dataset: Dataset) -> Features:
    """Return the features that `write_features` wrote for a split of the same `dataset`."""
    return Features(np.load(_file(folder, split)), dataset.labels(split))


def _file(folder: Path, split: Split) -> Path:
    return folder / f"features-{split.value}.npy"
