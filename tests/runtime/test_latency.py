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
def taken() -> Latency:
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


def test_disturbed_run_is_kept_and_does_not_count(taken: Latency) -> None:
    assert not taken.interfered
    assert taken.counted == (taken.runs[0], taken.runs[2])
    # Of 1 to 100 and 3 to 102 together, 96 + 94 of 200 are at most 96.
    assert taken.quantile_ms(0.95) == 96.0
    found = taken.summary()
    assert found["count"] == 200
    assert found["runs"] == {
        "asked": 2,
        "taken": 3,
        "undisturbed": 2,
        "p50_ms": [50.0, 550.0, 52.0],
        "disturbances": [[], ["other programs kept 1.0 cores busy"], []],
    }


def test_all_runs_count_and_are_marked_if_none_was_undisturbed(taken: Latency) -> None:
    runs = tuple(dataclasses.replace(run, disturbance=_BUSY) for run in taken.runs)
    found = dataclasses.replace(taken, runs=runs)
    assert found.interfered
    assert found.counted == runs
    assert found.summary()["count"] == 300


def test_too_few_undisturbed_samples_count_as_none(taken: Latency) -> None:
    found = dataclasses.replace(taken, runs=(_run(range(49)), _run(range(49), _BUSY)))
    assert found.interfered
    assert len(found.counted) == 2


def test_one_undisturbed_run_is_no_median_of_runs(taken: Latency) -> None:
    runs = (_run(range(1, 101)), *[_run(range(501, 601), _BUSY)] * 9)
    found = dataclasses.replace(taken, plan=TimingPlan(0.5, 25, 5), runs=runs)
    assert found.interfered
    assert found.counted == runs
    quiet = dataclasses.replace(found, runs=(*runs[:1] * 3, *runs[1:8]))
    assert not quiet.interfered
    assert quiet.counted == runs[:1] * 3


def test_json_is_a_way_there_and_back(taken: Latency, tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    path.write_text(json.dumps({**taken.as_json(), "summary": taken.summary()}, allow_nan=False))
    assert load_latency(path) == taken
    assert load_latency(path).summary() == taken.summary()


def test_json_of_another_schema_is_refused(taken: Latency) -> None:
    with pytest.raises(ValueError, match="latency has schema 1, not 3"):
        Latency.from_json({**taken.as_json(), "schema": 1})


def test_summary_is_in_milliseconds(taken: Latency) -> None:
    found = taken.summary()
    assert found["load_ms"] == 20.0
    assert found["first_ms"] == 3.0
    assert found["model_ms"]["p50"]["value"] == 50.0
    assert found["model_ms"]["p95"]["value"] == 96.0
    assert found["model_ms"]["p99"] is None
    # 50 inferences end to end have no 95th percentile.
    assert found["end_to_end_ms"]["p50"] == {"value": 6.0, "low": 6.0, "high": 6.0}
    assert found["end_to_end_ms"]["p95"] is None
    assert found["pre_ms"]["p50"]["value"] == 3.0
    assert found["post_ms"]["p50"]["value"] == 1.0
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_energy_is_that_of_one_inference(taken: Latency) -> None:
    assert taken.summary()["energy_j"] == pytest.approx(2 * 0.5 / 200)
    runs = tuple(dataclasses.replace(run, energy_j=None) for run in taken.runs)
    assert dataclasses.replace(taken, runs=runs).summary()["energy_j"] is None


def test_hottest_reading_of_all_runs_is_told(taken: Latency) -> None:
    readings = ((None, 55.5), (61.0, 58.0))
    runs = tuple(
        dataclasses.replace(run, temperature_c=given)
        for run, given in zip(taken.runs, readings, strict=False)
    )
    warm = dataclasses.replace(taken, runs=runs, host={"processor": "Cortex-A72"})
    assert warm.summary()["hottest_c"] == 61.0
    assert "at most 61.0 degrees Celsius" in latency_lines(warm)
    runs = tuple(dataclasses.replace(run, temperature_c=(None, None)) for run in runs)
    assert dataclasses.replace(taken, runs=runs).summary()["hottest_c"] is None


def test_what_slowed_the_processor_down_is_kept(taken: Latency) -> None:
    first, *others = taken.runs
    slowed = dataclasses.replace(first.disturbance, throttled=("under-voltage",))
    runs = (dataclasses.replace(first, disturbance=slowed), *others)
    data = json.loads(json.dumps(dataclasses.replace(taken, runs=runs).as_json()))
    assert Latency.from_json(data).runs[0].disturbance.throttled == ("under-voltage",)
    del data["runs"][0]["disturbance"]["throttled"]  # as in records from before it was looked at
    assert Latency.from_json(data).runs[0].disturbance.throttled == ()


def test_record_says_what_ran_the_model(taken: Latency) -> None:
    on_gpu = dataclasses.replace(taken, provider="cuda")
    assert on_gpu.summary()["provider"] == "cuda"
    assert Latency.from_json(json.loads(json.dumps(on_gpu.as_json()))).provider == "cuda"


def test_record_from_before_there_was_a_choice_is_of_the_cpu(taken: Latency) -> None:
    data = taken.as_json()
    del data["provider"]
    assert Latency.from_json(data).provider == "cpu"
