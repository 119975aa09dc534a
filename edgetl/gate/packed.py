"""Predictions for the test images as text, for a file that is kept in git and may be edited.

Letters: N images, K classes, D detections.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from edgetl.config.table import Table
from edgetl.errors import ConfigError, Problem
from edgetl.evaluation import Predictions
from edgetl.gate.bundle import Images
from edgetl.types import Split

if TYPE_CHECKING:  # the command line must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

_WHERE = "accuracy.predictions"
_LOGITS, _OFFSETS, _LABELS = "logits", "offsets", "labels"


class PackedArray(Table):
    """An array as text: its bytes, deflated, in base 64."""

    dtype: str
    shape: tuple[int, ...]
    data: str


def pack(predictions: Predictions) -> dict[str, PackedArray]:
    """Return `predictions` as text; of logits only the position of the largest is kept."""
    import numpy as np

    packed = {}
    for name, values in predictions.items():
        array = np.ascontiguousarray(values)
        if name == _LOGITS:
            array = np.zeros(values.shape, np.uint8)
            array[np.arange(len(values)), values.argmax(axis=1)] = 1
        data = base64.b64encode(zlib.compress(array.tobytes(), 9)).decode("ascii")
        packed[name] = PackedArray(dtype=array.dtype.str, shape=array.shape, data=data)
    return packed


def unpack(
    packed: Mapping[str, PackedArray], images: Images, *, source: str, remedy: str
) -> Predictions:
    """Return the predictions that `pack` packed, logits as one-hot rows.

    Args:
        packed: Predictions for the test images of `images`.
        images: The expected names, dtypes and shapes come from their number and predictions.
        source: Name of the file in messages.
        remedy: For messages.

    Raises:
        ConfigError: If these cannot be predictions for the images: an array is missing, damaged, or
            of another dtype or length.
    """
    if set(packed) != set(images.predictions):
        names, expected = ", ".join(packed) or "nothing", ", ".join(images.predictions)
        problems = [Problem(_WHERE, f"has {names}; the predictions of this model are {expected}")]
        raise ConfigError(source, problems, remedy=remedy)
    predictions: dict[str, NDArray[np.generic]] = {}
    problems = []
    for name, each in packed.items():
        kind = "|u1" if name == _LOGITS else images.predictions[name].dtype.str
        try:
            predictions[name] = _array(each, kind)
        except (ValueError, zlib.error) as error:
            problems.append(Problem(f"{_WHERE}.{name}", f"is damaged: {error}"))
    if not problems:
        problems = [
            Problem(f"{_WHERE}.{name}", what) for name, what in _misfits(predictions, images)
        ]
    if problems:
        raise ConfigError(source, problems, remedy=remedy)
    return predictions


def _array(packed: PackedArray, kind: str) -> NDArray[np.generic]:
    import numpy as np

    if packed.dtype != kind:
        raise ValueError(f"its dtype is '{packed.dtype}', not '{kind}'")
    data = zlib.decompress(base64.b64decode(packed.data, validate=True))
    array: NDArray[np.generic] = np.frombuffer(data, np.dtype(kind))
    # A negative length would be inferred from the others.
    if min(packed.shape, default=0) < 0 or math.prod(packed.shape) != array.size:
        raise ValueError(f"{array.size} numbers do not have the shape {list(packed.shape)}")
    return array.reshape(packed.shape)


def _misfits(predictions: Predictions, images: Images) -> Iterator[tuple[str, str]]:
    """Yield the name of each array that cannot be predictions for the images, and why."""
    import numpy as np

    num_images = len(images.dataset.items(Split.TEST))
    num_classes = len(images.dataset.classes)
    offsets = predictions.get(_OFFSETS)
    if offsets is not None:
        if offsets.shape != (num_images + 1,):
            yield _OFFSETS, f"is for {len(offsets) - 1} images, but there are {num_images}"
            return
        if offsets[0] != 0 or (np.diff(offsets) < 0).any():
            yield _OFFSETS, "does not count up from 0"
            return
    rows = num_images if offsets is None else int(offsets[-1])
    for name, array in predictions.items():
        if name == _OFFSETS:
            continue
        wanted = (rows, *images.predictions[name].shape[1:])
        if array.shape != wanted:
            yield name, f"has the shape {list(array.shape)}, but should have {list(wanted)}"
        elif array.dtype.kind == "f" and not np.isfinite(array).all():
            yield name, "has values that are not finite"
        elif name == _LOGITS and not ((array.max(axis=1) == 1) & (array.sum(axis=1) == 1)).all():
            yield name, "does not choose one class for every image"
        elif name == _LABELS and ((array < 0) | (array >= num_classes)).any():
            yield name, f"has a class that is not one of the {num_classes}"
