"""The cases against a baseline: whether the bundle is shown to be worse than a known good one.

A case fails if the loss is *shown to be larger* than allowed, that is, if the whole confidence
interval of the loss lies beyond the allowed value. Two cases are subject to chance, accuracy and
latency; each gets half of `FALSE_ALARM`, so that a build that lost no more than allowed turns the
check red no more often than that. The price is power: a loss that few images cannot show is missed.

Intervals are given at 95 % and rescaled to the level needed as if they were normal. In 2000
simulated checks per setting, with 40 to 2000 images and a true loss of exactly the allowed value,
the accuracy case was red in 0 to 1.05 %, and in 14 of 15 settings in less than 1 %. Variation
between measurements that exceeds the variation between runs of one measurement is covered by the
allowed ratio, and by repeating red timings (`edgetl.gate.measure.MEASUREMENTS`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from edgetl.evaluation import Predictions
from edgetl.facts.latency import Quantile
from edgetl.facts.scores import Difference
from edgetl.gate.baseline import Baseline, LatencyRecord
from edgetl.gate.bundle import Bundle, Images
from edgetl.gate.case import Case, Status, judged, warned
from edgetl.gate.limits import Accuracy, unproven
from edgetl.gate.measure import Measurements, Times
from edgetl.tasks import TASKS
from edgetl.types import Split

FALSE_ALARM = 0.01
"""The highest rate at which a build that is no worse than allowed turns a check red."""

_SHOWN = NormalDist().inv_cdf(1 - FALSE_ALARM / 2) / NormalDist().inv_cdf(0.975)
"""Width of the interval used, as a multiple of the 95 % interval."""
_SURPRISE_PP = 2.0
"""A larger gain gives a warning: it often means that test images leaked into the training."""
_SURPRISE_RATIO = 0.7
"""A latency below this multiple gives a warning too."""
_MEDIAN = "p50"
_MACHINE = ("machine", "processor", "cores")
"""Fields that identify a machine; changes of others, such as the kernel, give a warning."""
_FASTER = "much faster: if nothing explains it, check that the same model and work were timed"
_RETAKE = "time the baseline again: edgetl baseline update BUNDLE --device ADDRESS"
_NO_PREDICTIONS = (
    "the predictions for the test images are not available; check with the store of the run "
    "(--store)"
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """How much worse than the baseline a bundle may be."""

    drop_pp: float
    """How much accuracy may drop, percentage points."""
    ratio: float
    """How much latency and size may grow, as a multiple of the baseline's."""


@dataclass(frozen=True, slots=True)
class Current:
    """The current state of the bundle."""

    bundle: Bundle
    accuracy: Accuracy
    predictions: Predictions | None
    images: Images | None
    measurements: Measurements


def baseline_cases(
    current: Current, baseline: Baseline, kept: Predictions | None, allowed: Allowed
) -> tuple[Case, Case, Case]:
    """Return how accuracy, latency and size compare with those of `baseline`.

    A comparison that cannot be made is unverified. It is skipped if the baseline has nothing to
    compare with; that of times also if the device is emulated.

    Args:
        current: The bundle now.
        baseline: Of the same model, target and test images.
        kept: Its predictions; None if it has none, or the images are not available.
        allowed: How much worse it may be.
    """
    before, now = baseline.size_bytes, current.bundle.size_bytes()
    growth = now / before if before else math.inf
    size = f"{now} bytes, {growth:.4g} times the baseline's"
    return (
        _accuracy(current, baseline, kept, allowed.drop_pp),
        _latency(current, baseline, allowed.ratio),
        judged(
            "size against baseline",
            f"{size}; at most {allowed.ratio:g} allowed" if growth > allowed.ratio else "",
            size,
            figures={"ratio": round(growth, 6), "limit": allowed.ratio},
        ),
    )


def ratio_interval(now: Quantile, before: Quantile) -> tuple[float, float, float]:
    """Return the ratio of two quantiles of times, with its interval at the level of `FALSE_ALARM`.

    The interval of a difference (of logarithms) from the intervals of its terms: Zou and Donner
    (2008), Construction of confidence limits about effect measures: a general approach, Statistics
    in Medicine 27, 1693-1702, equation 8.
    """
    ratio = math.log(now.value / before.value)
    down = math.hypot(math.log(now.value / now.low), math.log(before.high / before.value))
    up = math.hypot(math.log(now.high / now.value), math.log(before.value / before.low))
    return math.exp(ratio), math.exp(ratio - _SHOWN * down), math.exp(ratio + _SHOWN * up)


def _accuracy(
    current: Current, baseline: Baseline, kept: Predictions | None, allowed_pp: float
) -> Case:
    name, images = "accuracy against baseline", current.images
    if baseline.accuracy.predictions is None:
        return Case(name, Status.SKIPPED, "the baseline has no predictions for the test images")
    if kept is None or images is None or current.predictions is None:
        return Case(name, Status.UNVERIFIED, _NO_PREDICTIONS)
    evaluation = TASKS.load(images.dataset.task).evaluation
    difference = evaluation.difference(kept, current.predictions, images.dataset, Split.TEST)
    loss_pp, least_pp, most_pp = _shown(difference)
    text = (
        f"{evaluation.title} lost {loss_pp:+.2f} pp [{least_pp:+.2f}, {most_pp:+.2f}] "
        f"on the same {current.accuracy.score.images} images"
    )
    figures = {
        "lost_pp": loss_pp,
        "low_pp": round(least_pp, 4),
        "high_pp": round(most_pp, 4),
        "allowed_pp": allowed_pp,
    }
    problem = f"{text}; at most {allowed_pp:g} allowed" if least_pp > allowed_pp else ""
    case = judged(name, problem, text, provenance=current.accuracy.provenance, figures=figures)
    if loss_pp >= -_SURPRISE_PP or most_pp >= 0.0:
        return case
    warning = (
        f"{evaluation.title} gained {-loss_pp:.2f} pp: if nothing explains it, look for test "
        "images in the training data; otherwise update the baseline"
    )
    return warned(case, warning)


def _shown(difference: Difference) -> tuple[float, float, float]:
    """Return a difference in points with its interval at the level of `FALSE_ALARM`."""
    value = difference.pp
    low = value - _SHOWN * (value - difference.low_pp)
    high = value + _SHOWN * (difference.high_pp - value)
    return value, low, high


def _latency(current: Current, baseline: Baseline, allowed: float) -> Case:
    name, measurements = "latency against baseline", current.measurements
    kept, times = baseline.latency, measurements.times
    if kept is None:
        return Case(name, Status.SKIPPED, "the baseline has no times", measurements.provenance)
    if times is None:
        why = f"device '{measurements.device}' took no valid times"
        if measurements.error:
            why = "not run: the golden samples do not run"
        return Case(name, Status.SKIPPED, why, measurements.provenance)
    before, now = kept.model_ms.get(_MEDIAN), times.summary.p50
    other = _other_conditions(times, kept)
    if other or before is None or now is None:
        reason = f"{other or 'there are too few times for a median'}; {_RETAKE}"
        return Case(name, Status.UNVERIFIED, reason, measurements.provenance)
    case = _judged_ratio(now, before, allowed, measurements.provenance)
    return warned(unproven(case, times), *times.doubts(), _changes(times, kept))


def _judged_ratio(now: Quantile, before: Quantile, allowed: float, provenance: str) -> Case:
    ratio, low, high = ratio_interval(now, before)
    text = (
        f"median {now.value:.4g} ms, {ratio:.3f} [{low:.3f}, {high:.3f}] times the "
        f"{before.value:.4g} ms of the baseline"
    )
    figures = {
        "ratio": round(ratio, 6),
        "low": round(low, 6),
        "high": round(high, 6),
        "limit": allowed,
    }
    problem = f"{text}; at most {allowed:g} allowed" if low > allowed else ""
    case = judged("latency against baseline", problem, text, provenance=provenance, figures=figures)
    return warned(case, _FASTER if high < _SURPRISE_RATIO else "")


def _other_conditions(times: Times, kept: LatencyRecord) -> str:
    """Return why the two timings cannot be compared; empty if they can."""
    threads = times.summary.threads  # fewer than the target's where there are fewer cores
    if kept.threads != threads:
        return f"the baseline was timed with {kept.threads} threads, this with {threads}"
    pairs = [
        f"{key} {times.host.get(key)!r}, not {kept.host.get(key)!r}"
        for key in _MACHINE
        if kept.host.get(key) != times.host.get(key)
    ]
    return f"the baseline was timed on another machine: {', '.join(pairs)}" if pairs else ""


def _changes(times: Times, kept: LatencyRecord) -> str:
    """Return what else differs, which may explain a change of latency but never hides one."""
    before, now = dict(kept.host), dict(times.host)
    if kept.engine is not None:
        before["engine"], now["engine"] = kept.engine, times.summary.engine
    pairs = [
        f"{key} {now.get(key)!r}, not {before.get(key)!r}"
        for key in sorted({*before, *now} - {*_MACHINE})
        if before.get(key) != now.get(key)
    ]
    return f"differs from when the baseline was timed: {', '.join(pairs)}" if pairs else ""
