"""Which class a photo shows: top-1, the share of photos whose largest logit is at their class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgetl.config.recipe import SuppressionTable
from edgetl.data.dataset import Dataset
from edgetl.evaluation import Answers, Outputs
from edgetl.evaluation._misclassified import picture_of_misses
from edgetl.evaluation._noise import max_error, snr_db
from edgetl.evaluation._shares import paired_difference, top1
from edgetl.runtime.detections import Suppression
from edgetl.types import Facts, Split

_PP = 100.0


class _Classification:
    metric = "top1"
    title = "top-1"
    outputs: tuple[str, ...] = ("logits",)
    photos_at_once = 64

    def collect(
        self,
        outputs: Outputs,
        dataset: Dataset,
        split: Split,
        start: int,
        rule: Suppression | None,
    ) -> Answers:
        del dataset, split, start, rule
        return {"logits": outputs["logits"]}

    def join(self, parts: Sequence[Answers]) -> Answers:
        return {"logits": np.concatenate([part["logits"] for part in parts])}

    def value(self, answers: Answers, dataset: Dataset, split: Split) -> float:
        return top1(answers["logits"], dataset.labels(split)).value

    def score(self, answers: Answers, dataset: Dataset, split: Split) -> Facts:
        share = top1(answers["logits"], dataset.labels(split))
        return {"metric": self.metric, "title": self.title, **share.facts()}

    def difference(self, first: Answers, second: Answers, dataset: Dataset, split: Split) -> Facts:
        pair = paired_difference(first["logits"], second["logits"], dataset.labels(split))
        low, high = pair.interval()
        return {
            "pp": round(_PP * pair.value, 4),
            "low_pp": round(_PP * low, 4),
            "high_pp": round(_PP * high, 4),
            "only_first_right": pair.only_first,
            "only_second_right": pair.only_second,
        }

    def details(self, answers: Answers, dataset: Dataset, split: Split) -> Facts:
        chosen, labels = answers["logits"].argmax(axis=1), dataset.labels(split)
        return {
            "classes": _per_class(chosen, labels, dataset.classes),
            "confusion": _confusion(chosen, labels, len(dataset.classes)),
        }

    def compare(self, before: Outputs, after: Outputs, rule: Suppression | None = None) -> Facts:
        del rule
        expected, found = before["logits"], after["logits"]
        same = expected.argmax(axis=1) == found.argmax(axis=1)
        return {
            "max_error": max_error(expected, found),
            "snr_db": snr_db(expected, found),
            "agreement": round(float(same.mean()), 6),
        }

    def span(self, outputs: Outputs) -> float:
        """Return the range of the logits, which have no unit."""
        return float(outputs["logits"].max() - outputs["logits"].min())

    def rule(self, dataset: Dataset, wanted: SuppressionTable | None = None) -> None:
        del dataset, wanted

    def tuned(
        self, rule: Suppression | None, answers: Answers, dataset: Dataset, split: Split
    ) -> None:
        del rule, answers, dataset, split

    def cut_off(self, dataset: Dataset, split: Split, rule: Suppression | None) -> None:
        """Return None: a photo has one class."""
        del dataset, split, rule

    def answered(self, answers: Answers, rule: Suppression | None) -> int:
        """Return the number of photos: each has an answer."""
        del rule
        return len(answers["logits"])

    def collapse(
        self, answers: Answers, dataset: Dataset, split: Split, rule: Suppression | None = None
    ) -> str | None:
        del rule
        labels = dataset.labels(split)
        right = top1(answers["logits"], labels)
        counts = np.bincount(labels, minlength=len(dataset.classes))
        most = int(counts.argmax())
        if right.count > counts[most]:
            return None
        return (
            f"{self.title} {right.value:.3f} is no better than always answering "
            f"'{dataset.classes[most]}' ({counts[most] / right.total:.3f})"
        )

    def misses(
        self, answers: Answers, dataset: Dataset, split: Split, rule: Suppression | None
    ) -> NDArray[np.uint8] | None:
        del rule
        return picture_of_misses(answers["logits"], dataset, split)


def _confusion(
    chosen: NDArray[np.int64], labels: NDArray[np.int64], num_classes: int
) -> list[list[int]]:
    """Return how often each class (row) was taken for each class (column)."""
    counts = np.bincount(labels * num_classes + chosen, minlength=num_classes**2)
    table: list[list[int]] = counts.reshape(num_classes, num_classes).tolist()
    return table


def _per_class(
    chosen: NDArray[np.int64], labels: NDArray[np.int64], names: Sequence[str]
) -> list[Facts]:
    """Return support, recall and precision per class; None where nothing was there or chosen."""
    rows: list[Facts] = []
    for index, name in enumerate(names):
        support, taken = int((labels == index).sum()), int((chosen == index).sum())
        right = int(((labels == index) & (chosen == index)).sum())
        rows.append(
            {
                "label": name,
                "support": support,
                "recall": round(right / support, 6) if support else None,
                "precision": round(right / taken, 6) if taken else None,
            }
        )
    return rows


EVALUATION = _Classification()
