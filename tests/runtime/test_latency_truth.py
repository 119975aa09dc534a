"""Run known distributions of latency through the timing loop, on a simulated clock.

The claim: the interval contains the quantile of the distribution that all timed inferences came
from. With drift, that is the distribution over the whole measurement, from first to last inference.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgetl.runtime.closed_loop import take_runs, warm_up
from edgetl.runtime.interference import Disturbance
from edgetl.runtime.quantiles import intervals
from edgetl.runtime.timing_plan import TimingPlan

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLAN = TimingPlan(0.0, 150, 5)
_TOTAL = _PLAN.count * _PLAN.runs
_MEASUREMENTS = 200
_QUANTILES = (0.5, 0.95)
_BASE_NS = 1e6

Distribution = Callable[["NDArray[np.float64]", np.random.Generator], "NDArray[np.float64]"]
"""Maps positions in the measurement, 0 to 1, to times in nanoseconds."""


def _constant(position: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    del rng
    return np.full(position.shape, _BASE_NS)


def _lognormal(position: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return _BASE_NS * rng.lognormal(0.0, 0.1, position.shape)


def _bimodal(position: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    slow = rng.random(position.shape) < 0.2
    return _BASE_NS * np.where(slow, 1.5, 1.0) * rng.lognormal(0.0, 0.02, position.shape)


def _drifting(position: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return _BASE_NS * (1 + 0.3 * position) * rng.lognormal(0.0, 0.02, position.shape)


def _spikes(position: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    spike = rng.random(position.shape) < 0.01
    return _BASE_NS * np.where(spike, 20.0, 1.0) * rng.lognormal(0.0, 0.02, position.shape)


_LAWS = [_constant, _lognormal, _bimodal, _drifting, _spikes]


@pytest.mark.parametrize("law", _LAWS, ids=lambda law: law.__name__.strip("_"))
def test_interval_contains_the_true_quantile_in_95_of_100_measurements(law: Distribution) -> None:
    positions = np.tile((np.arange(_TOTAL) + 0.5) / _TOTAL, 1000)
    many = law(positions, np.random.default_rng(10**6))
    truth = {q: float(np.quantile(many, q)) for q in _QUANTILES}
    held = dict.fromkeys(_QUANTILES, 0)
    for seed in range(_MEASUREMENTS):
        stub = _Stub(law, np.random.default_rng(seed))
        warm_up(stub.model, stub.now)
        stub.begin_drift()
        runs = [run.model_ns for run in take_runs(stub, stub.now, _PLAN, _Alone())]
        assert sum(map(len, runs)) == _TOTAL
        for q, interval in intervals(runs, _QUANTILES).items():
            assert interval is not None
            # Times are whole nanoseconds.
            held[q] += interval.low * 1e6 - 1 <= truth[q] <= interval.high * 1e6 + 1
    assert min(held.values()) >= 0.95 * _MEASUREMENTS, held


class _Stub:
    """A model with inference times from a distribution, and the clock that it advances."""

    def __init__(self, law: Distribution, rng: np.random.Generator) -> None:
        self._law = law
        self._rng = rng
        self._time_ns = 0
        self._times_ns = itertools.cycle(self._draw(np.zeros(1000)))

    def begin_drift(self) -> None:
        self._times_ns = itertools.cycle(self._draw((np.arange(_TOTAL) + 0.5) / _TOTAL))

    def now(self) -> int:
        return self._time_ns

    def model(self) -> None:
        self._time_ns += next(self._times_ns)

    def end_to_end(self) -> tuple[int, int]:
        self._time_ns += 2 * int(_BASE_NS)
        return 0, 0

    def _draw(self, positions: NDArray[np.float64]) -> list[int]:
        times: list[int] = np.rint(self._law(positions, self._rng)).astype(int).tolist()
        return times


class _Alone:
    """An observer that reports no disturbance."""

    def begin(self) -> None: ...

    def each_second(self) -> None: ...

    def model_energy_j(self) -> float | None:
        return None

    def end(self) -> tuple[Disturbance, tuple[float | None, float | None]]:
        return Disturbance(1.0, 0.0, 0, 0.0, None, (None, None)), (None, None)
