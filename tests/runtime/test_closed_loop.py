from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat

import pytest

from edgetl.runtime.closed_loop import WarmUp, samples, take_runs, warm_up
from edgetl.runtime.interference import Disturbance
from edgetl.runtime.timing_plan import TimingPlan

_MS = 10**6
_S = 10**9


class Stub:
    """Work that takes known times, and its clock."""

    def __init__(self, times_ns: Iterator[int]) -> None:
        self.time_ns = 0
        self._times_ns = times_ns

    def now(self) -> int:
        return self.time_ns

    def model(self) -> None:
        self.time_ns += next(self._times_ns)

    def end_to_end(self) -> tuple[int, int]:
        self.time_ns += 3 * _MS
        self.model()
        self.time_ns += _MS
        return 3 * _MS, _MS


class StubObserver:
    """An observer that reports a disturbance for each true entry of `busy`."""

    def __init__(self, busy: Sequence[bool] = ()) -> None:
        self.calls: list[str] = []
        self._busy = chain(busy, repeat(False))  # noqa: FBT003 - no flag, a value

    def begin(self) -> None:
        self.calls.append("begin")

    def each_second(self) -> None:
        self.calls.append("second")

    def model_energy_j(self) -> float | None:
        self.calls.append("energy")
        return 0.5

    def end(self) -> tuple[Disturbance, tuple[float | None, float | None]]:
        self.calls.append("end")
        others_cores = 1.0 if next(self._busy) else 0.0
        return Disturbance(1.0, 0.0, 0, others_cores, None, (None, None)), (40.0, 41.0)


@pytest.mark.parametrize(
    ("seconds", "count", "taken"),
    [
        pytest.param(0.1, 5, 10, id="time"),
        pytest.param(0.02, 5, 5, id="count"),
        pytest.param(0.0, 1, 1, id="once"),
    ],
)
def test_samples_take_at_least_the_time_and_the_count(
    seconds: float, count: int, taken: int
) -> None:
    stub = Stub(repeat(10 * _MS))
    times = samples(stub.model, stub.now, seconds=seconds, count=count)
    assert times.tolist() == [10 * _MS] * taken


def test_reading_between_two_inferences_is_not_timed() -> None:
    stub = Stub(repeat(_S // 4))
    looks = []

    def look() -> None:
        looks.append(stub.time_ns)
        stub.time_ns += _S // 2

    times = samples(stub.model, stub.now, seconds=3.0, count=1, each_second=look)
    assert set(times) == {_S // 4}
    # Pauses count as elapsed time; readings still come once a second.
    assert looks == [_S, 2 * _S, 3 * _S]
    assert len(times) == 8


def test_warm_up_ends_when_two_windows_agree() -> None:
    # 20 ms of 4, 40 ms of 2, 80 ms of 1.6 and 160 ms of 1.61.
    times = chain([4 * _MS] * 5, [2 * _MS] * 20, [1_600_000] * 50, repeat(1_610_000))
    stub = Stub(times)
    assert warm_up(stub.model, stub.now) == WarmUp(5 + 20 + 50 + 100, stable=True)


def test_warm_up_that_never_settles_ends_as_unstable() -> None:
    def slower() -> Iterator[int]:
        time_ns = float(_MS)
        while True:
            time_ns *= 1.005
            yield round(time_ns)

    stub = Stub(slower())
    warm = warm_up(stub.model, stub.now)
    assert not warm.stable
    assert 10 * _S <= stub.time_ns < 40 * _S


def test_warm_up_of_a_slow_model_is_two_windows() -> None:
    stub = Stub(repeat(4 * _S))
    assert warm_up(stub.model, stub.now) == WarmUp(10, stable=True)


def test_run_has_times_of_the_model_alone_and_of_the_parts() -> None:
    stub, observer = Stub(repeat(10 * _MS)), StubObserver()
    (run,) = take_runs(stub, stub.now, TimingPlan(0.0, 2, 1), observer)
    assert run.model_ns.tolist() == [10 * _MS] * 2
    assert run.end_to_end_ns.tolist() == [14 * _MS] * 2
    assert run.pre_ns.tolist() == [3 * _MS] * 2
    assert run.post_ns.tolist() == [_MS] * 2
    assert (run.energy_j, run.temperature_c) == (0.5, (40.0, 41.0))
    assert observer.calls == ["begin", "energy", "end"]


def test_observer_is_called_once_a_second() -> None:
    stub, observer = Stub(repeat(100 * _MS)), StubObserver()
    next(take_runs(stub, stub.now, TimingPlan(3.0, 1, 1), observer))
    assert observer.calls == ["begin", "second", "second", "second", "energy", "end"]


@pytest.mark.parametrize(
    ("busy", "taken"),
    [
        pytest.param([], 3, id="quiet"),
        pytest.param([True, False, True], 5, id="repeated"),
        pytest.param([True] * 9, 6, id="given up after twice as many"),
        pytest.param([True] * 5, 6, id="one was undisturbed"),
    ],
)
def test_disturbed_run_is_repeated_up_to_the_maximum(busy: list[bool], taken: int) -> None:
    stub = Stub(repeat(_MS))
    plan = TimingPlan(0.0, 1, 3)
    runs = list(take_runs(stub, stub.now, plan, StubObserver(busy)))
    assert len(runs) == taken <= plan.max_runs
    assert [run.disturbance.interfered for run in runs] == (busy + [False] * 3)[:taken]


@pytest.mark.parametrize(
    ("plan", "num_runs", "num_samples", "enough"),
    [
        pytest.param(TimingPlan(1.0, 50, 5), 3, 71, False, id="no p95"),
        pytest.param(TimingPlan(1.0, 50, 5), 3, 72, True, id="p95"),
        pytest.param(TimingPlan(1.0, 50, 5), 2, 9999, False, id="two of five runs"),
        pytest.param(TimingPlan(1.0, 50, 10), 5, 9999, False, id="half of ten runs"),
        pytest.param(TimingPlan(1.0, 50, 10), 6, 9999, True, id="more than half"),
        pytest.param(TimingPlan(1.0, 50, 3), 2, 9999, False, id="two of three runs"),
        pytest.param(TimingPlan(0.0, 10, 1), 1, 10, True, id="no more were requested"),
        pytest.param(TimingPlan(0.0, 10, 2), 1, 10, False, id="half of them"),
    ],
)
def test_figures_need_most_runs_and_enough_samples_for_the_limit(
    plan: TimingPlan, num_runs: int, num_samples: int, *, enough: bool
) -> None:
    assert plan.enough(num_runs, num_samples) is enough
