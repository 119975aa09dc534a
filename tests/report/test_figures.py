"""Which classes and candidates a figure shows."""

from __future__ import annotations

from edgetl.report.figures import candidates, precision_recall, training
from edgetl.report.record import Run


def test_of_many_classes_the_worst_are_drawn() -> None:
    classes = [{"label": f"part {k}", "ap": k / 10} for k in range(10)]
    curve = {f"part {k}": [1.0, k / 10] for k in range(10)}
    nothing = {"label": "never there", "ap": None}
    figure = precision_recall(
        {
            "classes": [nothing, *classes],
            "curves": {"recall": [0.0, 1.0], "precision": curve},
        },
        "c",
    )
    assert figure is not None
    assert [label for _, label in figure.legend] == [f"part {k}" for k in range(8)]
    assert figure.caption.endswith("The 8 worst of 10 classes.")
    assert precision_recall({"classes": classes}, "c") is None


def test_candidates_without_times_are_drawn_by_size(classifier: Run) -> None:
    host, board = classifier.packages
    assert "p95 latency, ms" in candidates(classifier, host, "c").svg
    figure = candidates(classifier, board, "c")
    assert "size, MiB" in figure.svg
    assert figure.svg.count('class="ring"') == 1  # chosen, though unverified


def test_training_has_metric_and_losses_of_whoever_kept_them(classifier: Run) -> None:
    figures = training(classifier)
    assert [figure.caption.partition(".")[0] for figure in figures] == [
        "Validation top-1", "Validation loss", "Training loss",
    ]  # fmt: skip
    assert [label for _, label in figures[2].legend] == ["teacher", "student"]
