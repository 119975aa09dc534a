from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgetl.runtime import golden, latency
from edgetl.runtime.errors import BundleError
from edgetl.runtime.host import Disturbance
from edgetl.runtime.latency import Latency, measure, nearest_rank, quantile_interval


@pytest.fixture
def taken() -> Latency:
    return Latency(
        engine="onnxruntime 1.31.1",
        threads=1,
        load_ns=20_000_000,
        first_ns=3_000_000,
        warm_up_count=20,
        stable=True,
        samples_ns=tuple(range(1_000_000, 101_000_000, 1_000_000)),
        end_to_end_ns=(2_000_000,) * 20,
        peak_memory_bytes=1 << 20,
        temperature_c=(None, 51.5),
        disturbance=Disturbance(2.0, 0.0, 3),
        host={"machine": "x86_64", "cores": 2, "governor": None},
    )


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
def test_quantile_is_a_time_that_was_measured(q: float, expected: int) -> None:
    assert nearest_rank(range(1, 101), q) == expected


def test_quantile_ms_sorts_the_samples(taken: Latency) -> None:
    backwards = dataclasses.replace(taken, samples_ns=taken.samples_ns[::-1])
    assert backwards.quantile_ms(0.95) == 95.0


def test_json_is_a_way_there_and_back(taken: Latency) -> None:
    assert Latency.from_json(json.loads(json.dumps(taken.as_json()))) == taken


def test_json_of_another_schema_is_refused(taken: Latency) -> None:
    with pytest.raises(ValueError, match="latency has schema 2, not 1"):
        Latency.from_json({**taken.as_json(), "schema": 2})


def test_interval_holds_the_quantile_and_repeats(taken: Latency) -> None:
    found = quantile_interval(taken.samples_ns, 0.95)
    assert found == quantile_interval(taken.samples_ns, 0.95)
    assert found.low <= found.value == 95.0 <= found.high


def test_interval_agrees_with_plain_resampling(taken: Latency) -> None:
    rng = np.random.default_rng(1)
    values = np.array(taken.samples_ns) / 1e6
    resampled = np.sort(rng.choice(values, (4000, values.size)), axis=1)[:, 89]
    low, high = np.sort(resampled)[[100, 3900]]
    found = quantile_interval(taken.samples_ns, 0.9)
    # The ends are order statistics themselves, so two drawings may differ by one sample.
    assert found.low == pytest.approx(low, abs=1.0)
    assert found.high == pytest.approx(high, abs=1.0)


def test_interval_of_equal_times_is_a_point(taken: Latency) -> None:
    found = quantile_interval(taken.end_to_end_ns, 0.99)
    assert (found.low, found.value, found.high) == (2.0, 2.0, 2.0)


def test_summary_is_in_milliseconds(taken: Latency) -> None:
    found = taken.summary()
    assert found["load_ms"] == 20.0
    assert found["first_ms"] == 3.0
    assert found["model_ms"]["p95"]["value"] == 95.0
    assert found["end_to_end_ms"]["p50"]["value"] == 2.0
    assert found["count"] == 100


def test_measuring_takes_at_least_count_and_seconds(model_folder: Path) -> None:
    found = measure(model_folder, threads=1, seconds=0.05, count=30)
    assert len(found.samples_ns) >= 30
    assert sum(found.samples_ns) <= found.disturbance.seconds * 1e9
    assert found.disturbance.seconds >= 0.1
    assert len(found.end_to_end_ns) >= 30
    assert found.warm_up_count >= 20
    assert found.load_ns > 0
    assert found.first_ns > 0
    assert found.engine.startswith("onnxruntime ")


def test_end_to_end_of_a_detector_goes_as_far_as_its_objects(detector_folder: Path) -> None:
    samples = golden.load(detector_folder, ["boxes", "scores"])
    found = measure(detector_folder, threads=1, seconds=0.0, count=20)
    assert len(found.end_to_end_ns) == 20
    # Answers that are no numbers are refused where objects are made of them, not before.
    model = onnx.load(detector_folder / "model.onnx")
    fixed = next(each for each in model.graph.initializer if each.name == "fixed")
    fixed.CopyFrom(onnx.numpy_helper.from_array(samples.reference["boxes"][:1] * np.nan, "fixed"))
    onnx.save(model, detector_folder / "model.onnx")
    with pytest.raises(BundleError, match="answers with values that are no numbers"):
        measure(detector_folder, threads=1, seconds=0.0, count=20)


def test_warm_up_ends_when_two_windows_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = iter([(100,) * 10, (60,) * 10, (50,) * 10, (51,) * 10, (1,) * 10])

    def next_window(run: Callable[[], None], seconds: float, count: int) -> tuple[int, ...]:
        del run, seconds, count
        return next(windows)

    monkeypatch.setattr(latency, "_samples", next_window)
    assert latency._warm_up(lambda: None) == (40, True)


def test_warm_up_that_never_settles_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "_WARM_UP_LIMIT_S", 0.0)
    assert latency._warm_up(lambda: None) == (0, False)


def test_folder_without_golden_samples_is_refused(model_folder: Path) -> None:
    (model_folder / "golden.npz").unlink()
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
        measure(model_folder, threads=1, seconds=0.0, count=1)
