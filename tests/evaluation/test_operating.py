"""Thresholds and figures by hand, and what holds of any predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl.config.operating_point import Figure, Goal
from edgetl.evaluation.operating import RankedClass, Ranking, choose_threshold, figures_at
from edgetl.facts.operating_point import ClassThreshold, OperatingPointFacts
from edgetl.types import Precision


def _ranked(rows: Sequence[tuple[float, bool]], support: int) -> RankedClass:
    """Return the predictions of a class from scores, in any order, and whether each is right."""
    ordered = sorted(rows, key=lambda row: -row[0])
    scores = np.array([score for score, _ in ordered], np.float64)
    return RankedClass("crack", scores, np.array([right for _, right in ordered], bool), support)


_ROWS = ((0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.5, False))
"""Precision down to each: 1, 1, 2/3, 3/4, 3/5; recall of 4: 1/4, 2/4, 2/4, 3/4, 3/4."""


@pytest.mark.parametrize(
    ("figure", "stated", "threshold", "count", "total"),
    [
        pytest.param("precision", 1.0, 0.8, 2, 2, id="all right"),
        pytest.param("precision", 0.75, 0.6, 3, 4, id="lower than one that fails"),
        pytest.param("precision", 0.7, 0.6, 3, 4, id="between two"),
        pytest.param("precision", 0.6, 0.5, 3, 5, id="all"),
        pytest.param("recall", 0.25, 0.9, 1, 4, id="one"),
        pytest.param("recall", 0.5, 0.8, 2, 4, id="not lower than needed"),
        pytest.param("recall", 0.51, 0.6, 3, 4, id="more than two"),
        pytest.param("recall", 0.75, 0.6, 3, 4, id="most"),
    ],
)
def test_threshold_by_hand(
    figure: Figure, stated: float, threshold: float, count: int, total: int
) -> None:
    chosen = choose_threshold(_ranked(_ROWS, 4), Goal(figure, stated), 0.0)
    assert chosen.threshold == threshold
    assert chosen.reached is not None
    assert (chosen.reached.count, chosen.reached.total) == (count, total)
    assert chosen.reached.value == pytest.approx(count / total, abs=1e-6)
    assert (chosen.figure, chosen.stated, chosen.shortfall) == (figure, stated, 0.0)


def test_best_is_reported_where_nothing_is_enough() -> None:
    rows = ((0.9, False), (0.8, True), (0.7, True), (0.6, False))  # 0, 1/2, 2/3, 2/4
    chosen = choose_threshold(_ranked(rows, 5), Goal("precision", 0.9), 0.0)
    assert chosen.threshold is None
    assert chosen.reached is not None
    assert (chosen.reached.count, chosen.reached.total) == (2, 3)
    assert chosen.shortfall == pytest.approx(0.9 - 2 / 3, abs=1e-6)
    chosen = choose_threshold(_ranked(rows, 5), Goal("recall", 0.5), 0.0)
    assert chosen.threshold is None
    assert chosen.reached is not None
    assert (chosen.reached.count, chosen.reached.total) == (2, 5)


def test_equal_scores_count_together() -> None:
    rows = ((0.9, True), (0.8, True), (0.8, False))
    assert choose_threshold(_ranked(rows, 2), Goal("precision", 1.0), 0.0).threshold == 0.9
    chosen = choose_threshold(_ranked(rows, 2), Goal("precision", 0.6), 0.0)
    assert chosen.threshold == 0.8
    assert chosen.reached is not None
    assert chosen.reached.total == 3


def test_class_without_a_goal_keeps_the_default() -> None:
    assert choose_threshold(_ranked(_ROWS, 4), None, 0.3) == ClassThreshold(
        label="crack", threshold=0.3
    )


@pytest.mark.parametrize("figure", ["precision", "recall"])
def test_class_that_is_not_predicted_reaches_nothing(figure: Figure) -> None:
    chosen = choose_threshold(_ranked((), 4), Goal(figure, 0.1), 0.0)
    assert chosen.threshold is None
    assert chosen.shortfall == pytest.approx(0.1)


def test_class_that_no_image_shows_has_no_recall() -> None:
    chosen = choose_threshold(_ranked(((0.9, False),), 0), Goal("recall", 0.1), 0.0)
    assert (chosen.threshold, chosen.reached) == (None, None)


_SCORES = st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.75, 0.9, 1.0])


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(_SCORES, st.booleans()), max_size=30),
    missed=st.integers(0, 10),
    figure=st.sampled_from(["precision", "recall"]),
    stated=st.floats(0.01, 1.0),
)
def test_threshold_reaches_what_is_stated_and_no_further_one_does(
    rows: list[tuple[float, bool]],
    missed: int,
    figure: Literal["precision", "recall"],
    stated: float,
) -> None:
    support = missed + sum(right for _, right in rows)

    def reached(threshold: float) -> float:
        kept = [right for score, right in rows if score >= threshold]
        return sum(kept) / (len(kept) if figure == "precision" else support)

    enough = (
        [score for score, _ in rows if reached(score) >= stated - 1e-12]
        if support or figure == "precision"
        else []
    )
    chosen = choose_threshold(_ranked(rows, support), Goal(figure, stated), 0.0).threshold
    if not enough:
        assert chosen is None
    else:
        assert chosen == (min if figure == "precision" else max)(enough)


def test_figures_at_thresholds_by_hand() -> None:
    dent = RankedClass("dent", np.array([0.95, 0.4]), np.array([True, True]), 3)
    ranking = Ranking((_ranked(_ROWS, 4), dent), images=7, one_each=True)
    figures = figures_at(ranking, (0.7, 0.5))
    crack, dent_row = figures.classes
    assert (crack.predicted, crack.right, crack.support) == (3, 2, 4)
    assert (dent_row.predicted, dent_row.right, dent_row.support) == (1, 1, 3)
    assert crack.precision is not None
    assert crack.recall is not None
    # Wilson (1927), z = 1.96, z^2 = 3.84: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)
    # 2 of 3: (0.6667 + 0.6402 -+ 0.8333) / 2.2805; 2 of 4: (0.5 + 0.4802 -+ 0.6860) / 1.9604
    for share, low, high in ((crack.precision, 0.2077, 0.9385), (crack.recall, 0.1500, 0.8500)):
        assert (share.low, share.high) == pytest.approx((low, high), abs=1e-4)
    assert (crack.precision.value, crack.recall.value) == (0.666667, 0.5)
    assert figures.decided is not None
    assert (figures.decided.count, figures.decided.total) == (4, 7)


def test_detector_is_never_unsure() -> None:
    ranking = Ranking((_ranked(_ROWS, 4),), images=7, one_each=False)
    assert figures_at(ranking, (0.7,)).decided is None


def test_nothing_predicted_or_shown_is_not_measured() -> None:
    ranking = Ranking((_ranked(((0.2, False),), 0),), images=1, one_each=True)
    (row,) = figures_at(ranking, (0.7,)).classes
    assert (row.precision, row.recall) == (None, None)


def _facts(*classes: ClassThreshold) -> OperatingPointFacts:
    return OperatingPointFacts(
        model="student",
        format="onnx",
        precision=Precision.FP32,
        images=20,
        unit="image",
        classes=classes,
    )


@pytest.mark.parametrize(
    ("rows", "support", "goal", "sentence"),
    [
        pytest.param(
            _ROWS, 4, Goal("recall", 0.98),
            "no threshold reaches the recall of 0.98 stated for 'crack': the best on the "
            "validation split is 0.750 (3 of 4 images); lower it in `operating_point`",
            id="recall",
        ),
        pytest.param(
            ((0.9, False), (0.8, True)), 4, Goal("precision", 0.9),
            "no threshold reaches the precision of 0.9 stated for 'crack': the best on the "
            "validation split is 0.500 (1 of 2 predictions); lower it in `operating_point`",
            id="precision",
        ),
        pytest.param(
            (), 4, Goal("precision", 0.9),
            "nothing in the validation split is predicted as 'crack', so no threshold reaches the "
            "precision of 0.9 stated for 'crack'; train longer, or remove it from "
            "`operating_point`",
            id="never predicted",
        ),
        pytest.param(
            (), 0, Goal("recall", 0.9),
            "the validation split does not show 'crack', so no threshold reaches the recall of "
            "0.9 stated for 'crack'; add images of it, or remove it from `operating_point`",
            id="never shown",
        ),
    ],
)  # fmt: skip
def test_what_is_not_reached_is_told_with_the_best_and_a_remedy(
    rows: Sequence[tuple[float, bool]], support: int, goal: Goal, sentence: str
) -> None:
    facts = _facts(
        ClassThreshold(label="dent", threshold=0.2),
        choose_threshold(_ranked(rows, support), goal, 0.0),
    )
    assert list(facts.unreached()) == [sentence]
    assert facts.thresholds is None
    assert facts.shortfall > 0


def test_few_images_do_not_show_what_they_reach() -> None:
    few = choose_threshold(_ranked(((0.9, True),) * 4, 4), Goal("precision", 0.9), 0.0)
    many = choose_threshold(_ranked(((0.9, True),) * 40, 40), Goal("precision", 0.9), 0.0)
    assert many.reached is not None
    assert many.reached.low == pytest.approx(0.912, abs=1e-3)  # 1 / (1 + 1.96 ** 2 / 40)
    facts = _facts(few, many)
    assert facts.not_shown() == [few]
    assert facts.thresholds == (0.9, 0.9)
