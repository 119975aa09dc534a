"""Sampling of the images that calibrate an int8 file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgetl.config.calibration import Calibration
from edgetl.errors import DataError


def sample_calibration(labels: NDArray[np.int64], calibration: Calibration) -> NDArray[np.int64]:
    """Return positions of the calibration images, in the order of sampling.

    `random` takes the first of a seeded shuffle. `balanced` takes one of each class in turn, so
    that every prefix of the list is as balanced as possible; a class that runs out is skipped.
    The shuffle is the stable order of raw PCG64 words, the same in every version of numpy.

    Args:
        labels: Class of every image of the split, shape `(N,)`.
        calibration: Count, sampling and seed.

    Returns:
        Distinct positions in `labels`, shape `(calibration.count,)`, or of all images where the
        split has fewer and the calibration allows it.

    Raises:
        DataError: If the split has too few images.
    """
    if calibration.count > len(labels) and not calibration.allow_fewer:
        raise DataError(
            f"calibration '{calibration.name}' needs {calibration.count:,} images of the "
            f"{calibration.split} split, which has {len(labels):,}",
            remedy=f"set `count: {len(labels)}` or less in calibration/{calibration.name}.yaml",
        )
    words = np.random.PCG64(calibration.seed).random_raw(len(labels))
    shuffled = np.argsort(words, kind="stable").astype(np.int64)
    if calibration.sampling == "balanced":
        shuffled = shuffled[np.lexsort((labels[shuffled], _turns(labels[shuffled])))]
    return shuffled[: calibration.count]


def _turns(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each element how many earlier ones have its label; same shape as `labels`."""
    turns = np.empty_like(labels)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turns[members] = np.arange(len(members))
    return turns
