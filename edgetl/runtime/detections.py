"""From a detector's outputs to detections: score threshold and non-maximum suppression, in numpy.

Letters: M locations at which the detector predicts, K classes, D detections.

Non-maximum suppression (NMS) is greedy and exact. Candidates are visited best first; ties, which
are common because an 8-bit file has only 256 different scores, go to the lower location, then to
the lower class. A kept candidate drops the later ones of its group whose intersection over union
with it is above `iou`. Boxes without area overlap with nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetl.runtime.preprocess import place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgetl.runtime.preprocess import Preprocess

MODES = ("class-aware", "per-class", "class-agnostic")

MAX_CANDIDATES = 3000
"""NMS reads only this many of the best candidates, so that with a threshold near zero it does not
take longer than the network. Only noise is lost: a COCO detector with a threshold of 0.001 has the
same mAP, to four decimals, with ten times as many."""


@dataclass(frozen=True)
class NmsSettings:
    """Settings of non-maximum suppression (NMS): which candidates become detections.

    Attributes:
        score_threshold: A candidate has at least this score, in 0..1.
        iou: Two detections of one group overlap by at most this intersection over union, in 0..1.
        max_detections: At most this many detections are kept after NMS, the best ones.
        mode: `class-aware`: each location is a candidate for its best class, and NMS runs per
            class. `per-class`: each location is a candidate for every class, and NMS runs per
            class. `class-agnostic`: each location is a candidate for its best class, and NMS runs
            over all classes together.
    """

    score_threshold: float
    iou: float
    max_detections: int
    mode: str

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"unknown mode '{self.mode}'; known: {', '.join(MODES)}")
        if not 0 <= self.score_threshold <= 1 or not 0 <= self.iou <= 1 or self.max_detections < 1:
            raise ValueError(
                f"score_threshold {self.score_threshold}, iou {self.iou}, "
                f"max_detections {self.max_detections}: "
                "needs a score_threshold and an iou in 0...1 and max_detections from 1"
            )


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects on one image, best first."""

    boxes: NDArray[np.float32]
    """Shape `(D, 4)`, xyxy."""
    scores: NDArray[np.float32]
    """Shape `(D,)`, descending."""
    labels: NDArray[np.int64]
    """Shape `(D,)`, indices of classes."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.scores)

    def at_least(self, thresholds: Sequence[float]) -> Detections:
        """Return those whose score reaches the threshold of their class.

        After non-maximum suppression, so that they are the best of those at a lower threshold.
        """
        kept = self.scores >= np.asarray(thresholds, np.float64)[self.labels]
        return Detections(self.boxes[kept], self.scores[kept], self.labels[kept])

    def lines(self, labels: Sequence[str], top: int | None) -> list[str]:
        """Return a line per detection, or one line if there are none; see `tasks.Prediction`."""
        lines = [
            f"{labels[label]} {score:.4f} at {' '.join(f'{value:.1f}' for value in box)}"
            for label, score, box in self._best(top)
        ]
        return lines or ["no detections"]

    def row(self, labels: Sequence[str], top: int | None) -> dict[str, object]:
        """Return the same as plain JSON."""
        objects = [
            {"label": labels[label], "score": score, "box": box}
            for label, score, box in self._best(top)
        ]
        return {"objects": objects}

    def draw(
        self, image: NDArray[np.uint8], labels: Sequence[str], top: int | None
    ) -> NDArray[np.uint8]:
        """Return a copy of `image` with the detections, which are in its pixels."""
        # Here, because Pillow's drawing takes long to import.
        from edgetl.runtime.draw import draw_detections

        shown = Detections(self.boxes[:top], self.scores[:top], self.labels[:top])
        return draw_detections(image, shown, labels)

    def _best(self, top: int | None) -> Iterator[tuple[int, float, list[float]]]:
        return zip(
            self.labels[:top].tolist(), self.scores[:top].tolist(), self.boxes[:top].tolist()
        )


def non_maximum_suppression(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], nms: NmsSettings
) -> Detections:
    """Return the detections among the predictions at all locations.

    Args:
        boxes: Shape `(M, 4)`, xyxy, in any unit; finite.
        scores: Shape `(M, K)`, in 0..1; finite.
        nms: Settings of non-maximum suppression.

    Returns:
        At most ``nms.max_detections`` detections, boxes in the unit of `boxes`.

    Raises:
        ValueError: If the shapes do not match.
    """
    if boxes.ndim != 2 or scores.ndim != 2 or boxes.shape != (len(scores), 4):  # noqa: PLR2004
        raise ValueError(f"boxes {boxes.shape} and scores {scores.shape} are not (M, 4) and (M, K)")
    locations, labels = _candidates(scores, nms)
    values = scores[locations, labels]
    order = np.argsort(-values, kind="stable")
    locations, labels, values = locations[order], labels[order], values[order]
    groups = np.zeros_like(labels) if nms.mode == "class-agnostic" else labels
    kept = _greedy(boxes[locations].astype(np.float64), groups, nms)
    return Detections(
        boxes[locations[kept]].astype(np.float32, copy=False),
        values[kept].astype(np.float32, copy=False),
        labels[kept].astype(np.int64, copy=False),
    )


def detect(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    *,
    image_size: tuple[int, int],
    preprocess: Preprocess,
    nms: NmsSettings,
) -> Detections:
    """Return the detections on one image, in its own pixels.

    Args:
        boxes: Shape `(M, 4)`, xyxy in 0..1 of the network's input; finite.
        scores: Shape `(M, K)`, in 0..1; finite.
        image_size: Height and width of the image before it was fitted.
        preprocess: How the image was fitted.
        nms: Settings of non-maximum suppression.

    Returns:
        Boxes clipped to the image. Those in the border around it, or without area, are dropped.

    Raises:
        ValueError: If the shapes do not match.
    """
    height, width = image_size
    kept = non_maximum_suppression(boxes, scores, nms)
    in_input = kept.boxes * np.array([preprocess.width, preprocess.height] * 2, np.float32)
    in_image = place(height, width, preprocess).to_image(in_input)
    clipped = np.clip(in_image, 0, np.array([width, height] * 2, np.float32))
    seen = (clipped[:, 0] < clipped[:, 2]) & (clipped[:, 1] < clipped[:, 3])
    return Detections(clipped[seen], kept.scores[seen], kept.labels[seen])


def overlaps(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the intersection over union, shape `(A, B)`, of boxes `(A, 4)` and `(B, 4)`, xyxy."""
    one, two = first.astype(np.float64)[:, None], second.astype(np.float64)[None]
    sides = np.minimum(one[..., 2:], two[..., 2:]) - np.maximum(one[..., :2], two[..., :2])
    shared: NDArray[np.float64] = sides.clip(min=0.0).prod(axis=-1)
    union = _areas(one) + _areas(two) - shared
    np.divide(shared, union, out=shared, where=union > 0)
    return shared


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (boxes[..., 2:] - boxes[..., :2]).clip(min=0.0).prod(axis=-1)
    return areas


def _candidates(
    scores: NDArray[np.float32], nms: NmsSettings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return locations and classes of the best candidates, ordered by location, then class."""
    if not scores.size:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing
    # Most locations are below the threshold; their best class is not needed.
    best = scores.max(axis=1)
    locations = np.flatnonzero(best >= nms.score_threshold)
    if nms.mode == "per-class":
        every = scores[locations].ravel()
        enough = np.flatnonzero(every >= nms.score_threshold)
        places, labels = np.divmod(enough[_best(every[enough])], scores.shape[1])
        return locations[places], labels
    locations = locations[_best(best[locations])]
    return locations, scores[locations].argmax(axis=1)


def _best(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the indices of the `MAX_CANDIDATES` best scores, ascending; ties: lower index."""
    excess = len(scores) - MAX_CANDIDATES
    if excess <= 0:
        return np.arange(len(scores))
    last = np.partition(scores, excess)[excess]
    above = scores > last
    ties = np.flatnonzero(scores == last)[: MAX_CANDIDATES - int(above.sum())]
    above[ties] = True
    return np.flatnonzero(above)


def _greedy(boxes: NDArray[np.float64], groups: NDArray[np.int64], nms: NmsSettings) -> list[int]:
    """Return the indices of the kept boxes; `boxes` are ordered best first.

    In float64, where products of float32 sides are exact, so that all processors agree.
    """
    # Sorted by group, so that the boxes that one box can drop are one slice.
    order = np.argsort(groups, kind="stable")
    upper_left, lower_right = boxes[order, :2].T.copy(), boxes[order, 2:].T.copy()
    areas = _areas(boxes[order])
    ends = np.searchsorted(groups[order], groups, side="right").tolist()
    positions = np.argsort(order).tolist()
    dropped = np.zeros(len(boxes), bool)
    kept: list[int] = []
    for place_of_box, (position, end) in enumerate(zip(positions, ends)):
        if dropped[position]:
            continue
        kept.append(place_of_box)
        if len(kept) == nms.max_detections:
            break
        later = slice(position + 1, end)
        sides = np.minimum(lower_right[:, later], lower_right[:, position, None])
        sides -= np.maximum(upper_left[:, later], upper_left[:, position, None])
        np.maximum(sides, 0, out=sides)
        shared = sides[0] * sides[1]
        union = areas[later] + areas[position] - shared
        dropped[later] |= shared > nms.iou * union
    return kept
