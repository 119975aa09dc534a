"""Average precision as COCO defines it, computed by pycocotools.

Letters: N images, K classes, D detections, T IoU thresholds, R recall thresholds.
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
"""Range of the area of an object's box, pixels of the image. COCO itself uses the area of the
segmentation, if there is one, so its figures per size differ slightly."""


@dataclass(frozen=True, slots=True)
class Matches:
    """The detections of one class, matched with objects, in descending order of score."""

    scores: NDArray[np.float64]
    """Shape `(D,)`, descending."""
    images: NDArray[np.int64]
    """Shape `(D,)`: index of the image of each detection."""
    hits: NDArray[np.bool_]
    """Shape `(T, D)`: whether it matches an object that no better detection matched."""
    ignored: NDArray[np.bool_]
    """Shape `(T, D)`: whether it matches a crowd and so is neither a true nor a false positive."""
    objects: NDArray[np.int64]
    """Shape `(N,)`: number of objects in each image, without crowds."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The predictions for a split, matched with the ground truth."""

    precision: NDArray[np.float64]
    """Shape `(T, R, K, sizes)`, interpolated precision; -1 without objects."""
    recall: NDArray[np.float64]
    """Shape `(T, K, sizes)`, of all detections; -1 without objects."""
    matches: tuple[Matches, ...]
    """One per class, over objects of all sizes."""


def evaluate(
    predictions: Predictions,
    truths: Sequence[Truth],
    num_classes: int,
    *,
    sizes: Sequence[str] = ("all",),
) -> Evaluated:
    """Match the detections of each image with its objects and compute precision and recall.

    Args:
        predictions: Predictions for all images of `truths`.
        truths: Ground truth, one per image.
        num_classes: K.
        sizes: Keys of `SIZES`, "all" first.
    """
    from pycocotools.cocoeval import COCOeval

    known, detected = _ground_truth(truths, num_classes), _detections(predictions, num_classes)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        counted = COCOeval(_coco(known), _coco(detected), iouType="bbox")
        counted.params.areaRng = [list(SIZES[size]) for size in sizes]
        counted.params.areaRngLbl = list(sizes)
        # The number of detections was already limited when they were collected.
        counted.params.maxDets = [max(1, len(predictions["scores"]))]
        counted.evaluate()
        counted.accumulate()
    num_images = len(truths)
    return Evaluated(
        precision=counted.eval["precision"][..., 0],
        recall=counted.eval["recall"][..., 0],
        matches=tuple(
            _matches(
                # Ordered by class, size, image; None without objects and detections.
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


def _ground_truth(truths: Sequence[Truth], num_classes: int) -> dict[str, Any]:
    boxes = [
        (i, box, label, crowd)
        for i, truth in enumerate(truths)
        for box, label, crowd in zip(truth.boxes, truth.labels, truth.crowd, strict=True)
    ]
    return {
        "images": [{"id": i} for i in range(len(truths))],
        "categories": [{"id": k} for k in range(num_classes)],
        "annotations": [
            # Ids start at 1: 0 means "not matched" in pycocotools.
            {"id": 1 + j, "image_id": i, "category_id": int(label), **_box(box), "iscrowd": int(c)}
            for j, (i, box, label, c) in enumerate(boxes)
        ],
    }


def _detections(predictions: Predictions, num_classes: int) -> dict[str, Any]:
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
