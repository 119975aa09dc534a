"""Take times: one inference after the other, the next one when the last is done.

The clock is handed in, so that a test can put known times through the very same loop.
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
"""A clock: nanoseconds that only grow."""

NS_PER_S = 10**9

_WINDOW_COUNT = 5
_WINDOW_S = 0.02
_STABLE_SHARE = 0.02
_WARM_UP_LIMIT_S = 10.0


class Work(Protocol):
    """What is timed."""

    def model(self) -> None:
        """Run the model on fitted pixels."""

    def whole(self) -> tuple[int, int]:
        """Go from an image file to the answer; return what came before and after the model, ns."""


class Observer(Protocol):
    """What looks at the machine during a run."""

    def begin(self) -> None:
        """Start a run."""

    def each_second(self) -> None:
        """Look, about once a second of the model alone, between two inferences."""

    def model_energy_j(self) -> float | None:
        """Return what was used since `begin`; called when the model alone has been timed."""

    def end(self) -> tuple[Disturbance, tuple[float | None, float | None]]:
        """Return what happened, and the temperatures before and after, degrees Celsius."""


@dataclass(frozen=True)
class WarmUp:
    """What came before the runs, and is no part of them."""

    count: int
    stable: bool
    """Whether it ended because the medians of two windows agreed, not because time was up."""


@dataclass(frozen=True)
class Run:
    """Times of one run, nanoseconds, in the order they were taken."""

    model_ns: array[int]
    """Pixels to outputs."""
    end_to_end_ns: array[int]
    """Image file to class or objects."""
    pre_ns: array[int]
    """Of it: decoding the file and fitting the image."""
    post_ns: array[int]
    """Of it: what follows the model, such as suppression."""
    disturbance: Disturbance
    temperature_c: tuple[float | None, float | None]
    """Before and after."""
    energy_j: float | None
    """Of the model alone, all its inferences together."""


def warm_up(run: Callable[[], object], now: Now) -> WarmUp:
    """Run until the medians of two successive windows agree within 2 %, or 10 s are over.

    Each window is twice as long as the one before: so an odd one is soon outweighed, and medians
    of times that scatter come close to each other as well.
    """
    until = now() + round(_WARM_UP_LIMIT_S * NS_PER_S)
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
    """Yield runs until enough of them were undisturbed, or there have been `plan.most_runs`."""
    undisturbed = 0
    for _ in range(plan.most_runs):
        run = _take_run(work, now, plan, observer)
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

    `each_second` is called between two inferences and is in no time.
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


def _take_run(work: Work, now: Now, plan: TimingPlan, observer: Observer) -> Run:
    pre_ns, post_ns = array("q"), array("q")

    def whole() -> None:
        before, after = work.whole()
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
    end_to_end_ns = samples(whole, now, seconds=plan.seconds, count=plan.count)
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
