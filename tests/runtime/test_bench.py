from __future__ import annotations

import dataclasses
import json
from array import array
from pathlib import Path

import pytest

from edgetl.runtime.__main__ import main
from edgetl.runtime.bench_text import latency_lines
from edgetl.runtime.closed_loop import Run, WarmUp
from edgetl.runtime.interference import Disturbance
from edgetl.runtime.latency import Latency
from edgetl.runtime.sustained import Minute, Reading, Sustained
from edgetl.runtime.timing_plan import TimingPlan

_QUIET = Disturbance(2.0, 0.0, 3, 0.0, 0.5, (None, None))
_BUSY = dataclasses.replace(_QUIET, others_cores=1.0, steal_share=0.1)


def _run(model_ms: float, disturbance: Disturbance = _QUIET) -> Run:
    return Run(
        model_ns=array("q", [round(model_ms * 1e6)] * 80),
        end_to_end_ns=array("q", [6_000_000] * 80),
        pre_ns=array("q", [3_000_000] * 80),
        post_ns=array("q", [1_000_000] * 80),
        disturbance=disturbance,
        temperature_c=(None, None),
        energy_j=None,
    )


_LATENCY = Latency(
    engine="onnxruntime 1.31.1",
    threads=1,
    plan=TimingPlan(0.1, 80, 2),
    load_ns=20_000_000,
    first_ns=3_000_000,
    warm_up=WarmUp(20, stable=True),
    runs=(_run(2.0), _run(2.0)),
    peak_memory_bytes=64 << 20,
    host={"processor": "a board"},
)


def test_lines_report_every_figure_with_its_interval() -> None:
    assert list(latency_lines(_LATENCY)) == [
        "onnxruntime 1.31.1 on cpu, 1 thread(s), a board",
        "load 20.0 ms, first 3.00 ms",
        "2 runs, medians 2.000, 2.000 ms; 160 inferences counted",
        (
            "model, ms: p50 2.000 [2.000 2.000], p90 2.000 [2.000 2.000], p95 2.000 [2.000 2.000], "
            "too few samples for p99"
        ),
        (
            "preprocessing, ms: p50 3.000 [3.000 3.000], p90 3.000 [3.000 3.000], "
            "p95 3.000 [3.000 3.000], too few samples for p99"
        ),
        (
            "postprocessing, ms: p50 1.000 [1.000 1.000], p90 1.000 [1.000 1.000], "
            "p95 1.000 [1.000 1.000], too few samples for p99"
        ),
        (
            "end to end, ms: p50 6.000 [6.000 6.000], p90 6.000 [6.000 6.000], "
            "p95 6.000 [6.000 6.000], too few samples for p99"
        ),
        "peak memory 64 MiB",
    ]


def test_lines_report_energy_and_an_unknown_memory() -> None:
    runs = tuple(dataclasses.replace(run, energy_j=0.4) for run in _LATENCY.runs)
    lines = list(latency_lines(dataclasses.replace(_LATENCY, runs=runs, peak_memory_bytes=None)))
    assert lines[-2:] == [
        "peak memory unknown",
        "energy 5.00 mJ per inference, including idle power",
    ]


def test_lines_report_what_disturbed_a_repeated_run() -> None:
    runs = (_run(2.0), _run(9.0, _BUSY), _run(2.0))
    lines = list(latency_lines(dataclasses.replace(_LATENCY, runs=runs)))
    assert "160 inferences counted" in lines[2]
    assert lines[-1] == (
        "run 2 was disturbed: a hypervisor took 10% of the processor; "
        "other programs kept 1.0 cores busy"
    )


def test_lines_report_that_fewer_runs_count_than_requested() -> None:
    runs = (*[_run(2.0)] * 3, *[_run(9.0, _BUSY)] * 7)
    lines = list(
        latency_lines(dataclasses.replace(_LATENCY, plan=TimingPlan(0.1, 80, 5), runs=runs))
    )
    assert lines[-1] == (
        "only 3 of the 5 requested runs were undisturbed in 10 attempts; only these count"
    )


def test_lines_report_that_the_times_are_not_the_models_own() -> None:
    runs = (_run(9.0, _BUSY),) * 4
    lines = list(latency_lines(dataclasses.replace(_LATENCY, runs=runs)))
    assert lines[-1] == (
        "too many runs were disturbed: the times are not those of the model alone "
        "(all runs counted)"
    )


def test_lines_report_a_warm_up_that_never_settled() -> None:
    warm_up = WarmUp(20, stable=False)
    lines = list(latency_lines(dataclasses.replace(_LATENCY, warm_up=warm_up)))
    assert lines[-1] == (
        "the warm-up did not settle in 20 inferences: no two successive windows agreed within 2 %"
    )


def test_lines_report_throttling_in_the_sustained_run() -> None:
    sustained = Sustained(
        (Minute(9, 2_000_000, 3_000_000, 4_000_000), Minute(5, 3_000_000, 4_000_000, 5_000_000)),
        (
            Reading(0.0, 50.0, 1500.0, "ondemand", ()),
            Reading(70.0, 85.0, 1000.0, "ondemand", ("throttled", "under-voltage")),
        ),
    )
    lines = list(latency_lines(dataclasses.replace(_LATENCY, sustained=sustained)))
    assert lines[-5:] == [
        "sustained, median per minute, ms: 2.000, 3.000",
        "  the last minute took 1.50 times as long as the first !",
        "  peak temperature 85.0 degrees Celsius",
        "  median frequency 1250 MHz, lowest 1000 MHz",
        "  throttled from second 70 on: throttled, under-voltage",
    ]


def test_bench_prints_the_lines(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", str(model_folder), "--seconds", "0.01", "--count", "20", "--runs", "2"]
    assert main([*words, "--sustained", "0.001"]) == 0
    printed = capsys.readouterr().out
    for start in ("model, ms: p50 ", "preprocessing, ms: p50 ", "postprocessing, ms: p50 ",
                  "end to end, ms: p50 ", "peak memory ", "sustained, median"):  # fmt: skip
        assert f"\n{start}" in printed


def test_bench_as_json_keeps_samples_and_figures(
    model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", str(model_folder), "--seconds", "0", "--count", "20", "--runs", "1", "--json"]
    assert main(words) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["plan"] == {"seconds": 0.0, "count": 20, "runs": 1}
    for name in ("model_ns", "end_to_end_ns", "pre_ns", "post_ns"):
        assert len(data["runs"][0][name]) == 20
    assert data["summary"] == Latency.from_json(data).summary()
