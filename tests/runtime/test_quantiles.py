from __future__ import annotations

import numpy as np
import pytest

from edgetl.runtime.quantiles import Interval, headline, intervals, nearest_rank, support


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        pytest.param(0.5, 50, id="p50"),
        pytest.param(0.95, 95, id="p95"),
        pytest.param(0.951, 96, id="between two"),
        pytest.param(1.0, 100, id="longest"),
        pytest.param(0.0, 1, id="shortest"),
    ],
)
def test_quantile_is_one_of_the_measured_times(q: float, expected: int) -> None:
    assert nearest_rank(range(1, 101), q) == expected


@pytest.mark.parametrize(("q", "least"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368)])
def test_quantile_needs_enough_samples_for_an_upper_end(q: float, least: int) -> None:
    assert support(q) == least
    # By definition: the probability that all n are below the quantile is at most 1 in 40.
    assert q**least <= 1 / 40 < q ** (least - 1)


def test_median_is_over_run_medians_and_the_tail_over_all_samples() -> None:
    odd = [900] * 10
    runs = [[10] * 10, [11] * 10, odd, [12] * 10, [13] * 10]
    assert headline(runs, 0.5) == 12
    assert headline(runs, 0.8) == 13
    assert headline(runs, 0.95) == 900


@pytest.mark.parametrize("runs", [[], [[1], []]])
def test_quantile_without_samples_is_refused(runs: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="needs at least one run and samples in every run"):
        headline(runs, 0.5)


def test_quantile_without_enough_samples_is_none() -> None:
    quantiles = intervals([list(range(1, 37)), list(range(1, 36))])
    assert [q for q, interval in quantiles.items() if interval is None] == [0.95, 0.99]
    assert intervals([[5] * 5])[0.5] is None


def test_interval_contains_its_value_and_is_reproducible() -> None:
    times = np.random.default_rng(3).normal(1e6, 1e4, (5, 100)).astype(int).tolist()
    quantiles = intervals(times)
    assert quantiles == intervals(times)
    for interval in quantiles.values():
        assert interval is not None
        assert interval.low <= interval.value <= interval.high


def test_interval_of_equal_times_is_a_point() -> None:
    assert set(intervals([[2_000_000] * 100] * 5).values()) == {Interval(2.0, 2.0, 2.0)}


def test_interval_agrees_with_direct_resampling_of_runs_and_blocks() -> None:
    rng = np.random.default_rng(1)
    times = rng.lognormal(0.0, 0.2, (4, 200)) * 1e6 * np.array([[1.0], [1.05], [1.1], [1.15]])
    runs = times.astype(np.int64)
    blocks = runs.reshape(4, 20, 10)
    p50, p95 = [], []
    for _ in range(4000):
        resampled = [blocks[i][rng.integers(20, size=20)].ravel() for i in rng.integers(4, size=4)]
        p50.append(sorted(np.sort(run)[99] for run in resampled)[1])
        p95.append(np.sort(np.concatenate(resampled))[759])
    quantiles = intervals(runs.tolist(), (0.5, 0.95))
    for q, plain in ((0.5, p50), (0.95, p95)):
        interval = quantiles[q]
        assert interval is not None
        expected = np.quantile(plain, [0.025, 0.975]) / 1e6
        # The ends are order statistics, and thresholds are a tenth apart in rank.
        assert [interval.low, interval.high] == pytest.approx(expected, rel=0.015)


def test_correlated_times_widen_the_interval() -> None:
    rng = np.random.default_rng(5)
    level = np.repeat(rng.normal(0.0, 1e5, 20), 50)
    times = (1e6 + level + rng.normal(0.0, 1e3, 1000)).astype(int)
    widths = {}
    for name, order in (("states", times), ("scattered", rng.permutation(times))):
        interval = intervals([order.tolist()], (0.5,))[0.5]
        assert interval is not None
        widths[name] = interval.high - interval.low
    assert widths["states"] > 2 * widths["scattered"]
