"""Average precision as COCO defines it, computed by pycocotools.

Letters: N images, K classes, D detections, T thresholds of overlap, R steps of recall.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetl.data.dataset import Truth

if TYPE_CHECKING:
    from edgetl.evaluation import Predictions

SIZES: Mapping[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Area of an object's box, pixels of the image. COCO takes the area of its outline instead, where
it has one, so that its own figures per size differ a little."""


@dataclass(frozen=True, slots=True)
class Matches:
    """What became of the detections of one class, best score first."""

    scores: NDArray[np.float64]
    """Shape `(D,)`, descending."""
    images: NDArray[np.int64]
    """Shape `(D,)`: which image each was found on."""
    hits: NDArray[np.bool_]
    """Shape `(T, D)`: whether it meets an object that no better detection met."""
    ignored: NDArray[np.bool_]
    """Shape `(T, D)`: whether it meets a crowd and so is neither hit nor false."""
    objects: NDArray[np.int64]
    """Shape `(N,)`: how many there are to be found on each image, crowds not counted."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The answers of a split, matched with the truth."""

    precision: NDArray[np.float64]
    """Shape `(T, R, K, sizes)`, envelope of the precision; -1 where there is no object."""
    recall: NDArray[np.float64]
    """Shape `(T, K, sizes)`, of all detections; -1 where there is no object."""
    matches: tuple[Matches, ...]
    """One per class, of objects of every size."""


def evaluate(
    predictions: Predictions,
    truths: Sequence[Truth],
    num_classes: int,
    *,
    sizes: Sequence[str] = ("all",),
) -> Evaluated:
    """Match the detections of each image with its objects and count.

    Args:
        predictions: Of all the images of `truths`.
        truths: One per image.
        num_classes: K.
        sizes: Of `SIZES`, "all" first.
    """
    from pycocotools.cocoeval import COCOeval

    known, found = _known(truths, num_classes), _found(predictions, num_classes)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints what it does
        counted = COCOeval(_coco(known), _coco(found), iouType="bbox")
        counted.params.areaRng = [list(SIZES[size]) for size in sizes]
        counted.params.areaRngLbl = list(sizes)
        # How many there may be was decided when they were collected.
        counted.params.maxDets = [max(1, len(predictions["scores"]))]
        counted.evaluate()
        counted.accumulate()
    num_images = len(truths)
    return Evaluated(
        precision=counted.eval["precision"][..., 0],
        recall=counted.eval["recall"][..., 0],
        matches=tuple(
            _matches(
                # In the order class, size, image; None where there is neither box nor detection.
                counted.evalImgs[k * len(sizes) * num_images :][:num_images],
                len(counted.params.iouThrs),
            )
            for k in range(num_classes)
        ),
    )


def _matches(images: Sequence[dict[str, Any] | None], num_thresholds: int) -> Matches:
    seen = [(i, image) for i, image in enumerate(images) if image is not None]
    objects = np.zeros(len(images), np.int64)
    for i, image in seen:
        objects[i] = int((image["gtIgnore"] == 0).sum())
    scores = np.array([score for _, image in seen for score in image["dtScores"]], np.float64)
    where = [i for i, image in seen for _ in image["dtScores"]]
    empty = np.zeros((num_thresholds, 0))
    met = np.concatenate([empty, *(image["dtMatches"] for _, image in seen)], axis=1) > 0
    ignored = np.concatenate([empty, *(image["dtIgnore"] for _, image in seen)], axis=1) > 0
    order = np.argsort(-scores, kind="stable")
    return Matches(
        scores=scores[order],
        images=np.array(where, np.int64)[order],
        hits=(met & ~ignored)[:, order],
        ignored=ignored[:, order],
        objects=objects,
    )


def _coco(dataset: Mapping[str, Any]) -> Any:  # noqa: ANN401 - pycocotools has no types
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def _known(truths: Sequence[Truth], num_classes: int) -> dict[str, Any]:
    boxes = [
        (i, box, label, crowd)
        for i, truth in enumerate(truths)
        for box, label, crowd in zip(truth.boxes, truth.labels, truth.crowd, strict=True)
    ]
    return {
        "images": [{"id": i} for i in range(len(truths))],
        "categories": [{"id": k} for k in range(num_classes)],
        "annotations": [
            # Ids start at 1: pycocotools takes 0 for "not matched".
            {"id": 1 + j, "image_id": i, "category_id": int(label), **_box(box), "iscrowd": int(c)}
            for j, (i, box, label, c) in enumerate(boxes)
        ],
    }


def _found(predictions: Predictions, num_classes: int) -> dict[str, Any]:
    offsets = predictions["offsets"]
    images = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    rows = zip(
        images, predictions["boxes"], predictions["scores"], predictions["labels"], strict=True
    )
    return {
        "images": [{"id": i} for i in range(len(offsets) - 1)],
        "categories": [{"id": k} for k in range(num_classes)],
        "annotations": [
            {"id": 1 + j, "image_id": int(i), "category_id": int(k), **_box(box), "score": float(s)}
            for j, (i, box, s, k) in enumerate(rows)
        ],
    }


def _box(corners: NDArray[np.float32]) -> dict[str, Any]:
    left, top, right, bottom = (float(value) for value in corners)
    width, height = right - left, bottom - top
    return {"bbox": [left, top, width, height], "area": width * height}
