"""Time inferences in a closed loop: the next one starts when the last one has ended.

The clock is an argument, so that a test can run known times through the same loop.
"""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from edgetl.runtime.interference import Disturbance
from edgetl.runtime.timing_plan import TimingPlan

Now = Callable[[], int]
"""A monotonic clock, nanoseconds."""

NS_PER_S = 10**9

_WINDOW_COUNT = 5
_WINDOW_S = 0.02
_STABLE_SHARE = 0.02
WARM_UP_LIMIT_S = 10.0


class Work(Protocol):
    """The code to time."""

    def model(self) -> None:
        """Run the model alone, on preprocessed pixels."""

    def end_to_end(self) -> tuple[int, int]:
        """Predict from an image file; return the times before and after the model, nanoseconds."""


class Observer(Protocol):
    """Observes the machine during a run."""

    def begin(self) -> None:
        """Start a run."""

    def each_second(self) -> None:
        """Take a reading between two inferences, about once a second while the model is timed."""

    def model_energy_j(self) -> float | None:
        """Return the energy since `begin`; called after the model alone has been timed."""

    def end(self) -> tuple[Disturbance, tuple[float | None, float | None]]:
        """Return the disturbance, and the temperatures before and after, degrees Celsius."""


@dataclass(frozen=True)
class WarmUp:
    """The inferences before the first run; none of them counts."""

    count: int
    stable: bool
    """Whether it ended because the medians of two windows agreed, not at the time limit."""


@dataclass(frozen=True)
class Run:
    """Times of one run, nanoseconds, in order."""

    model_ns: array[int]
    """From pixels to outputs."""
    end_to_end_ns: array[int]
    """From image file to class or detections."""
    pre_ns: array[int]
    """Share of `end_to_end_ns` for decoding and preprocessing."""
    post_ns: array[int]
    """Share of `end_to_end_ns` after the model, such as non-maximum suppression."""
    disturbance: Disturbance
    temperature_c: tuple[float | None, float | None]
    """Before and after."""
    energy_j: float | None
    """Energy of all inferences of the model alone."""


def warm_up(run: Callable[[], object], now: Now, *, limit_s: float = WARM_UP_LIMIT_S) -> WarmUp:
    """Run until the medians of two successive windows agree within 2 %, or for `limit_s`.

    Each window is twice as long as the one before, so outliers soon lose their weight and the
    medians converge even when times scatter.
    """
    until = now() + round(limit_s * NS_PER_S)
    window = samples(run, now, seconds=_WINDOW_S, count=_WINDOW_COUNT)
    done, seconds, stable = len(window), _WINDOW_S, False
    while not stable:
        previous = statistics.median(window)
        seconds *= 2
        window = samples(run, now, seconds=seconds, count=_WINDOW_COUNT)
        done += len(window)
        stable = abs(statistics.median(window) - previous) <= _STABLE_SHARE * previous
        if now() >= until:
            break
    return WarmUp(done, stable)


def take_runs(work: Work, now: Now, plan: TimingPlan, observer: Observer) -> Iterator[Run]:
    """Yield runs until enough of them were undisturbed, at most `plan.max_runs`."""
    undisturbed = 0
    for _ in range(plan.max_runs):
        run = take_run(work, now, plan, observer)
        yield run
        undisturbed += not run.disturbance.interfered
        if undisturbed == plan.runs:
            return


def samples(
    run: Callable[[], object],
    now: Now,
    *,
    seconds: float,
    count: int,
    each_second: Callable[[], None] | None = None,
) -> array[int]:
    """Time `run` for at least `seconds` and at least `count` times.

    `each_second` is called between two inferences and is not timed.
    """
    taken = array("q")
    ended = now()
    until = ended + round(seconds * NS_PER_S)
    tick = ended + NS_PER_S
    while len(taken) < count or ended < until:
        started = now()
        run()
        ended = now()
        taken.append(ended - started)
        if each_second is not None and ended >= tick:
            each_second()
            tick = ended + NS_PER_S
    return taken


def take_run(work: Work, now: Now, plan: TimingPlan, observer: Observer) -> Run:
    """Time the model alone, and then end to end."""
    pre_ns, post_ns = array("q"), array("q")

    def end_to_end() -> None:
        before, after = work.end_to_end()
        pre_ns.append(before)
        post_ns.append(after)

    observer.begin()
    model_ns = samples(
        work.model,
        now,
        seconds=plan.seconds,
        count=plan.count,
        each_second=observer.each_second,
    )
    energy_j = observer.model_energy_j()
    end_to_end_ns = samples(end_to_end, now, seconds=plan.seconds, count=plan.count)
    disturbance, temperature_c = observer.end()
    return Run(
        model_ns=model_ns,
        end_to_end_ns=end_to_end_ns,
        pre_ns=pre_ns,
        post_ns=post_ns,
        disturbance=disturbance,
        temperature_c=temperature_c,
        energy_j=energy_j,
    )
