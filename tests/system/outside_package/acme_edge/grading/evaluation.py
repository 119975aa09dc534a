"""Evaluate grades by their closeness: 1 for the label itself, 0 for the other end of the scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgetl.config.recipe import NmsTable
from edgetl.data.dataset import Dataset
from edgetl.evaluation import Inputs, Outputs, Predictions, image_inputs
from edgetl.evaluation.noise import LOWEST_SNR_DB, max_error, snr_db
from edgetl.facts.scores import Agreement, Difference, Score
from edgetl.runtime.detections import NmsSettings
from edgetl.types import Facts, Split

_Z = 1.96
"""Of a 95 % interval by the normal distribution."""
_PP = 100.0


class _GradingEvaluation:
    metric = "closeness"
    title = "closeness"
    outputs: tuple[str, ...] = ("grade",)
    images_per_chunk = 16
    lowest_snr_db = LOWEST_SNR_DB

    def inputs(self, dataset: Dataset, split: Split, rows: slice) -> Inputs:
        return image_inputs(dataset, split, rows)

    def collect(
        self,
        outputs: Outputs,
        dataset: Dataset,
        split: Split,
        start: int,
        nms: NmsSettings | None,
    ) -> Predictions:
        del dataset, split, start, nms
        return {"grades": outputs["grade"][:, 0]}

    def join(self, parts: Sequence[Predictions]) -> Predictions:
        return {"grades": np.concatenate([part["grades"] for part in parts])}

    def value(self, predictions: Predictions, dataset: Dataset, split: Split) -> float:
        return float(_closeness(predictions["grades"], dataset, split).mean())

    def score(self, predictions: Predictions, dataset: Dataset, split: Split) -> Score:
        each = _closeness(predictions["grades"], dataset, split)
        value, half = _interval(each)
        return Score(
            metric=self.metric,
            title=self.title,
            value=value,
            low=max(0.0, value - half),
            high=min(1.0, value + half),
            images=len(each),
        )

    def difference(
        self, first: Predictions, second: Predictions, dataset: Dataset, split: Split
    ) -> Difference:
        pair = (_closeness(each["grades"], dataset, split) for each in (first, second))
        value, half = _interval(np.subtract(*pair))
        return Difference(pp=_PP * value, low_pp=_PP * (value - half), high_pp=_PP * (value + half))

    def details(self, predictions: Predictions, dataset: Dataset, split: Split) -> Facts:
        each, labels = _closeness(predictions["grades"], dataset, split), dataset.labels(split)
        rows = []
        for index, name in enumerate(dataset.classes):
            own = each[labels == index]
            closeness = float(own.mean()) if len(own) else None
            rows.append({"label": name, "support": len(own), "closeness": closeness})
        return {"classes": rows}

    def ranking(self, predictions: Predictions, dataset: Dataset, split: Split) -> None:
        del predictions, dataset, split

    def reported(self, predictions: Predictions, thresholds: Sequence[float]) -> Predictions:
        del thresholds
        return predictions

    def compare(self, before: Outputs, after: Outputs, nms: NmsSettings | None = None) -> Agreement:
        del nms
        expected, actual = before["grade"], after["grade"]
        return Agreement(
            max_error=max_error(expected, actual),
            snr_db=snr_db(expected, actual),
            agreement=float((np.rint(expected) == np.rint(actual)).mean()),
        )

    def shown(self, dataset: Dataset, split: Split) -> NDArray[np.bool_]:
        return np.ones(len(dataset.names(split)), np.bool_)

    def span(self, outputs: Outputs) -> float:
        return max(1.0, float(np.ptp(outputs["grade"])))

    def nms(self, dataset: Dataset, wanted: NmsTable | None = None) -> None:
        del dataset, wanted

    def with_selected_threshold(
        self, nms: NmsSettings | None, predictions: Predictions, dataset: Dataset, split: Split
    ) -> None:
        del nms, predictions, dataset, split

    def truncated(self, dataset: Dataset, split: Split, nms: NmsSettings | None) -> None:
        del dataset, split, nms

    def num_predictions(self, predictions: Predictions, nms: NmsSettings | None) -> int:
        del nms
        return len(predictions["grades"])

    def at_chance(
        self,
        predictions: Predictions,
        dataset: Dataset,
        split: Split,
        nms: NmsSettings | None = None,
    ) -> str | None:
        del nms
        median = np.median(dataset.labels(split))
        guess = _closeness(np.full(len(dataset.labels(split)), median), dataset, split).mean()
        value = self.value(predictions, dataset, split)
        if value > guess:
            return None
        return f"{self.title} {value:.3f} is no better than always {median:g} ({guess:.3f})"

    def worst_errors(
        self, predictions: Predictions, dataset: Dataset, split: Split, nms: NmsSettings | None
    ) -> None:
        del predictions, dataset, split, nms


def _closeness(grades: NDArray[np.floating], dataset: Dataset, split: Split) -> NDArray[np.float64]:
    """Return that of each image, in [0, 1]."""
    scale = len(dataset.classes) - 1
    far = np.abs(grades.astype(np.float64) - dataset.labels(split)) / scale
    closeness: NDArray[np.float64] = 1.0 - np.minimum(far, 1.0)
    return closeness


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean and half the width of its interval."""
    return float(values.mean()), _Z * float(values.std()) / math.sqrt(len(values))


EVALUATION = _GradingEvaluation()
