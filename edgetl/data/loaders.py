"""Batches for training and evaluation, straight from the memory-mapped images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgetl.data.augment import make_view, show_view, view_number
from edgetl.data.dataset import Dataset
from edgetl.data.levels import Level
from edgetl.data.prefetch import pool_of, prefetched
from edgetl.types import Split

_RELEASE_BYTES = 64 << 20
"""Images read before their mapped pages are released."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some images with their classes."""

    images: Tensor
    """Shape `(N, 3, H, W)`, uint8, RGB; channels-last in memory."""
    labels: Tensor
    """Shape `(N,)`, int64."""
    indices: Tensor
    """Shape `(N,)`, int64: positions in the split."""
    views: Tensor
    """Shape `(N,)`, int64: the number of the view of each image; 0 of unchanged images."""


class AugmentedImages:
    """The images of a split as one network sees their views; safe for several threads."""

    def __init__(self, dataset: Dataset, split: Split, *, level: Level, seed: int) -> None:
        """Describe the images.

        Args:
            dataset: Fitted to the network's input.
            split: Of the dataset.
            level: How much images vary.
            seed: Of the training that sees them.
        """
        self._dataset = dataset
        self._images = dataset.images(split)
        self._sizes = dataset.image_sizes(split).tolist()
        self._contents = [item.sha256 for item in dataset.items(split)]
        self._level = level
        self._seed = seed
        self._unreleased_bytes = 0

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._contents)

    def numbers(self, indices: NDArray[np.int64], epoch: int, limit: int | None) -> list[int]:
        """Return the number of the view of each image in an epoch; see `augment.view_number`."""
        return [
            view_number(
                self._level, limit, content=self._contents[index], seed=self._seed, epoch=epoch
            )
            for index in indices.tolist()
        ]

    def show(self, indices: NDArray[np.int64], views: Sequence[int]) -> Tensor:
        """Return views of images, given positions in the split and view numbers.

        Returns:
            Shape `(N, 3, H, W)`, uint8, channels-last in memory.
        """
        images = torch.from_numpy(self._images[indices]).permute(0, 3, 1, 2)
        for row, (index, number) in enumerate(zip(indices.tolist(), views, strict=True)):
            image = images[row]
            view = make_view(self._level, number, content=self._contents[index], seed=self._seed)
            height, width = self._sizes[index]
            shown = show_view(image, view, self._dataset.preprocess, source_size=(height, width))
            if shown is not image:
                image.copy_(shown)
        self._unreleased_bytes += images.nbytes
        if self._unreleased_bytes > _RELEASE_BYTES:
            self._unreleased_bytes = 0
            self._dataset.release()
        return images


class TrainBatches:
    """Shuffled and augmented batches of a split, the same for the same seed and epoch.

    A view depends only on the image, the view's number and the seed, so a training resumed at an
    epoch sees the same views as an uninterrupted one. An incomplete last batch is dropped in this
    epoch, unless it is the only one.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: Split = Split.TRAIN,
        *,
        batch_size: int,
        seed: int,
        level: Level,
        views: int | None = None,
        threads: int = 0,
    ) -> None:
        """Describe the batches.

        Args:
            dataset: The images.
            split: Of the dataset.
            batch_size: Images per batch.
            seed: Of order and augmentation.
            level: How much images vary.
            views: Number of views per image, shown in turn; None for a new one in every epoch.
            threads: Number of prefetching threads; with 0 the reader makes the batches, which is
                as fast if training itself keeps all cores busy. With threads, limit torch to one
                thread of its own, because one image is too little work to share.
        """
        self._source = AugmentedImages(dataset, split, level=level, seed=seed)
        self._labels = dataset.labels(split)
        self._batch_size = batch_size
        self._seed = seed
        self._views = views
        self._threads = threads

    def __len__(self) -> int:
        """Return the number of batches of every epoch."""
        return max(1, len(self._source) // self._batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, counted from 0."""
        order = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([self._seed, epoch]))
        ).permutation(len(self._source))
        size = self._batch_size
        chosen = [order[start : start + size] for start in range(0, len(self) * size, size)]

        def make(indices: NDArray[np.int64]) -> Batch:
            views = self._source.numbers(indices, epoch, self._views)
            return _batch(self._source.show(indices, views), self._labels, indices, views)

        with pool_of(self._threads) as pool:
            yield from prefetched(make, chosen, pool, depth=self._threads)


def eval_batches(dataset: Dataset, split: Split, *, batch_size: int) -> Iterator[Batch]:
    """Yield all images of a split in order, unchanged; the last batch may be smaller."""
    source = AugmentedImages(dataset, split, level=Level.NONE, seed=0)
    labels = dataset.labels(split)
    for start in range(0, len(source), batch_size):
        indices = np.arange(start, min(start + batch_size, len(source)))
        views = [0] * len(indices)
        yield _batch(source.show(indices, views), labels, indices, views)


def _batch(
    images: Tensor, labels: NDArray[np.int64], indices: NDArray[np.int64], views: Sequence[int]
) -> Batch:
    return Batch(
        images,
        torch.from_numpy(labels[indices]),
        torch.from_numpy(indices.copy()),
        torch.tensor(views, dtype=torch.int64),
    )
