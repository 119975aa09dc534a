"""Evaluate classifiers by top-1: the share of images whose largest logit is at their class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgetl.config.recipe import NmsTable
from edgetl.data.dataset import Dataset
from edgetl.evaluation import Inputs, Outputs, Predictions, image_inputs
from edgetl.evaluation.noise import LOWEST_SNR_DB, max_error, snr_db
from edgetl.evaluation.operating import RankedClass, Ranking
from edgetl.facts.scores import Agreement, Difference, Score
from edgetl.runtime.decode import softmax
from edgetl.runtime.detections import NmsSettings
from edgetl.tasks.classification._misclassified import worst_errors_image
from edgetl.tasks.classification._shares import paired_difference, top1
from edgetl.types import Facts, Split

_PP = 100.0


class _ClassificationEvaluation:
    metric = "top1"
    title = "top-1"
    outputs: tuple[str, ...] = ("logits",)
    images_per_chunk = 64
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
        return {"logits": outputs["logits"]}

    def join(self, parts: Sequence[Predictions]) -> Predictions:
        return {"logits": np.concatenate([part["logits"] for part in parts])}

    def value(self, predictions: Predictions, dataset: Dataset, split: Split) -> float:
        return top1(predictions["logits"], dataset.labels(split)).value

    def score(self, predictions: Predictions, dataset: Dataset, split: Split) -> Score:
        share = top1(predictions["logits"], dataset.labels(split))
        return Score(metric=self.metric, title=self.title, **share.facts())

    def difference(
        self, first: Predictions, second: Predictions, dataset: Dataset, split: Split
    ) -> Difference:
        pair = paired_difference(first["logits"], second["logits"], dataset.labels(split))
        low, high = pair.interval()
        return Difference(
            pp=round(_PP * pair.value, 4),
            low_pp=round(_PP * low, 4),
            high_pp=round(_PP * high, 4),
            figures={
                "only_first_right": pair.only_first,
                "only_second_right": pair.only_second,
            },
        )

    def details(self, predictions: Predictions, dataset: Dataset, split: Split) -> Facts:
        predicted, labels = predictions["logits"].argmax(axis=1), dataset.labels(split)
        return {
            "classes": _per_class(predicted, labels, dataset.classes),
            "confusion": _confusion(predicted, labels, len(dataset.classes)),
        }

    def ranking(self, predictions: Predictions, dataset: Dataset, split: Split) -> Ranking:
        """Return the images by the probability of their most likely class."""
        probabilities, labels = softmax(predictions["logits"]), dataset.labels(split)
        predicted = probabilities.argmax(axis=1)
        classes = []
        for index, name in enumerate(dataset.classes):
            images = np.flatnonzero(predicted == index)
            scores = probabilities[images, index].astype(np.float64)
            order = np.argsort(-scores, kind="stable")
            right = (labels[images] == index)[order]
            support = int((labels == index).sum())
            classes.append(RankedClass(name, scores[order], right, support))
        return Ranking(tuple(classes), images=len(labels), one_each=True)

    def reported(self, predictions: Predictions, thresholds: Sequence[float]) -> Predictions:
        """Return all: the most likely class of an unsure prediction is still shown."""
        del thresholds
        return predictions

    def compare(self, before: Outputs, after: Outputs, nms: NmsSettings | None = None) -> Agreement:
        del nms
        expected, actual = before["logits"], after["logits"]
        same = expected.argmax(axis=1) == actual.argmax(axis=1)
        return Agreement(
            max_error=max_error(expected, actual),
            snr_db=snr_db(expected, actual),
            agreement=round(float(same.mean()), 6),
        )

    def shown(self, dataset: Dataset, split: Split) -> NDArray[np.bool_]:
        """Return True for all: every image has a class."""
        return np.ones(len(dataset.names(split)), np.bool_)

    def span(self, outputs: Outputs) -> float:
        """Return the range of the logits, which have no unit."""
        return float(outputs["logits"].max() - outputs["logits"].min())

    def nms(self, dataset: Dataset, wanted: NmsTable | None = None) -> None:
        del dataset, wanted

    def with_selected_threshold(
        self, nms: NmsSettings | None, predictions: Predictions, dataset: Dataset, split: Split
    ) -> None:
        del nms, predictions, dataset, split

    def truncated(self, dataset: Dataset, split: Split, nms: NmsSettings | None) -> None:
        """Return None: an image has one class."""
        del dataset, split, nms

    def num_predictions(self, predictions: Predictions, nms: NmsSettings | None) -> int:
        """Return the number of images: each has one prediction."""
        del nms
        return len(predictions["logits"])

    def at_chance(
        self,
        predictions: Predictions,
        dataset: Dataset,
        split: Split,
        nms: NmsSettings | None = None,
    ) -> str | None:
        del nms
        labels = dataset.labels(split)
        right = top1(predictions["logits"], labels)
        counts = np.bincount(labels, minlength=len(dataset.classes))
        most = int(counts.argmax())
        if right.count > counts[most]:
            return None
        return (
            f"{self.title} {right.value:.3f} is no better than always predicting "
            f"'{dataset.classes[most]}' ({counts[most] / right.total:.3f})"
        )

    def worst_errors(
        self, predictions: Predictions, dataset: Dataset, split: Split, nms: NmsSettings | None
    ) -> NDArray[np.uint8] | None:
        del nms
        return worst_errors_image(predictions["logits"], dataset, split)


def _confusion(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], num_classes: int
) -> list[list[int]]:
    """Return the counts of predicted classes (columns) for each true class (row)."""
    counts = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    table: list[list[int]] = counts.reshape(num_classes, num_classes).tolist()
    return table


def _per_class(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], names: Sequence[str]
) -> list[Facts]:
    """Return support, recall and precision per class; None without images or predictions."""
    rows: list[Facts] = []
    for index, name in enumerate(names):
        support, taken = int((labels == index).sum()), int((predicted == index).sum())
        right = int(((labels == index) & (predicted == index)).sum())
        rows.append(
            {
                "label": name,
                "support": support,
                "recall": round(right / support, 6) if support else None,
                "precision": round(right / taken, 6) if taken else None,
            }
        )
    return rows


EVALUATION = _ClassificationEvaluation()
