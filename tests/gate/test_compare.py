"""A loss is red when it is shown to be more than allowed, and seldom otherwise."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.facts.latency import Host, Quantile, TimingFacts
from edgetl.gate.baseline import Baseline, LatencyRecord, baseline_predictions, make_baseline
from edgetl.gate.bundle import find_images, open_bundle
from edgetl.gate.case import Case, Status
from edgetl.gate.compare import FALSE_ALARM, Allowed, Current, baseline_cases, ratio_interval
from edgetl.gate.limits import Accuracy
from edgetl.gate.measure import Measurements, Times

_ALLOWED = Allowed(drop_pp=0.5, ratio=1.1)
_HOST: Host = {
    "machine": "aarch64",
    "processor": "A72",
    "cores": 4,
    "kernel": "6.1",
    "governor": None,
}
_ENGINE = "onnxruntime 1.31.1"
_QUIET = {
    "asked": 5,
    "taken": 5,
    "undisturbed": 5,
    "p50_ms": [10.0] * 5,
    "disturbances": [[]] * 5,
}
_BUSY = ["other programs kept 1.0 cores busy"]
_NUM_IMAGES = 60


@pytest.fixture
def current(backend: Any) -> Current:
    """Return a bundle that was timed at 10 ms."""
    bundle = open_bundle(backend.bundle(), "board")
    images = find_images(bundle, backend.store)
    assert images is not None
    median = {"p50": _quantile(10.0)}
    summary = backend.examples.timing(model_ms=median, engine=_ENGINE, runs=_QUIET)
    measurements = Measurements("local", "measured", (), "", Times(summary, _HOST), None)
    accuracy = Accuracy.of_manifest(bundle)
    return Current(bundle, accuracy, images.predictions, images, measurements)


@pytest.fixture
def baseline(current: Current) -> Baseline:
    """Return the same figures as the baseline."""
    made = make_baseline(current.bundle, current.images, None)
    latency = LatencyRecord(
        model_ms={"p50": _quantile(10.0)}, threads=1, host=_HOST, engine=_ENGINE
    )
    return made.model_copy(update={"latency": latency})


def _quantile(value: float, spread: float = 0.01) -> Quantile:
    return Quantile(value=value, low=value * (1 - spread), high=value * (1 + spread))


def _timed(current: Current, median: float | Quantile, **changes: Any) -> Current:
    times = current.measurements.times
    assert times is not None
    model_ms = {"p50": median if isinstance(median, Quantile) else _quantile(median)}
    summary = TimingFacts.model_validate({**dict(times.summary), "model_ms": model_ms, **changes})
    times = dataclasses.replace(times, summary=summary)
    return dataclasses.replace(
        current, measurements=dataclasses.replace(current.measurements, times=times)
    )


def _wrong(current: Current, count: int) -> Current:
    """Return the bundle with that many more of the first 54 images, all right, answered wrongly."""
    assert current.predictions is not None
    logits = current.predictions["logits"].copy()
    logits[:count] = np.roll(logits[:count], 1, axis=1)
    return dataclasses.replace(current, predictions={"logits": logits})


def _case(current: Current, baseline: Baseline, name: str) -> Case:
    kept = baseline_predictions(baseline, current.bundle, current.images, Path("baseline.json"))
    cases = baseline_cases(current, baseline, kept, _ALLOWED)
    return next(case for case in cases if case.name == f"{name} against baseline")


def test_unchanged_build_seldom_raises_an_alarm(current: Current, baseline: Baseline) -> None:
    generator = np.random.default_rng(0)
    predictions = baseline_predictions(
        baseline, current.bundle, current.images, Path("baseline.json")
    )
    alarms = 0
    for _ in range(200):
        before, now = (_median(generator.lognormal(2.3, 0.25, 60)) for _ in range(2))
        kept = LatencyRecord(model_ms={"p50": before}, threads=1, host=_HOST)
        build = dataclasses.replace(current, measurements=_timed(current, now).measurements)
        cases = baseline_cases(
            build, baseline.model_copy(update={"latency": kept}), predictions, _ALLOWED
        )
        assert [case.status for case in cases if case.name != "latency against baseline"] == [
            Status.PASSED,
            Status.PASSED,
        ]
        alarms += any(case.status is Status.FAILED for case in cases)
    assert alarms <= FALSE_ALARM * 200


def test_build_at_the_edge_of_what_is_allowed_seldom_raises_an_alarm() -> None:
    generator = np.random.default_rng(1)
    alarms = sum(
        ratio_interval(
            _median(1.1 * generator.lognormal(2.3, 0.25, 60)),
            _median(generator.lognormal(2.3, 0.25, 60)),
        )[1]
        > 1.1
        for _ in range(1000)
    )
    # Half of the rate is this case's: 5 of 1000 expected, 12 or more have a chance of 0.5 %.
    assert alarms < 12


def _median(samples: NDArray[np.float64]) -> Quantile:
    """Return the median with its bootstrap interval."""
    generator = np.random.default_rng(len(samples))
    resampled = np.median(generator.choice(samples, (400, len(samples))), axis=1)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Quantile(value=float(np.median(samples)), low=float(low), high=float(high))


def test_ratio_of_two_sure_medians_is_sure() -> None:
    sure = Quantile(value=4.0, low=4.0, high=4.0)
    assert ratio_interval(sure, Quantile(value=2.0, low=2.0, high=2.0)) == (2.0, 2.0, 2.0)


def test_interval_of_a_ratio_adds_the_squares_of_both_intervals() -> None:
    # log-widths 3 % and 4 % make 5 %; 2.5758 / 1.9600 = 1.3142 times as far for 0.5 % a side.
    now = Quantile(value=1.0, low=math.exp(-0.03), high=math.exp(0.03))
    before = Quantile(value=1.0, low=math.exp(-0.04), high=math.exp(0.04))
    _, low, high = ratio_interval(now, before)
    assert math.log(low) == pytest.approx(-0.05 * 1.3142, abs=1e-5)
    assert math.log(high) == pytest.approx(0.05 * 1.3142, abs=1e-5)


@pytest.mark.parametrize(
    ("count", "red"), [(0, False), (1, False), (4, False), (12, True)], ids=str
)
def test_lost_images_are_red_when_chance_does_not_explain_them(
    current: Current, baseline: Baseline, count: int, *, red: bool
) -> None:
    case = _case(_wrong(current, count), baseline, "accuracy")
    assert (case.status is Status.FAILED) is red
    assert case.figures["lost_pp"] == pytest.approx(100 * count / _NUM_IMAGES, abs=1e-4)
    assert case.reason.endswith("at most 0.5 allowed" if red else "same 60 images")
    low, high = case.figures["low_pp"], case.figures["high_pp"]
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert f" pp [{low:+.2f}, {high:+.2f}] on the same" in case.reason
    assert [round(end * 1e4, 6) % 1 for end in (low, high)] == [0, 0]
    assert (case.figures["allowed_pp"], case.provenance) == (0.5, "manifest")


def test_large_gain_is_told_as_it_may_be_leaked_data(current: Current, baseline: Baseline) -> None:
    before = make_baseline(current.bundle, _images(_wrong(current, 12)), None)
    kept = baseline.model_copy(update={"accuracy": before.accuracy})
    case = _case(current, kept, "accuracy")
    assert case.status is Status.PASSED
    assert case.warning == (
        "top-1 gained 20.00 pp: if nothing explains it, look for test images in the training "
        "data; otherwise update the baseline"
    )


def _images(current: Current) -> Any:
    assert current.images is not None
    assert current.predictions is not None
    return dataclasses.replace(current.images, predictions=current.predictions)


@pytest.mark.parametrize(("value", "red"), [(10.0, False), (11.0, False), (11.5, True)], ids=str)
def test_slower_median_is_red_when_it_is_shown(
    current: Current, baseline: Baseline, value: float, *, red: bool
) -> None:
    case = _case(_timed(current, value), baseline, "latency")
    assert (case.status is Status.FAILED) is red
    assert case.reason.startswith(f"median {value:.4g} ms, {value / 10:.3f} [")
    assert case.reason.endswith("; at most 1.1 allowed" if red else "10 ms of the baseline")
    assert case.provenance == "measured"


def test_ratio_of_medians_is_given_with_its_interval(current: Current, baseline: Baseline) -> None:
    case = _case(_timed(current, 11.5), baseline, "latency")
    # Both medians are known to 1 %: hypot(ln 1.01, -ln 0.99) * 1.3142 = 0.018587 around ln 1.15.
    assert case.figures == {"ratio": 1.15, "low": 1.128823, "high": 1.171575, "limit": 1.1}


def test_much_faster_build_is_told(current: Current, baseline: Baseline) -> None:
    case = _case(_timed(current, 2.0), baseline, "latency")
    assert (case.status, case.warning) == (
        Status.PASSED,
        "much faster: if nothing explains it, check that the same model and work were timed",
    )


def test_disturbed_time_is_never_red_and_green_if_it_is_fast_enough(
    current: Current, baseline: Baseline
) -> None:
    runs = {"asked": 5, "taken": 10, "undisturbed": 2, "p50_ms": [], "disturbances": [[], _BUSY]}
    told = "the timing was disturbed, 2 of 10 runs undisturbed (other programs kept 1.0 cores busy)"
    green = _case(_timed(current, 10.0, interfered=True, runs=runs), baseline, "latency")
    assert (green.status, green.warning, green.doubtful) == (Status.PASSED, told, False)
    slow = _case(_timed(current, 20.0, interfered=True, runs=runs), baseline, "latency")
    assert (slow.status, slow.warning, slow.doubtful) == (Status.UNVERIFIED, told, True)
    assert slow.reason.endswith(
        "; at most 1.1 allowed, but the timing was disturbed: run again when the device is idle"
    )


def test_what_makes_a_time_doubtful_is_told(current: Current, baseline: Baseline) -> None:
    runs = {"asked": 5, "taken": 10, "undisturbed": 3, "p50_ms": [], "disturbances": [[], _BUSY]}
    case = _case(_timed(current, 20.0, stable=False, runs=runs), baseline, "latency")
    assert case.status is Status.FAILED
    assert case.warning == (
        "3 of 10 runs undisturbed (other programs kept 1.0 cores busy); the warm-up never settled"
    )


def test_disturbance_without_a_reason_is_told_as_such(current: Current, baseline: Baseline) -> None:
    runs = {"asked": 5, "taken": 5, "undisturbed": 4, "p50_ms": [], "disturbances": [[]] * 5}
    case = _case(_timed(current, 10.0, runs=runs), baseline, "latency")
    assert case.warning == "4 of 5 runs undisturbed (no reason reported)"


@pytest.mark.parametrize("value", [10.0, 20.0], ids=["green", "red"])
def test_update_of_the_system_hides_no_comparison_and_is_told(
    current: Current, baseline: Baseline, value: float
) -> None:
    assert baseline.latency is not None
    host = _HOST | {"kernel": "5.15", "governor": "performance"}
    latency = baseline.latency.model_copy(update={"host": host, "engine": "onnxruntime 1.20.0"})
    kept = baseline.model_copy(update={"latency": latency})
    case = _case(_timed(current, value), kept, "latency")
    assert case.status is (Status.FAILED if value > 11.0 else Status.PASSED)
    assert case.warning == (
        "differs from when the baseline was timed: engine 'onnxruntime 1.31.1', not "
        "'onnxruntime 1.20.0', governor None, not 'performance', kernel '6.1', not '5.15'"
    )
    unnamed = baseline.latency.model_copy(update={"engine": None})
    older = baseline.model_copy(update={"latency": unnamed})
    assert _case(_timed(current, value), older, "latency").warning == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"host": _HOST | {"processor": "A53"}},
            "the baseline was timed on another machine: processor 'A72', not 'A53'",
        ),
        (
            {"host": {}},
            (
                "the baseline was timed on another machine: machine 'aarch64', not None, "
                "processor 'A72', not None, cores 4, not None"
            ),
        ),
        ({"threads": 4}, "the baseline was timed with 4 threads, this with 1"),
        ({"model_ms": {"p50": None}}, "there are too few times for a median"),
    ],
    ids=["host", "no host", "threads", "few"],
)
def test_times_that_cannot_be_compared_are_unverified_with_the_reason(
    current: Current, baseline: Baseline, changes: dict[str, object], reason: str
) -> None:
    assert baseline.latency is not None
    latency = baseline.latency.model_copy(update=changes)
    case = _case(current, baseline.model_copy(update={"latency": latency}), "latency")
    remedy = "time the baseline again: edgetl baseline update BUNDLE --device ADDRESS"
    assert (case.status, case.reason) == (Status.UNVERIFIED, f"{reason}; {remedy}")


def test_without_times_in_the_baseline_there_is_nothing_to_compare(
    current: Current, baseline: Baseline
) -> None:
    case = _case(current, baseline.model_copy(update={"latency": None}), "latency")
    assert (case.status, case.reason) == (Status.SKIPPED, "the baseline has no times")


def test_emulated_times_are_not_compared(current: Current, baseline: Baseline) -> None:
    measurements = Measurements("emulated:cortex-a72", "emulated", (), "", None, None)
    case = _case(dataclasses.replace(current, measurements=measurements), baseline, "latency")
    assert (case.status, case.reason) == (
        Status.SKIPPED,
        "device 'emulated:cortex-a72' took no valid times",
    )


def test_larger_model_is_red(current: Current, baseline: Baseline) -> None:
    size = current.bundle.size_bytes()
    case = _case(current, baseline.model_copy(update={"size_bytes": size // 2}), "size")
    assert case.status is Status.FAILED
    assert case.reason.endswith("times the baseline's; at most 1.1 allowed")


def test_size_is_compared_as_a_multiple(current: Current, baseline: Baseline) -> None:
    size = current.bundle.size_bytes()
    case = _case(current, baseline.model_copy(update={"size_bytes": 3 * size}), "size")
    assert (case.status, case.reason) == (
        Status.PASSED,
        f"{size} bytes, 0.3333 times the baseline's",
    )
    assert case.figures == {"ratio": 0.333333, "limit": 1.1}


def test_accuracy_is_not_compared_where_either_predictions_are_missing(
    current: Current, baseline: Baseline
) -> None:
    assert current.images is not None
    images = current.images.predictions
    for now, kept in (
        (dataclasses.replace(current, predictions=None), images),
        (dataclasses.replace(current, images=None), images),
        (current, None),
    ):
        case = baseline_cases(now, baseline, kept, _ALLOWED)[0]
        assert case.status is Status.UNVERIFIED


def test_without_answers_accuracy_is_not_compared(current: Current, baseline: Baseline) -> None:
    case = _case(dataclasses.replace(current, images=None, predictions=None), baseline, "accuracy")
    assert case.status is Status.UNVERIFIED
    assert case.reason == (
        "the predictions for the test images are not available; check with the store of the run "
        "(--store)"
    )
    no_predictions = make_baseline(current.bundle, None, None)
    case = _case(current, no_predictions, "accuracy")
    assert (case.status, case.reason) == (
        Status.SKIPPED,
        "the baseline has no predictions for the test images",
    )
