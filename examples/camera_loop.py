"""A device program: predict on every frame of a camera.

Needs `edgetl-runtime` with one engine, or a start in the folder of a bundle; Python 3.9 or newer.
Run: python camera_loop.py BUNDLE
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from edgetl.runtime import Predictor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


def frames(count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield RGB images of shape (240, 320, 3), in place of a camera; see docs/device.md."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield rng.integers(0, 256, (240, 320, 3), np.uint8)


def main(bundle: str) -> None:
    """Open the model once, then predict frame by frame."""
    predictor = Predictor.open(bundle, threads=1)
    labels = predictor.contract.labels
    for number, frame in enumerate(frames(3)):
        prediction = predictor.predict_array(frame)  # with order="bgr" for frames of OpenCV
        print(number, prediction.lines(labels, None))


if __name__ == "__main__":
    main(sys.argv[1])
