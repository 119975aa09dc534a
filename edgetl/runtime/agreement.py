"""Whether two outputs of a detector give the same detections.

Letters: G images, M locations, K classes, D and E detections.

Two detections match if they have the same class and overlap by `SAME_IOU`, or if their boxes differ
by no more than the tolerance of single boxes: one step of an 8-bit box is large compared with a
small object. An object whose score is so close to the threshold that the allowed difference may
move it across does not count as lost.

How many objects may differ: one in a hundred for fp32 files, where non-maximum suppression has to
choose between two candidates that are almost equal; one in ten, but at least one, for the other
files, whose outputs may differ by a step.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetl.runtime.detections import Detections, NmsSettings, non_maximum_suppression, overlaps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgetl.runtime.contract import Contract

SAME_IOU = 0.9

_FLOAT_SHARE = 0.01
_STEP_SHARE = 0.1


@dataclass(frozen=True)
class Tally:
    """How many objects were compared, and how many of them only one side has."""

    total: int
    lost: int


@dataclass(frozen=True)
class Comparison:
    """How detections of the same images are compared.

    Attributes:
        nms: Settings of non-maximum suppression.
        score_slack: By how much scores may differ.
        box_slack: By how much coordinates may differ, in 0..1 of the input.
        precision: Of the file, from its contract.
    """

    nms: NmsSettings
    score_slack: float
    box_slack: float
    precision: str

    @classmethod
    def of(cls, contract: Contract, allowed: Mapping[str, float]) -> Comparison:
        """Return the comparison for a detector's `contract`.

        Args:
            contract: With NMS settings.
            allowed: By how much `scores` and `boxes` may differ.

        Raises:
            ValueError: If the contract is no detector's.
        """
        if contract.nms is None:
            raise ValueError(f"the task is {contract.task}; it has no detections")
        return cls(contract.nms, allowed["scores"], allowed["boxes"], contract.precision)

    def tolerance(self, total: int) -> int:
        """Return how many of `total` objects may differ."""
        if self.precision == "fp32":
            return int(_FLOAT_SHARE * total)
        return max(1, int(_STEP_SHARE * total))

    def count(
        self,
        expected: Mapping[str, NDArray[np.float32]],
        outputs: Mapping[str, NDArray[np.float32]],
    ) -> Tally:
        """Return how many objects are in `expected`, and how many are in one of the two only.

        Args:
            expected: ``boxes`` `(G, M, 4)` in 0..1 of the input and ``scores`` `(G, M, K)`.
            outputs: The same of another run.
        """
        total = lost = 0
        for i in range(len(expected["boxes"])):
            first = expected["boxes"][i], expected["scores"][i]
            second = outputs["boxes"][i], outputs["scores"][i]
            total += len(non_maximum_suppression(*first, self.nms))
            lost += self._missing(first, second) + self._missing(second, first)
        return Tally(total, lost)

    def _missing(
        self,
        wanted: tuple[NDArray[np.float32], NDArray[np.float32]],
        among: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> int:
        """Return how many clear objects of `wanted` have no match in `among`."""
        # Twice as many, so that the last object within `max_detections` is still included.
        generous = dataclasses.replace(
            self.nms,
            score_threshold=max(0.0, self.nms.score_threshold - self.score_slack),
            max_detections=2 * self.nms.max_detections,
        )
        objects, others = (
            non_maximum_suppression(*wanted, self.nms),
            non_maximum_suppression(*among, generous),
        )
        clear = objects.scores >= self.nms.score_threshold + self.score_slack
        agree = self._same(objects, others)
        free = np.ones(len(others), bool)
        missing = 0
        for position in np.flatnonzero(clear):
            partners = np.flatnonzero(agree[position] & free)
            if len(partners):
                free[partners[0]] = False
            else:
                missing += 1
        return missing

    def _same(self, objects: Detections, others: Detections) -> NDArray[np.bool_]:
        """Return which of D objects are which of E others, `(D, E)`."""
        apart = np.abs(objects.boxes[:, np.newaxis] - others.boxes[np.newaxis]).max(axis=-1)
        alike = overlaps(objects.boxes, others.boxes) >= SAME_IOU
        one_class = objects.labels[:, np.newaxis] == others.labels[np.newaxis]
        same: NDArray[np.bool_] = one_class & (alike | (apart <= self.box_slack))
        return same
