"""The predictions of a model file for a split, with the shipped runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetl.evaluation import Evaluation, Outputs, Predictions
from edgetl.stages import Progress
from edgetl.types import Split

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.data.dataset import Dataset
    from edgetl.runtime.predictor import Predictor

_NAMES = {Split.VAL: "validation", Split.TEST: "test"}


def predict_split(
    predictor: Predictor,
    evaluation: Evaluation,
    dataset: Dataset,
    split: Split,
    progress: Progress,
) -> tuple[Predictions, Outputs]:
    """Return the predictions for all images of a split, and the raw outputs for the first few.

    The raw outputs of a detector are a thousand times larger than its predictions, so they are
    never held for more than a few images.
    """
    count, chunk = len(dataset.items(split)), evaluation.images_per_chunk
    nms = predictor.contract.nms
    first = predictor.run(evaluation.inputs(dataset, split, slice(chunk)))
    parts = [evaluation.collect(first, dataset, split, 0, nms)]
    for start in range(chunk, count, chunk):
        progress.step(start, count, f"{_NAMES.get(split, split.value)} images")
        outputs = predictor.run(evaluation.inputs(dataset, split, slice(start, start + chunk)))
        parts.append(evaluation.collect(outputs, dataset, split, start, nms))
    return evaluation.join(parts), first
