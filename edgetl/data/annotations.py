"""The sizes of a dataset's images and the boxes on them, in one table.

Letters: N images, M boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgetl.data.dataset import Truth


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """The sizes and boxes of the images of a dataset, in the order of its files."""

    sizes: NDArray[np.int32]
    """Shape `(N, 2)`, height and width of the upright images, pixels."""
    offsets: NDArray[np.int64]
    """Shape `(N + 1,)`: image `n` has the boxes `offsets[n]` up to `offsets[n + 1]`."""
    boxes: NDArray[np.float32]
    """Shape `(M, 4)`, xyxy, pixels of the upright image."""
    labels: NDArray[np.int64]
    """Shape `(M,)`."""
    crowd: NDArray[np.bool_]
    """Shape `(M,)`."""

    @classmethod
    def of(cls, sizes: Sequence[tuple[int, int]], truths: Sequence[Truth]) -> Self:
        """Return the table of images with these sizes and labels."""
        return cls(
            sizes=np.array(sizes, np.int32).reshape(-1, 2),
            offsets=np.cumsum([0, *(len(truth.boxes) for truth in truths)], dtype=np.int64),
            boxes=np.concatenate(
                [np.empty((0, 4), np.float32), *(truth.boxes for truth in truths)]
            ).astype(np.float32),
            labels=np.concatenate([[], *(truth.labels for truth in truths)]).astype(np.int64),
            crowd=np.concatenate([[], *(truth.crowd for truth in truths)]).astype(np.bool_),
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in cls.__slots__})

    def write(self, path: Path) -> None:
        """Write the table; the same arrays give the same bytes."""
        # numpy's zip entries have no modification time.
        np.savez(path, **{name: getattr(self, name) for name in self.__slots__})

    def row(self, row: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
        """Return boxes, labels and crowds of one image."""
        part = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return self.boxes[part], self.labels[part], self.crowd[part]
