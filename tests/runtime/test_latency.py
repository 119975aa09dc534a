from __future__ import annotations

import dataclasses
import json
from array import array
from pathlib import Path

import pytest

from edgetl.runtime.bench_text import latency_lines
from edgetl.runtime.closed_loop import Run, WarmUp
from edgetl.runtime.interference import Disturbance
from edgetl.runtime.latency import Latency, load_latency
from edgetl.runtime.sustained import Minute, Reading, Sustained
from edgetl.runtime.timing_plan import TimingPlan

_QUIET = Disturbance(2.0, 0.0, 3, 0.0, 0.5, (1500.0, 1500.0))
_BUSY = dataclasses.replace(_QUIET, others_cores=1.0)


def _run(times_ms: range, disturbance: Disturbance = _QUIET) -> Run:
    return Run(
        model_ns=array("q", [time * 1_000_000 for time in times_ms]),
        end_to_end_ns=array("q", [6_000_000] * 25),
        pre_ns=array("q", [3_000_000] * 25),
        post_ns=array("q", [1_000_000] * 25),
        disturbance=disturbance,
        temperature_c=(None, 51.5),
        energy_j=0.5,
    )


@pytest.fixture
def measured() -> Latency:
    return Latency(
        engine="onnxruntime 1.31.1",
        threads=1,
        plan=TimingPlan(0.5, 25, 2),
        load_ns=20_000_000,
        first_ns=3_000_000,
        warm_up=WarmUp(20, stable=True),
        runs=(
            _run(range(1, 101)),
            _run(range(501, 601), _BUSY),
            _run(range(3, 103)),
        ),
        peak_memory_bytes=1 << 20,
        host={"machine": "x86_64", "cores": 2, "governor": None},
        sustained=Sustained(
            (Minute(100, 10, 20, 30),), (Reading(0.0, 50.0, None, "ondemand", ("throttled",)),)
        ),
    )


def test_disturbed_run_is_kept_and_does_not_count(measured: Latency) -> None:
    assert not measured.interfered
    assert measured.counted == (measured.runs[0], measured.runs[2])
    # Of 1 to 100 and 3 to 102 together, 96 + 94 of 200 are at most 96.
    summary = measured.summary()
    assert summary["model_ms"]["p95"]["value"] == 96.0
    assert summary["count"] == 200
    assert summary["runs"] == {
        "asked": 2,
        "taken": 3,
        "undisturbed": 2,
        "p50_ms": [50.0, 550.0, 52.0],
        "disturbances": [[], ["other programs kept 1.0 cores busy"], []],
    }


def test_all_runs_count_and_are_marked_if_none_was_undisturbed(measured: Latency) -> None:
    runs = tuple(dataclasses.replace(run, disturbance=_BUSY) for run in measured.runs)
    latency = dataclasses.replace(measured, runs=runs)
    assert latency.interfered
    assert latency.counted == runs
    assert latency.summary()["count"] == 300


def test_too_few_undisturbed_samples_count_as_none(measured: Latency) -> None:
    latency = dataclasses.replace(measured, runs=(_run(range(49)), _run(range(49), _BUSY)))
    assert latency.interfered
    assert len(latency.counted) == 2


def test_one_undisturbed_run_is_too_few_for_a_median(measured: Latency) -> None:
    runs = (_run(range(1, 101)), *[_run(range(501, 601), _BUSY)] * 9)
    latency = dataclasses.replace(measured, plan=TimingPlan(0.5, 25, 5), runs=runs)
    assert latency.interfered
    assert latency.counted == runs
    quiet = dataclasses.replace(latency, runs=(*runs[:1] * 3, *runs[1:8]))
    assert not quiet.interfered
    assert quiet.counted == runs[:1] * 3


def test_json_round_trip(measured: Latency, tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    path.write_text(
        json.dumps({**measured.as_json(), "summary": measured.summary()}, allow_nan=False)
    )
    assert load_latency(path) == measured
    assert load_latency(path).summary() == measured.summary()


def test_json_of_another_schema_is_refused(measured: Latency) -> None:
    with pytest.raises(ValueError, match="latency has schema 1, not 3"):
        Latency.from_json({**measured.as_json(), "schema": 1})


def test_summary_is_in_milliseconds(measured: Latency) -> None:
    summary = measured.summary()
    assert summary["load_ms"] == 20.0
    assert summary["first_ms"] == 3.0
    assert summary["model_ms"]["p50"]["value"] == 50.0
    assert summary["model_ms"]["p95"]["value"] == 96.0
    assert summary["model_ms"]["p99"] is None
    # 50 inferences end to end have no 95th percentile.
    assert summary["end_to_end_ms"]["p50"] == {"value": 6.0, "low": 6.0, "high": 6.0}
    assert summary["end_to_end_ms"]["p95"] is None
    assert summary["pre_ms"]["p50"]["value"] == 3.0
    assert summary["post_ms"]["p50"]["value"] == 1.0
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_energy_is_that_of_one_inference(measured: Latency) -> None:
    assert measured.summary()["energy_j"] == pytest.approx(2 * 0.5 / 200)
    runs = tuple(dataclasses.replace(run, energy_j=None) for run in measured.runs)
    assert dataclasses.replace(measured, runs=runs).summary()["energy_j"] is None


def test_hottest_reading_of_all_runs_is_reported(measured: Latency) -> None:
    readings = ((None, 55.5), (61.0, 58.0))
    runs = tuple(
        dataclasses.replace(run, temperature_c=temperatures)
        for run, temperatures in zip(measured.runs, readings, strict=False)
    )
    warm = dataclasses.replace(measured, runs=runs, host={"processor": "Cortex-A72"})
    assert warm.summary()["hottest_c"] == 61.0
    assert "peak temperature 61.0 degrees Celsius" in latency_lines(warm)
    runs = tuple(dataclasses.replace(run, temperature_c=(None, None)) for run in runs)
    assert dataclasses.replace(measured, runs=runs).summary()["hottest_c"] is None


def test_reasons_for_throttling_are_kept(measured: Latency) -> None:
    first, *others = measured.runs
    slowed = dataclasses.replace(first.disturbance, throttled=("under-voltage",))
    runs = (dataclasses.replace(first, disturbance=slowed), *others)
    data = json.loads(json.dumps(dataclasses.replace(measured, runs=runs).as_json()))
    assert Latency.from_json(data).runs[0].disturbance.throttled == ("under-voltage",)
    del data["runs"][0]["disturbance"]["throttled"]  # as in older records
    assert Latency.from_json(data).runs[0].disturbance.throttled == ()


def test_record_names_the_provider(measured: Latency) -> None:
    on_gpu = dataclasses.replace(measured, provider="cuda")
    assert on_gpu.summary()["provider"] == "cuda"
    assert Latency.from_json(json.loads(json.dumps(on_gpu.as_json()))).provider == "cuda"


def test_record_without_a_provider_is_of_the_cpu(measured: Latency) -> None:
    data = measured.as_json()
    del data["provider"]
    assert Latency.from_json(data).provider == "cpu"
