"""Batches of images with boxes for training detectors, straight from the memory-mapped images.

Mosaics read images that are already decoded and fitted to the input, so four of them cost no JPEG.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

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
from edgetl.data.prefetch import pool_of, prefetched
from edgetl.runtime.preprocess import Preprocess, place
from edgetl.types import Split

NO_BOX = -1
"""Label of the padding rows of images with fewer boxes than others in their batch."""

_RELEASE_BYTES = 64 << 20
"""Images read before their mapped pages are released."""
_DRAWS_PER_IMAGE = 3


@dataclass(frozen=True, slots=True)
class BoxBatch:
    """Some images with their boxes."""

    images: NDArray[np.uint8]
    """Shape `(N, H, W, 3)`, RGB."""
    boxes: NDArray[np.float32]
    """Shape `(N, T, 4)`, xyxy, pixels of the input; T is that of the image with most boxes."""
    labels: NDArray[np.int64]
    """Shape `(N, T)`; `NO_BOX` where an image has no more boxes."""
    no_aug: bool
    """Whether this is one of the last epochs, without mosaic and mixup."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """Numbers of boxes that training cannot see, whatever the augmentation; without crowds."""

    total: int
    """All boxes, including those that are seen."""
    too_small: int
    """Boxes with a side shorter than `MIN_SIDE` pixels of the input."""
    cropped: int
    """Boxes that are large enough, but lie too far outside of the input."""


def count_unseen(
    truths: Sequence[Truth], sizes: Sequence[tuple[int, int]], preprocess: Preprocess
) -> Unseen:
    """Count the boxes that are lost when images are fitted to the input.

    Args:
        truths: The boxes of each image.
        sizes: Height and width of each image, pixels.
        preprocess: How they are fitted.
    """
    total = too_small = seen = 0
    for truth, (height, width) in zip(truths, sizes, strict=True):
        fitted, around = _fitted(truth, height, width, preprocess)
        kept, _ = keep_seen(fitted, truth.labels[~truth.crowd], around)
        total, seen = total + len(fitted), seen + len(kept)
        too_small += int((fitted[:, 2:] - fitted[:, :2] < MIN_SIDE).any(axis=1).sum())
    if preprocess.fit != "crop":
        too_small = total - seen  # including those clipped by the rounded border
    return Unseen(total, too_small, total - seen - too_small)


def _fitted(
    truth: Truth, height: int, width: int, preprocess: Preprocess
) -> tuple[NDArray[np.float32], Rectangle]:
    """Return the boxes of an image, without crowds, and its borders, in pixels of the input."""
    placement = place(height, width, preprocess)
    corners = placement.to_input(np.array([[0.0, 0.0, width, height]]))[0]
    left, top = (max(0, round(float(value))) for value in corners[:2])
    right = min(preprocess.width, round(float(corners[2])))
    bottom = min(preprocess.height, round(float(corners[3])))
    fitted = placement.to_input(truth.boxes[~truth.crowd]).astype(np.float32)
    return fitted, (left, top, right, bottom)


class PlacedImages:
    """The fitted images of a split without their padding, with boxes in pixels of the image."""

    def __init__(self, dataset: Dataset, split: Split) -> None:
        self._dataset = dataset
        self._images = dataset.images(split)
        self._items = dataset.items(split)
        self._truths = dataset.truths(split)
        self._sizes = dataset.image_sizes(split).tolist()
        self._unreleased_bytes = 0

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._truths)

    def __getitem__(self, index: int) -> Placed:
        """Return an image; its pixels are a view of the mapping. Boxes of crowds are omitted."""
        height, width = self._sizes[index]
        truth = self._truths[index]
        fitted, around = _fitted(truth, height, width, self._dataset.preprocess)
        left, top, right, bottom = around
        boxes, labels = keep_seen(fitted, truth.labels[~truth.crowd], around)
        pixels = self._images[index, top:bottom, left:right]
        self._unreleased_bytes += pixels.nbytes
        moved = boxes - np.array([left, top, left, top], np.float32)
        placement = place(height, width, self._dataset.preprocess)
        frame = (
            placement.left,
            placement.top,
            width * placement.scale_x,
            height * placement.scale_y,
        )
        return Placed(Scene(pixels, moved, labels), left, top, frame)

    def content(self, index: int) -> int:
        """Return the digest of an image as a number."""
        return int(self._items[index].sha256, 16)

    def release(self) -> None:
        """Release mapped pages after many were read."""
        if self._unreleased_bytes > _RELEASE_BYTES:
            self._unreleased_bytes = 0
            self._dataset.release()


class BoxBatches:
    """Shuffled and augmented batches of the training images, the same for the same seed and epoch.

    A sample is a pure function of its image, its partners in mosaic and mixup, the number of the
    view and the seed, described in fractions, so that inputs of other sizes show the same. The
    partners depend on these and on the number of images. An incomplete last batch is dropped in
    this epoch, unless it is the only one. Images without boxes are included.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        seed: int,
        variation: Variation,
        views: int | None = None,
        no_aug_from: int | None = None,
        threads: int = 0,
    ) -> None:
        """Describe the batches.

        Args:
            dataset: Its training images are shown.
            batch_size: Images per batch.
            seed: Of order and augmentation.
            variation: How much images vary.
            views: Number of views per image, shown in turn; None for a new one in every epoch.
            no_aug_from: First epoch without mosaic and mixup; None has none.
            threads: Number of prefetching threads; with 0 the reader makes the samples.
        """
        self._images = PlacedImages(dataset, Split.TRAIN)
        self._batch_size = batch_size
        self._seed = seed
        self._variation = variation
        self._views = views
        self._no_aug_from = no_aug_from
        self._threads = threads
        self._size = dataset.size
        self._pad = dataset.preprocess.pad

    def __len__(self) -> int:
        """Return the number of batches of every epoch."""
        return max(1, len(self._images) // self._batch_size)

    def epoch(self, epoch: int) -> Iterator[BoxBatch]:
        """Yield the batches of an epoch, counted from 0."""
        order = _rng(self._seed, epoch).permutation(len(self._images))
        size = self._batch_size
        wanted = order[: len(self) * size].tolist()
        with pool_of(self._threads) as pool:
            scenes = prefetched(partial(self._sample, epoch), wanted, pool, depth=size)
            while batch := list(islice(scenes, size)):
                yield self._batch(batch, epoch)

    def _sample(self, epoch: int, index: int) -> Scene:
        # The leading 1 separates these streams from that of the order.
        view = epoch if self._views is None else epoch % self._views
        rng = _rng(1, self._seed, view, self._images.content(index))
        variation = self._variation
        if self._is_no_aug(epoch):
            variation = replace(variation, mosaic=0.0, mixup=0.0)
        others = rng.integers(len(self._images), size=variation.num_partners).tolist()
        draws = rng.random(NUM_DRAWS + _DRAWS_PER_IMAGE * (1 + len(others)))
        return change(
            self._images[index],
            [self._images[other] for other in others],
            variation,
            draws,
            size=self._size,
            pad=self._pad,
        )

    def _batch(self, scenes: Sequence[Scene], epoch: int) -> BoxBatch:
        self._images.release()
        return _stacked(scenes, no_aug=self._is_no_aug(epoch))

    def _is_no_aug(self, epoch: int) -> bool:
        return self._no_aug_from is not None and epoch >= self._no_aug_from


def plain_batches(
    dataset: Dataset, split: Split, *, batch_size: int
) -> Iterator[tuple[int, BoxBatch]]:
    """Yield all images of a split in order, unchanged, with the position of each batch's start."""
    images = PlacedImages(dataset, split)
    size, pad = dataset.size, dataset.preprocess.pad
    for start in range(0, len(images), batch_size):
        rows = range(start, min(start + batch_size, len(images)))
        scenes = [
            move(images[row], Variation(), np.zeros(_DRAWS_PER_IMAGE), size=size, pad=pad)
            for row in rows
        ]
        yield start, _stacked(scenes, no_aug=False)
        images.release()


def _stacked(scenes: Sequence[Scene], *, no_aug: bool) -> BoxBatch:
    most = max(len(scene.labels) for scene in scenes)
    boxes = np.zeros((len(scenes), most, 4), np.float32)
    labels = np.full((len(scenes), most), NO_BOX, np.int64)
    for row, scene in enumerate(scenes):
        boxes[row, : len(scene.labels)] = scene.boxes
        labels[row, : len(scene.labels)] = scene.labels
    return BoxBatch(np.stack([scene.pixels for scene in scenes]), boxes, labels, no_aug)


def _rng(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
