"""Batches of photos with boxes for training detectors, straight from the memory-mapped photos.

Mosaics read photos that are already decoded and fitted to the input, so four of them cost no JPEG.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from edgetl.data.ahead import made_ahead, pool_of
from edgetl.data.boxes_augment import (
    MIN_SIDE,
    NUM_DRAWS,
    Placed,
    Rectangle,
    Scene,
    Variation,
    change,
    keep_seen,
    move,
)
from edgetl.data.dataset import Dataset, Truth
from edgetl.runtime.preprocess import Preprocess, place
from edgetl.types import Split

NO_BOX = -1
"""Label of the rows that fill up photos with fewer boxes than others of their batch."""

_RELEASE_BYTES = 64 << 20
"""Photos read before their mapped pages are given back."""
_DRAWS_PER_PHOTO = 3


@dataclass(frozen=True, slots=True)
class BoxBatch:
    """Some photos with their boxes."""

    images: NDArray[np.uint8]
    """Shape `(N, H, W, 3)`, RGB."""
    boxes: NDArray[np.float32]
    """Shape `(N, T, 4)`, xyxy, pixels of the input; T is that of the photo with most boxes."""
    labels: NDArray[np.int64]
    """Shape `(N, T)`; `NO_BOX` where a photo has no more boxes."""
    closing: bool
    """Whether this is one of the last epochs, without mosaic and mixup."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """How many of some boxes no training sees, however the photos are varied; without crowds."""

    total: int
    """With those that are seen."""
    too_small: int
    """A side of them is shorter than `MIN_SIDE` pixels of the input."""
    cropped: int
    """Large enough, but too much of them lies outside of the input."""


def count_unseen(
    truths: Sequence[Truth], sizes: Sequence[tuple[int, int]], preprocess: Preprocess
) -> Unseen:
    """Count what is lost when photos are fitted to the input.

    Args:
        truths: The boxes of each photo.
        sizes: Height and width of each photo, pixels.
        preprocess: How they are fitted.
    """
    total = too_small = seen = 0
    for truth, (height, width) in zip(truths, sizes, strict=True):
        fitted, around = _fitted(truth, height, width, preprocess)
        kept, _ = keep_seen(fitted, truth.labels[~truth.crowd], around)
        total, seen = total + len(fitted), seen + len(kept)
        too_small += int((fitted[:, 2:] - fitted[:, :2] < MIN_SIDE).any(axis=1).sum())
    if preprocess.fit != "crop":
        too_small = total - seen  # also those of which the rounding of the border takes a part
    return Unseen(total, too_small, total - seen - too_small)


def _fitted(
    truth: Truth, height: int, width: int, preprocess: Preprocess
) -> tuple[NDArray[np.float32], Rectangle]:
    """Return the boxes of a photo, without crowds, and its borders, in pixels of the input."""
    placement = place(height, width, preprocess)
    corners = placement.to_input(np.array([[0.0, 0.0, width, height]]))[0]
    left, top = (max(0, round(float(value))) for value in corners[:2])
    right = min(preprocess.width, round(float(corners[2])))
    bottom = min(preprocess.height, round(float(corners[3])))
    fitted = placement.to_input(truth.boxes[~truth.crowd]).astype(np.float32)
    return fitted, (left, top, right, bottom)


class PlacedPhotos:
    """The fitted photos of a split without their padding, with boxes in pixels of the photo."""

    def __init__(self, dataset: Dataset, split: Split) -> None:
        self._dataset = dataset
        self._images = dataset.images(split)
        self._truths = dataset.truths(split)
        self._sizes = dataset.photo_sizes(split).tolist()
        self._unreleased_bytes = 0

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self._truths)

    def __getitem__(self, index: int) -> Placed:
        """Return a photo; its pixels are a view of the mapping. Boxes of crowds are left out."""
        height, width = self._sizes[index]
        truth = self._truths[index]
        fitted, around = _fitted(truth, height, width, self._dataset.preprocess)
        left, top, right, bottom = around
        boxes, labels = keep_seen(fitted, truth.labels[~truth.crowd], around)
        pixels = self._images[index, top:bottom, left:right]
        self._unreleased_bytes += pixels.nbytes
        moved = boxes - np.array([left, top, left, top], np.float32)
        return Placed(Scene(pixels, moved, labels), left, top)

    def release(self) -> None:
        """Give mapped pages back once many were read."""
        if self._unreleased_bytes > _RELEASE_BYTES:
            self._unreleased_bytes = 0
            self._dataset.release()


class BoxBatches:
    """Shuffled and augmented batches of a split, the same for the same seed and epoch.

    A sample depends on seed, epoch and the position of its photo alone, not on the batch size or
    the number of threads. The photos that do not fill a last batch sit out this epoch, unless they
    would be all there are. Photos without boxes take part.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: Split = Split.TRAIN,
        *,
        batch_size: int,
        seed: int,
        variation: Variation,
        closes_at: int | None = None,
        threads: int = 0,
    ) -> None:
        """Describe the batches.

        Args:
            dataset: The photos.
            split: Which of them.
            batch_size: Photos a batch.
            seed: Of order and changes.
            variation: How much photos vary.
            closes_at: First epoch without mosaic and mixup; None has none.
            threads: That make samples ahead of the reader; with 0 the reader makes them.
        """
        self._photos = PlacedPhotos(dataset, split)
        self._batch_size = batch_size
        self._seed = seed
        self._variation = variation
        self._closes_at = closes_at
        self._threads = threads
        self._size = dataset.size
        self._pad = dataset.preprocess.pad

    def __len__(self) -> int:
        """Return the number of batches of every epoch."""
        return max(1, len(self._photos) // self._batch_size)

    def epoch(self, epoch: int) -> Iterator[BoxBatch]:
        """Yield the batches of an epoch, counted from 0."""
        order = _dice(self._seed, epoch).permutation(len(self._photos))
        size = self._batch_size
        wanted = order[: len(self) * size].tolist()
        with pool_of(self._threads) as pool:
            scenes = made_ahead(partial(self._sample, epoch), wanted, pool, ahead=size)
            while batch := list(islice(scenes, size)):
                yield self._batch(batch, epoch)

    def _sample(self, epoch: int, index: int) -> Scene:
        # The leading 1 keeps these streams apart from the one of the order.
        dice = _dice(1, self._seed, epoch, index)
        variation = self._variation
        if self._closes(epoch):
            variation = replace(variation, mosaic=0.0, mixup=0.0)
        others = dice.integers(len(self._photos), size=variation.num_partners).tolist()
        draws = dice.random(NUM_DRAWS + _DRAWS_PER_PHOTO * (1 + len(others)))
        return change(
            self._photos[index],
            [self._photos[other] for other in others],
            variation,
            draws,
            size=self._size,
            pad=self._pad,
        )

    def _batch(self, scenes: Sequence[Scene], epoch: int) -> BoxBatch:
        self._photos.release()
        return _stacked(scenes, closing=self._closes(epoch))

    def _closes(self, epoch: int) -> bool:
        return self._closes_at is not None and epoch >= self._closes_at


def plain_batches(
    dataset: Dataset, split: Split, *, batch_size: int
) -> Iterator[tuple[int, BoxBatch]]:
    """Yield all photos of a split in order, unchanged, with the position of each batch's first."""
    photos = PlacedPhotos(dataset, split)
    size, pad = dataset.size, dataset.preprocess.pad
    for start in range(0, len(photos), batch_size):
        rows = range(start, min(start + batch_size, len(photos)))
        scenes = [
            move(photos[row], Variation(), np.zeros(_DRAWS_PER_PHOTO), size=size, pad=pad)
            for row in rows
        ]
        yield start, _stacked(scenes, closing=False)
        photos.release()


def _stacked(scenes: Sequence[Scene], *, closing: bool) -> BoxBatch:
    most = max(len(scene.labels) for scene in scenes)
    boxes = np.zeros((len(scenes), most, 4), np.float32)
    labels = np.full((len(scenes), most), NO_BOX, np.int64)
    for row, scene in enumerate(scenes):
        boxes[row, : len(scene.labels)] = scene.boxes
        labels[row, : len(scene.labels)] = scene.labels
    return BoxBatch(np.stack([scene.pixels for scene in scenes]), boxes, labels, closing)


def _dice(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
