"""Thresholds of classes for a stated precision or recall, and the figures at given thresholds.

Letters: D predictions of one class, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgetl.config.operating_point import Goal
from edgetl.evaluation.shares import Share
from edgetl.facts.operating_point import (
    ClassCounts,
    ClassThreshold,
    OperatingFigures,
    ShareFacts,
)
from edgetl.types import Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetl.data.dataset import Dataset
    from edgetl.evaluation import Evaluation, Predictions
    from edgetl.runtime.contract import Contract

_DIGITS = 6
_SLACK = 1e-9
"""Of the product of a stated recall and a count, which is not exact."""


@dataclass(frozen=True, slots=True, eq=False)
class RankedClass:
    """The predictions of one class on a split, best first."""

    label: str
    scores: NDArray[np.float64]
    """Shape `(D,)`, descending."""
    right: NDArray[np.bool_]
    """Shape `(D,)`: whether it is correct."""
    support: int
    """Images or objects of the class."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The predictions for a split by class."""

    classes: tuple[RankedClass, ...]
    """In the order of the model's outputs."""
    images: int
    """Of the split."""
    one_each: bool
    """Whether each image has exactly one prediction, as of a classifier."""

    @property
    def unit(self) -> str:
        """What a prediction is made for."""
        return "image" if self.one_each else "object"


def choose_threshold(ranked: RankedClass, goal: Goal | None, default: float) -> ClassThreshold:
    """Return the threshold with which a class reaches `goal` on the ranked predictions.

    It is always the score of one of them: the lowest whose precision, with all that have at least
    this score, is enough, or the highest whose recall is. Between two scores, and below the lowest
    one, nothing is known of further images.

    Args:
        ranked: The predictions of the class.
        goal: What it must reach; None for nothing.
        default: The threshold without a goal.
    """
    if goal is None:
        return ClassThreshold(label=ranked.label, threshold=default)
    right, totals = _reported(ranked)
    # Equal scores are reported together, so only the last of them is a threshold.
    lasts = np.flatnonzero(np.diff(ranked.scores, append=-math.inf))
    rights, reported = right[lasts], totals[lasts]
    if goal.figure == "precision":
        enough = np.flatnonzero(rights >= goal.value * reported - _SLACK)
        position = int(enough[-1]) if len(enough) else None
        best = int((rights / reported).argmax()) if len(lasts) else None
    else:
        enough = np.flatnonzero(rights >= goal.value * ranked.support - _SLACK)
        position = int(enough[0]) if len(enough) and ranked.support else None
        best = len(lasts) - 1 if len(lasts) else None
    shown = best if position is None else position
    return ClassThreshold(
        label=ranked.label,
        threshold=None if position is None else float(ranked.scores[lasts[position]]),
        figure=goal.figure,
        stated=goal.value,
        reached=_reached(ranked, goal, rights, reported, shown),
    )


def figures_at(ranking: Ranking, thresholds: Sequence[float]) -> OperatingFigures:
    """Return the figures of the predictions that reach the threshold of their class.

    Args:
        ranking: Of the test split.
        thresholds: K of them.
    """
    rows = [_counts(*pair) for pair in zip(ranking.classes, thresholds, strict=True)]
    predicted = sum(row.predicted for row in rows)
    decided = share_facts(predicted, ranking.images) if ranking.one_each else None
    return OperatingFigures(classes=tuple(rows), decided=decided)


def operating_figures(
    evaluation: Evaluation, predictions: Predictions, dataset: Dataset, contract: Contract
) -> OperatingFigures | None:
    """Return the figures of what a runtime with `contract` reports on the test split.

    None if it reports every prediction, or the task has no classes with scores.
    """
    thresholds = contract.class_thresholds
    if thresholds is None and contract.nms is not None:
        thresholds = (default_threshold(contract),) * len(contract.labels)
    if thresholds is None:
        return None
    ranking = evaluation.ranking(predictions, dataset, Split.TEST)
    return None if ranking is None else figures_at(ranking, thresholds)


def default_threshold(contract: Contract) -> float:
    """Return the lowest score of a prediction of a class without a threshold of its own."""
    return 0.0 if contract.nms is None else contract.nms.score_threshold


def share_facts(count: int, total: int) -> ShareFacts | None:
    """Return a share with its interval, rounded; None of nothing."""
    if not total:
        return None
    share = Share(count, total)
    low, high = share.interval()
    return ShareFacts(
        count=count,
        total=total,
        value=round(share.value, _DIGITS),
        low=round(low, _DIGITS),
        high=round(high, _DIGITS),
    )


def _reported(ranked: RankedClass) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of right and of all predictions down to each one, shapes `(D,)`."""
    right: NDArray[np.int64] = np.cumsum(ranked.right, dtype=np.int64)
    return right, np.arange(1, len(right) + 1)


def _reached(
    ranked: RankedClass,
    goal: Goal,
    rights: NDArray[np.int64],
    reported: NDArray[np.int64],
    position: int | None,
) -> ShareFacts | None:
    if goal.figure == "recall":
        return share_facts(0 if position is None else int(rights[position]), ranked.support)
    if position is None:
        return None
    return share_facts(int(rights[position]), int(reported[position]))


def _counts(ranked: RankedClass, threshold: float) -> ClassCounts:
    kept = ranked.scores >= threshold
    predicted, right = int(kept.sum()), int((kept & ranked.right).sum())
    return ClassCounts(
        label=ranked.label,
        support=ranked.support,
        predicted=predicted,
        right=right,
        recall=share_facts(right, ranked.support),
        precision=share_facts(right, predicted),
    )
