"""Figures put values where they belong, and say what they leave out."""

from __future__ import annotations

import re

import pytest

from edgetl.report.plots import Limit, Point, curves, histogram, tradeoff
from edgetl.report.svg import Axis, Frame


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        pytest.param(0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], id="whole"),
        pytest.param(0.83, 0.91, [0.84, 0.86, 0.88, 0.9], id="fractions"),
        pytest.param(0.0, 1200.0, [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0, 1200.0], id="large"),
        pytest.param(1.0, 3.0, [1.0, 1.5, 2.0, 2.5, 3.0], id="steps of a half"),
    ],
)
def test_ticks_are_round_and_within_the_range(low: float, high: float, ticks: list[float]) -> None:
    assert Axis("", low, high).ticks() == ticks


def test_ticks_between_epochs_are_left_out() -> None:
    assert Axis("", 1.0, 4.0, least_step=1.0).ticks() == [1.0, 2.0, 3.0, 4.0]


def test_values_are_placed_linearly_inside_the_frame() -> None:
    frame = Frame(Axis("", 0.0, 10.0), Axis("", 0.0, 2.0))
    assert (frame.px(0.0), frame.px(5.0), frame.px(10.0)) == (44.0, 196.0, 348.0)
    assert (frame.py(0.0), frame.py(1.0), frame.py(2.0)) == (185.0, 97.5, 10.0)


def _point(name: str, ms: float, value: float, verdict: str = "holds") -> Point:
    kind, precision = name.split()
    times = (ms, ms - 0.1, ms + 0.1)
    interval = (value, value - 0.05, value + 0.05)
    return Point(name, kind, precision, times, interval, verdict, chosen=verdict == "chosen")


_POINTS = [_point("onnx fp32", 2.0, 0.9, "chosen"), _point("tflite int8", 1.0, 0.8, "rejected")]


def test_chosen_candidate_is_ringed_and_a_rejected_one_hollow() -> None:
    figure = tradeoff("t", _POINTS, cost="ms", metric="top-1", cost_limit=None, metric_limits=[])
    assert figure.svg.count('class="ring"') == 1
    assert 'class="mark s1 hollow"' in figure.svg
    assert [label for _, label in figure.legend] == ["onnx fp32 (chosen)", "tflite int8 (rejected)"]
    assert "onnx fp32 0.900 at 2, chosen; tflite int8 0.800 at 1, rejected" in figure.svg


def test_limits_are_drawn_where_they_are() -> None:
    figure = tradeoff(
        "t",
        _POINTS,
        cost="ms",
        metric="top-1",
        cost_limit=Limit(3.0, "at most 3 ms"),
        metric_limits=[Limit(0.85, "drop at most 1 pp")],
    )
    # The axis ends at 1.08 times the limit, so the limit is 304 / 1.08 units from the left, 44.
    assert '<line class="limit" x1="325.48" x2="325.48"' in figure.svg
    # The middle of 0.75 and 0.95 is the middle of the frame.
    assert 'class="limit" x1="44" x2="348" y1="97.5" y2="97.5"' in figure.svg
    assert "Outside" not in figure.caption


def test_limit_far_away_is_told_and_does_not_squash_the_candidates() -> None:
    figure = tradeoff(
        "t",
        _POINTS,
        cost="ms",
        metric="top-1",
        cost_limit=Limit(500.0, "at most 500 ms"),
        metric_limits=[Limit(0.1, "at least 0.1")],
    )
    assert 'class="limit"' not in figure.svg
    assert figure.caption.endswith("Outside of the picture: at most 500 ms, at least 0.1.")


def test_curves_leave_out_what_was_not_measured() -> None:
    given: dict[str, list[tuple[float, float | None]]] = {
        "teacher": [(1.0, None), (2.0, 0.5)],
        "student": [(1.0, 0.1), (2.0, 0.2)],
        "none": [],
    }
    figure = curves("c", "Metric", given, x="epoch", y="metric")
    assert figure is not None
    assert [label for _, label in figure.legend] == ["teacher", "student"]
    assert figure.svg.count("<polyline") == 1
    assert figure.svg.count('class="dot') == 1
    assert curves("c", "Metric", {"teacher": [(1.0, None)]}, x="epoch", y="metric") is None


def test_labels_of_curves_are_escaped() -> None:
    figure = curves("c", "<i>", {"<b>": [(0.0, 1.0)]}, x="<u>", y="&", whole=True)
    assert figure is not None
    assert set(re.findall(r"<([a-z]+)", figure.svg)) == {
        "svg", "title", "desc", "line", "text", "circle",
    }  # fmt: skip


def test_histogram_counts_and_says_what_is_too_slow_to_draw() -> None:
    samples = [1.0] * 150 + [2.0] * 50 + [90.0]
    figure = histogram("h", "onnx <int8>", samples, {"p50": 1.0, "p95": 2.0})
    assert figure.caption == (
        "onnx <int8>: 201 inferences, p50 1 ms, p95 2 ms. Not drawn: 1 slower, up to 90 ms."
    )
    heights = [float(height) for height in re.findall(r'height="([\d.]+)"', figure.svg)]
    # The tallest bar is 1 / 1.15 of 175; the other one a third of it; 38 are empty.
    assert [round(height, 1) for height in heights if height] == [152.2, 50.7]


def test_histogram_of_one_time_without_figures_is_drawn() -> None:
    figure = histogram("h", "onnx", [5.0], {})
    assert figure.caption == "onnx: 1 inferences."
