"""Batches for training and evaluation, straight from the memory-mapped images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgetl.data.augment import Level, augment
from edgetl.data.dataset import Dataset
from edgetl.data.prefetch import pool_of, prefetched
from edgetl.types import Split

_RELEASE_BYTES = 64 << 20
"""Images read before their mapped pages are given back."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some images with their classes."""

    images: Tensor
    """Shape `(N, 3, H, W)`, uint8, RGB; channels-last in memory."""
    labels: Tensor
    """Shape `(N,)`, int64."""
    indices: Tensor
    """Shape `(N,)`, int64: positions in the split."""


class TrainBatches:
    """Shuffled and augmented batches of a split, the same for the same seed and epoch.

    An image's changes depend on seed, epoch and its position alone, not on the batch size or the
    number of threads, so a training resumed at an epoch sees what an uninterrupted one sees. The
    images that do not fill a last batch sit out this epoch, unless they would be all there are.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: Split = Split.TRAIN,
        *,
        batch_size: int,
        seed: int,
        level: Level,
        threads: int = 0,
    ) -> None:
        """Describe the batches.

        Args:
            dataset: The images.
            split: Which of them.
            batch_size: Images a batch.
            seed: Of order and changes.
            level: How much images vary.
            threads: That make batches ahead of the reader; with 0 the reader makes them, which is
                as fast where training itself keeps all cores busy. Set torch to one thread of its
                own beside them: one image is too little work to be shared out.
        """
        self._source = _Rows(dataset, split)
        self._batch_size = batch_size
        self._seed = seed
        self._level = level
        self._threads = threads
        self._pad = dataset.preprocess.pad

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
            return self._source.batch(
                indices, lambda image, index: self._change(image, epoch, index)
            )

        with pool_of(self._threads) as pool:
            yield from prefetched(make, chosen, pool, depth=self._threads)

    def _change(self, image: Tensor, epoch: int, index: int) -> Tensor:
        # The leading 1 keeps these streams apart from the one of the order.
        sequence = np.random.SeedSequence([1, self._seed, epoch, index])
        rng = np.random.Generator(np.random.PCG64(sequence))
        return augment(image, self._level, rng, pad=self._pad)


def eval_batches(dataset: Dataset, split: Split, *, batch_size: int) -> Iterator[Batch]:
    """Yield all images of a split in order, unchanged; the last batch may be smaller."""
    source = _Rows(dataset, split)
    for start in range(0, len(source), batch_size):
        stop = min(start + batch_size, len(source))
        yield source.batch(np.arange(start, stop), None)


class _Rows:
    """Reads images of one split and gives their mapped pages back in time."""

    def __init__(self, dataset: Dataset, split: Split) -> None:
        self._dataset = dataset
        self._images = dataset.images(split)
        self._labels = dataset.labels(split)
        self._unreleased_bytes = 0

    def __len__(self) -> int:
        return len(self._labels)

    def batch(
        self, indices: NDArray[np.int64], change: Callable[[Tensor, int], Tensor] | None
    ) -> Batch:
        images = torch.from_numpy(self._images[indices]).permute(0, 3, 1, 2)
        if change is not None:
            for row, index in enumerate(indices.tolist()):
                image = images[row]
                changed = change(image, index)
                if changed is not image:
                    image.copy_(changed)
        self._unreleased_bytes += images.nbytes
        if self._unreleased_bytes > _RELEASE_BYTES:
            self._unreleased_bytes = 0
            self._dataset.release()
        return Batch(
            images, torch.from_numpy(self._labels[indices]), torch.from_numpy(indices.copy())
        )
