"""The figures that limits judge, with their intervals, from what a run or a check knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgetl.config.limits import Figures
from edgetl.evaluation.shares import Share
from edgetl.facts.latency import Quantile, TimingFacts
from edgetl.facts.scores import Difference, Score
from edgetl.facts.verification import ClassFigures

Interval = tuple[float, float]


def figures_of(  # noqa: PLR0913 - what is known of one file
    score: Score,
    drop: Difference,
    classes: Iterable[ClassFigures],
    timing: TimingFacts | None,
    *,
    at_chance: str | None,
    no_predictions: bool,
    size_bytes: int,
    interfered: bool,
) -> Figures:
    """Return the figures of one model file.

    Args:
        score: Its accuracy on the test split.
        drop: Of its accuracy, against the trained model.
        classes: Its figures of each class.
        timing: On the device; None if there are no times that count.
        at_chance: Why it is no better than guessing, in words; None if it is better.
        no_predictions: Whether it predicts nothing at all.
        size_bytes: Of the file.
        interfered: Whether other programs disturbed the timing.
    """
    classes = tuple(classes)
    times = {} if timing is None else {
        "p95_ms": timing.p95, "end_to_end_p95_ms": timing.end_to_end_p95
    }  # fmt: skip
    known = {name: each for name, each in times.items() if each is not None}
    return Figures(
        title=score.title,
        accuracies={score.metric: score.value, **score.figures},
        at_chance=at_chance,
        no_predictions=no_predictions,
        drop_pp=drop.pp,
        size_bytes=size_bytes,
        p95_ms=_value(known.get("p95_ms")),
        memory_bytes=None if timing is None else timing.peak_memory_bytes,
        interfered=interfered,
        end_to_end_p95_ms=_value(known.get("end_to_end_p95_ms")),
        classes={row.label: row.figures for row in classes},
        intervals={
            score.metric: (score.low, score.high),
            "drop_pp": (drop.low_pp, drop.high_pp),
            **{name: (each.low, each.high) for name, each in known.items()},
            **dict(_of_classes(classes)),
        },
    )


def _value(quantile: Quantile | None) -> float | None:
    return None if quantile is None else quantile.value


def _of_classes(classes: Iterable[ClassFigures]) -> Iterator[tuple[str, Interval]]:
    """Yield the name of each limit of a class with the interval of its figure."""
    for row in classes:
        recall, precision = row.figures.get("recall"), row.figures.get("precision")
        if recall is None:
            continue
        right = round(recall * row.support)
        yield f"class_recall.{row.label}", Share(right, row.support).interval()
        if precision:
            predicted = round(right / precision)
            yield f"class_precision.{row.label}", Share(right, predicted).interval()
