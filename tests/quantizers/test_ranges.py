from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.config.calibration import RangeTable
from edgetl.quantizers._graph import Gate
from edgetl.quantizers._ranges import (
    LEVELS,
    NUM_BINS,
    Floats,
    Histogram,
    Range,
    Statistics,
    cheapest_range,
    divergence,
    percentile_range,
    pixel_head,
    pixel_ranges,
    squared_error,
    without_closed_gates,
)
from edgetl.quantizers._samples import Feed, Samples

SAMPLES: Samples = {"image": np.array([[[[0]]], [[[100]]], [[[200]]]], np.uint8)}


def spread(counts: dict[int, float], lowest: float = 0.0, highest: float = 2048.0) -> Histogram:
    """Return a histogram; with the default bounds its bins are one unit wide."""
    bins = np.zeros(NUM_BINS)
    for position, count in counts.items():
        bins[position] = count
    return Histogram(lowest, highest, bins)


def observe(feed: Feed) -> Iterator[tuple[str, Floats]]:
    yield "shifted", feed["image"] - 50
    yield "doubled", feed["image"] * 2


def test_minmax_covers_every_value_of_every_image() -> None:
    assert Statistics(observe, SAMPLES).ranges(RangeTable()) == {
        "shifted": (-50.0, 150.0),
        "doubled": (0.0, 400.0),
    }


def test_range_contains_zero_even_if_no_value_is_near_it() -> None:
    def far(feed: Feed) -> Iterator[tuple[str, Floats]]:
        yield "above", feed["image"] + 10
        yield "below", -feed["image"] - 10

    assert Statistics(far, SAMPLES).ranges(RangeTable()) == {
        "above": (0.0, 210.0),
        "below": (-210.0, 0.0),
    }


def test_order_of_images_does_not_matter() -> None:
    settings = RangeTable(estimator="mse")

    forwards, backwards = (
        Statistics(observe, SAMPLES),
        Statistics(observe, {"image": SAMPLES["image"][::-1]}),
    )
    assert forwards.ranges(settings) == backwards.ranges(settings)


@pytest.mark.parametrize("estimator", ["percentile", "entropy", "mse"])
def test_activation_that_is_always_zero_keeps_its_range(
    estimator: Literal["percentile", "entropy", "mse"],
) -> None:
    def nothing(feed: Feed) -> Iterator[tuple[str, Floats]]:
        yield "dead", feed["image"] * 0

    assert Statistics(nothing, SAMPLES).ranges(RangeTable(estimator=estimator)) == {
        "dead": (0.0, 0.0)
    }


def test_percentile_clips_half_of_the_rest_at_each_end() -> None:
    # 1000 values, 98 percent kept: up to 10 are clipped at each end. 8 and 4 are below zero.
    histogram = spread({0: 8, 500: 4, 1024: 976, 1500: 7, 2047: 5}, lowest=-1024.0, highest=1024.0)

    lowest, highest = percentile_range(histogram, 0.98)

    assert (lowest, highest) == (500.0 - 1024.0, 1501.0 - 1024.0)


def test_percentile_of_a_one_sided_distribution_keeps_zero() -> None:
    assert percentile_range(spread({1000: 1000}), 0.98) == (0.0, 1001.0)


def test_mse_clips_a_single_outlier_and_keeps_a_flat_distribution() -> None:
    flat = spread(dict.fromkeys(range(NUM_BINS), 1.0))
    lonely = spread({**dict.fromkeys(range(300), 1000.0), 2047: 1.0})

    assert cheapest_range(flat, squared_error)[1] > 2000.0
    # 300,000 values in steps of s/255 and one value clipped from 2047 to s together cost
    # 300000/12 (s/255)^2 + (2047 - s)^2, with the minimum at s = 1479.
    assert cheapest_range(lonely, squared_error)[1] == pytest.approx(1479, abs=60)


def test_squared_error_of_one_step_per_bin_is_the_clipping_error() -> None:
    counts = np.zeros(NUM_BINS)
    counts[LEVELS + 9] = 2.0

    # Steps are at 0, 256/255, ... 256; the value 265.5, which occurs twice, is clipped to 256.
    assert squared_error(counts, 0, LEVELS) == pytest.approx(2 * 9.5**2)


def test_divergence_is_zero_where_every_step_is_flat() -> None:
    counts: NDArray[np.float64] = np.ones(2 * LEVELS)

    assert divergence(counts, 0, 2 * LEVELS) == pytest.approx(0.0, abs=1e-12)


def test_divergence_of_a_step_with_two_values_is_that_of_their_mean() -> None:
    counts: NDArray[np.float64] = np.ones(2 * LEVELS)
    counts[:2] = 3.0, 1.0

    # Among 514 values, the first step replaces the counts 3 and 1 by 2 and 2.
    by_hand = 3 / 514 * np.log(3 / 2) + 1 / 514 * np.log(1 / 2)
    assert divergence(counts, 0, 2 * LEVELS) == pytest.approx(by_hand)


def test_entropy_clips_at_most_half_of_the_range() -> None:
    positions = np.arange(NUM_BINS)
    counts = np.where(positions < 400, 5000 * np.exp(-positions / 40), 0).astype(int)
    counts[-1] = 1

    def lonely(feed: Feed) -> Iterator[tuple[str, Floats]]:
        del feed
        yield "lonely", np.repeat(positions, counts).astype(np.float32)

    ranges = Statistics(lonely, {"image": SAMPLES["image"][:1]}).ranges(
        RangeTable(estimator="entropy")
    )

    assert 2047 / 2 <= ranges["lonely"][1] < 2047


def test_pixel_head_ends_at_the_first_operation_that_mixes_pixels() -> None:
    operations = [
        ("SUB", ("image", "mean"), ("centred",)),
        ("Mul", ("centred", "scale"), ("normalised",)),
        ("Conv", ("normalised", "weights"), ("mixed",)),
        ("Add", ("mixed", "bias"), ("shifted",)),
        ("Mul", ("centred", "shifted"), ("product",)),
    ]
    constants = {"mean", "scale", "weights", "bias"}

    assert pixel_head(operations, ["image"], constants) == {"image", "centred", "normalised"}


def test_pixel_head_covers_black_to_white_for_any_calibration_images() -> None:
    assert pixel_ranges(observe, {"shifted"}, SAMPLES) == {"shifted": (-50.0, 205.0)}


def test_pixel_head_of_several_inputs_covers_images_alone() -> None:
    samples: Samples = {"tokens": np.array([[7, 8]], np.int32), "image": SAMPLES["image"][:1]}

    def both(feed: Feed) -> Iterator[tuple[str, Floats]]:
        assert feed["tokens"].tolist() == [[7, 8]], "tokens stay as they are"
        yield "shifted", feed["image"] + feed["tokens"].sum()

    assert pixel_ranges(both, {"shifted"}, samples) == {"shifted": (0.0, 270.0)}
    tokens: Samples = {"tokens": samples["tokens"]}
    assert pixel_head([("Add", ("tokens", "bias"), ("sum",))], [], {"bias"}) == frozenset()
    assert pixel_ranges(lambda feed: [("sum", feed["tokens"])], frozenset(), tokens) == {}


def test_best_is_refused_as_an_estimator() -> None:
    with pytest.raises(ValueError, match="'best' is not an estimator"):
        Statistics(observe, SAMPLES).ranges(RangeTable(estimator="best"))


@pytest.mark.parametrize(
    ("gate", "output", "expected"),
    [
        # Half a step is 6.375 / 510 = 0.0125, and -2.9747 * 0.0253 / 6 = -0.0125.
        pytest.param(Gate.HARD_SWISH, (-0.375, 6.0), -2.9747, id="hard-swish"),
        # Half a step is 10 / 510 = 0.0196, and -5.664 / (1 + exp(5.664)) = -0.0196.
        pytest.param(Gate.SILU, (-0.28, 9.72), -5.664, id="silu"),
    ],
)
def test_range_before_a_gate_begins_where_the_output_is_half_a_step(
    gate: Gate, output: Range, expected: float
) -> None:
    ranges = {"input": (-20.0, 10.0), "output": output}
    trimmed = without_closed_gates(ranges, {"input": (gate, "output")})
    assert trimmed["output"] == output
    assert trimmed["input"] == pytest.approx((expected, 10.0), abs=0.03)


def test_range_that_closes_no_gate_is_kept() -> None:
    # Above -1.2785 SiLU still falls. With outputs up to 1000, half a step exceeds all of them
    # below zero.
    gated = {"input": (Gate.SILU, "output"), "wide": (Gate.SILU, "wide output")}
    ranges = {
        "input": (-1.2, 10.0),
        "output": (-0.28, 10.0),
        "wide": (-5.0, 1000.0),
        "wide output": (-0.28, 1000.0),
    }
    trimmed = without_closed_gates(ranges, gated)
    assert trimmed["input"] == (-1.2, 10.0)
    assert trimmed["wide"] == pytest.approx((-1.2785, 1000.0))
