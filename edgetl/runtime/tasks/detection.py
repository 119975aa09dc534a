"""Detection: boxes with class and score, after non-maximum suppression."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgetl.runtime.detections import Detections, detect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from edgetl.runtime.contract import Contract
    from edgetl.runtime.detections import NmsSettings
    from edgetl.runtime.golden import Golden, ReplayRow
    from edgetl.runtime.tasks import Outputs

_BOXES = "boxes"
_SCORES = "scores"


def problems(contract: Contract) -> Iterator[tuple[str, str]]:
    """Yield what a detector cannot use; see `edgetl.runtime.tasks.Task`."""
    if contract.nms is None:
        yield "operating_point.nms", "is missing; a detector needs it"
    if len(contract.inputs) != 1 or not contract.images:
        yield "inputs", "must be one image; a detector's boxes lie in it"
    shapes = {output.kind: output.shape for output in contract.outputs}
    # The number of locations depends on the file, but is the same for boxes and scores.
    boxes = shapes.get(_BOXES, ())
    num_locations = max(1, boxes[1]) if len(boxes) > 1 else 1
    expected = {
        _BOXES: (1, num_locations, 4),
        _SCORES: (1, num_locations, len(contract.labels)),
    }
    if shapes != expected or len(contract.outputs) != len(expected):
        yield "outputs", f"are {shapes}; a detector has {expected}"


def predict(outputs: Outputs, contract: Contract, image_size: tuple[int, int] | None) -> Detections:
    """Return the detections on one image, in its own pixels; see `edgetl.runtime.tasks.Task`."""
    if image_size is None:
        raise ValueError("a detector needs the size of the image, in whose pixels its boxes are")
    values = {output.kind: outputs[output.name] for output in contract.outputs}
    detections = detect(
        values[_BOXES],
        values[_SCORES],
        image_size=image_size,
        preprocess=contract.image.preprocess,
        nms=_nms(contract),
    )
    if contract.class_thresholds is None:
        return detections
    return detections.at_least(contract.class_thresholds)


def with_threshold(contract: Contract, threshold: float) -> Contract:
    """Return `contract` with another threshold of all classes; see `edgetl.runtime.tasks.Task`."""
    nms = replace(_nms(contract), score_threshold=threshold)
    return replace(contract, nms=nms, class_thresholds=None)


def stored(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `values` to the nearest `golden.STORED_STEP`.

    Nearly all scores are far below it and become zero, which compresses well.
    """
    from edgetl.runtime.golden import STORED_STEP

    steps: NDArray[np.float32] = np.rint(values / np.float32(STORED_STEP))
    return steps * np.float32(STORED_STEP)


def replay_rows(
    contract: Contract, golden: Golden, outputs: Outputs, allowed: Mapping[str, float]
) -> Iterator[ReplayRow]:
    """Yield the comparisons with the recorded detections, and with those of the float model."""
    from edgetl.runtime.agreement import Comparison
    from edgetl.runtime.golden import ReplayRow

    def by_kind(values: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        return {output.kind: values[output.name] for output in contract.outputs}

    slack = {output.kind: allowed[output.name] for output in contract.outputs}
    comparison = Comparison.of(contract, slack)
    recorded = comparison.count(by_kind(golden.recorded), by_kind(outputs))
    yield ReplayRow(
        "detections",
        f"{recorded.total} recorded, missing or new",
        float(recorded.lost),
        comparison.tolerance(recorded.total),
    )
    reference = comparison.count(by_kind(golden.reference), by_kind(outputs))
    yield ReplayRow(
        "detections",
        f"{reference.total} of the float model, missing or new",
        float(reference.lost),
        None,
    )


def _nms(contract: Contract) -> NmsSettings:
    if contract.nms is None:
        raise ValueError("the contract of a detector has NMS settings")
    return contract.nms
