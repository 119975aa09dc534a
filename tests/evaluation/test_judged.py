from __future__ import annotations

from typing import Any

import pytest

from edgetl.evaluation.judged import figures_of
from edgetl.evaluation.shares import Share
from edgetl.facts.latency import Quantile
from edgetl.facts.verification import ClassFigures


def test_figures_come_with_their_intervals(examples: Any) -> None:
    """Of 40 cracks 36 are predicted, and so are 12 other images; nothing is predicted as dent."""
    classes = (
        ClassFigures(label="crack", support=40, figures={"recall": 0.9, "precision": 0.75}),
        ClassFigures(label="dent", support=10, figures={"recall": 0.0, "precision": None}),
        ClassFigures(label="scratch", support=0, figures={"recall": None, "precision": 0.0}),
    )
    end_to_end = {"p95": Quantile(value=7.0, low=6.5, high=8.0)}
    figures = figures_of(
        examples.score(0.9, figures={"top5": 1.0}),
        examples.drop(0.5),
        classes,
        examples.timing(2.0, end_to_end_ms=end_to_end),
        at_chance=None,
        no_predictions=False,
        size_bytes=7,
        interfered=True,
    )
    assert figures.accuracies == {"top1": 0.9, "top5": 1.0}
    assert (figures.drop_pp, figures.p95_ms, figures.end_to_end_p95_ms) == (0.5, 2.0, 7.0)
    assert (figures.size_bytes, figures.memory_bytes, figures.interfered) == (7, 80 << 20, True)
    assert figures.classes["crack"] == {"recall": 0.9, "precision": 0.75}
    assert figures.intervals == {
        "top1": pytest.approx((0.8, 1.0)),
        "drop_pp": (-0.5, 1.5),
        "p95_ms": (1.9, 2.1),
        "end_to_end_p95_ms": (6.5, 8.0),
        "class_recall.crack": Share(36, 40).interval(),
        "class_precision.crack": Share(36, 48).interval(),
        "class_recall.dent": Share(0, 10).interval(),
    }


def test_without_times_nothing_is_known_of_them(examples: Any) -> None:
    figures = figures_of(
        examples.score(0.9),
        examples.drop(0.5),
        (),
        None,
        at_chance="guesses",
        no_predictions=True,
        size_bytes=7,
        interfered=False,
    )
    assert (figures.p95_ms, figures.end_to_end_p95_ms, figures.memory_bytes) == (None, None, None)
    assert (figures.at_chance, figures.no_predictions) == ("guesses", True)
    assert figures.intervals.keys() == {"top1", "drop_pp"}
