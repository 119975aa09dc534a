from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from pydantic import ValidationError

from edgetl.config.candidate import Candidate
from edgetl.devices import Device, open_device
from edgetl.errors import DeviceError
from edgetl.facts.latency import BenchmarkFacts, Quantile
from edgetl.facts.package import Part
from edgetl.hashing import digest_folder
from edgetl.runtime import bundle, golden
from edgetl.runtime.bundle import runtime_files
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.latency import load_latency
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.preprocess import Preprocess
from edgetl.stages import Workspace, benchmark
from edgetl.stages.benchmark import STAGE, BenchmarkTable, Settings
from edgetl.store.store import Artifact
from edgetl.types import Facts, Precision

_SIZE = 32
_CPU = Candidate("student", "onnx", Precision.FP32, "cpu")
_CUDA = dataclasses.replace(_CPU, provider="cuda")
_HALF = dataclasses.replace(_CPU, precision=Precision.FP16)
_BENCH = ["bench", "model", "--json", "--seconds", "0", "--count", "20", "--runs", "1"]


@pytest.fixture
def candidate(tmp_path: Path, shelve: Callable[[Path, str, str, Facts], Artifact]) -> Artifact:
    """The mean of each colour, as a model folder."""
    folder = tmp_path / "candidate"
    folder.mkdir()
    node = helper.make_node("ReduceMean", ["image"], ["logits"], axes=[1, 2], keepdims=0)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, _SIZE, _SIZE, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph([node], "mean", [image], [logits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    Contract(
        task="classification",
        labels=("red", "green", "blue"),
        format="onnx",
        files=describe_files(folder, ("model.onnx",)),
        precision="fp32",
        inputs=(ImageInput("image", "image", Preprocess(_SIZE, _SIZE, "stretch", "bilinear", 0)),),
        outputs=(OutputSpec("logits", "logits", (1, 3), "logits"),),
    ).save(folder)
    pixels = np.zeros((1, _SIZE, _SIZE, 3), np.uint8)
    golden.record(folder, {"image": pixels}, {"logits": np.zeros((1, 3), np.float32)}, [pixels[0]])
    return shelve(folder, "export onnx", "float", {})


@pytest.fixture
def settings() -> Settings:
    return Settings(
        candidates=(_CPU,),
        device="local",
        host=open_device("local").describe(),
        runtime="0" * 64,
        threads=1,
        seconds=0.02,
        count=24,
        rounds=3,
        most_rounds=6,
        sustained=0.0,
    )


def _inputs(settings: Settings, *artifacts: Artifact) -> dict[str, Artifact]:
    return {
        Part.FILE.of(candidate): artifact
        for candidate, artifact in zip(settings.candidates, artifacts, strict=True)
    }


def test_facts_and_raw_samples_are_kept(
    candidate: Artifact, settings: Settings, workspace: Callable[[str], Workspace]
) -> None:
    work = workspace("benchmark")
    timed = STAGE.run(settings, _inputs(settings, candidate), work)
    facts = timed.of(_CPU)
    raw = load_latency(work.out / "student-onnx-fp32-cpu.json")
    assert sum(len(run.model_ns) for run in raw.counted) == facts.count >= 72
    assert 3 <= facts.runs.taken == len(raw.runs) <= 6
    assert facts.p95 is not None
    assert facts.p95.value == raw.summary()["model_ms"]["p95"]["value"]
    assert facts.provenance == "measured"
    assert facts.device == "local"
    assert facts.peak_memory_bytes is not None
    assert facts.peak_memory_bytes > 10 << 20
    assert BenchmarkFacts.model_validate_json(timed.model_dump_json()) == timed


def test_candidates_are_timed_in_turns(
    candidate: Artifact, settings: Settings, workspace: Callable[[str], Workspace]
) -> None:
    both = settings.model_copy(update={"candidates": (_CPU, _HALF), "most_rounds": 3})
    work = workspace("benchmark")
    timed = STAGE.run(both, _inputs(both, candidate, candidate), work)
    assert [each.candidate for each in timed.candidates] == [_CPU, _HALF]
    assert {path.name for path in work.out.iterdir()} == {
        "student-onnx-fp32-cpu.json", "student-onnx-fp16-cpu.json"
    }  # fmt: skip
    assert [each.latency.runs.taken for each in timed.candidates] == [3, 3]
    with pytest.raises(KeyError, match="onnx fp32 cuda"):
        timed.of(_CUDA)


def test_threads_above_the_cores_are_noted_and_those_used_are_kept(
    candidate: Artifact,
    settings: Settings,
    workspace: Callable[[str], Workspace],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cores = open_device("local").describe()["cores"]
    work = workspace("benchmark")
    notes: list[str] = []
    monkeypatch.setattr(work.progress, "note", notes.append)
    more = settings.model_copy(update={"threads": 4096})
    assert STAGE.run(more, _inputs(more, candidate), work).of(_CPU).threads == cores
    text = (
        f"'local' lets a process use {cores} core(s) only: timed with {cores} instead of 4096 "
        "threads"
    )
    assert text in notes


def test_summary_is_a_line_for_people(
    candidate: Artifact, settings: Settings, workspace: Callable[[str], Workspace]
) -> None:
    facts = STAGE.run(settings, _inputs(settings, candidate), workspace("benchmark"))
    line = r"1 timed, fastest onnx fp32: p95 [\d.]+ ms \[[\d.]+ [\d.]+\], p50 [\d.]+ ms"
    assert re.match(line, STAGE.summary(facts))


def test_summary_names_the_fastest_and_counts_the_disturbed(examples: Any) -> None:
    fast = examples.latency(1.0, interfered=True)
    facts = examples.benchmark(onnx_fp32=examples.latency(2.0), onnx_int8=fast)
    p50, p95 = fast.p50.value, fast.p95
    assert STAGE.summary(facts) == (
        f"2 timed, fastest onnx int8: p95 1.00 ms [{p95.low:.2f} {p95.high:.2f}], "
        f"p50 {p50:.2f} ms; 1 disturbed by other programs"
    )


def test_model_goes_on_without_a_pause_for_as_long_as_asked(
    candidate: Artifact, settings: Settings, workspace: Callable[[str], Workspace]
) -> None:
    longer = settings.model_copy(update={"sustained": 0.01})
    work = workspace("benchmark")
    facts = STAGE.run(longer, _inputs(longer, candidate), work).of(_CPU)
    assert load_latency(work.out / "student-onnx-fp32-cpu.json").sustained is not None
    assert facts.sustained is not None
    assert len(facts.sustained.p50_ms_by_minute) == 1
    # The only minute is the first one and the last one.
    assert facts.sustained.slowdown == 1.0


def test_only_the_runtime_is_loaded_where_it_is_timed(candidate: Artifact) -> None:
    # Runs the very command line, then looks at what it left in memory.
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['runtime', *{_BENCH!r}]\n"
        "try:\n    runpy.run_module('edgetl.runtime', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print(*sys.modules)"
    )
    files = {f"model/{path.name}": path for path in candidate.folder.iterdir()}
    with open_device("local").connect() as connection:
        connection.put({**runtime_files(), **files})
        printed = connection.run(["-c", code], timeout_s=120)
    loaded = set(printed.splitlines()[-1].split())
    assert {"numpy", "PIL", "onnxruntime", "edgetl.runtime.latency"} <= loaded
    assert not loaded & {"torch", "click", "pydantic", "yaml", "onnx", "rich", "openvino"}
    assert not [
        name
        for name in loaded
        if name.startswith("edgetl.") and not name.startswith("edgetl.runtime")
    ]


def test_failure_on_the_device_ends_with_its_reason(
    candidate: Artifact, settings: Settings, workspace: Callable[[str], Workspace]
) -> None:
    (candidate.folder / "model.onnx").write_bytes(b"torn")
    message = (
        r"exited with 6: edgetl\.runtime: candidates/0/model\.onnx has 4 bytes, but contract\.json "
        "states"
    )
    with pytest.raises(DeviceError, match=message):
        STAGE.run(settings, _inputs(settings, candidate), workspace("benchmark"))


def test_another_machine_than_planned_is_refused(
    candidate: Artifact, settings: Settings, workspace: Callable[[str], Workspace]
) -> None:
    other = settings.model_copy(update={"host": settings.host | {"processor": "another"}})
    with pytest.raises(DeviceError, match="is not the machine that was planned for"):
        STAGE.run(other, _inputs(settings, candidate), workspace("benchmark"))


def test_summary_of_emulated_times_claims_no_speed(examples: Any) -> None:
    median = Quantile(value=9.0, low=9.0, high=9.0)
    facts = examples.latency(
        provenance="emulated",
        count=10,
        model_ms={"p50": median, "p95": None},
        peak_memory_bytes=None,
        interfered=True,
    )
    two = examples.benchmark(onnx_fp32=facts, onnx_int8=facts)
    assert STAGE.summary(two) == "2 run, 20 inferences; emulated, so no speed"


def test_disturbed_timing_is_said_and_marked(
    candidate: Artifact,
    settings: Settings,
    workspace: Callable[[str], Workspace],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = benchmark._measure

    def disturbed(
        device: Device, settings: Settings, folders: list[Path], points: list[Artifact | None]
    ) -> tuple[list[Facts], list[None]]:
        data, _ = measured(device, settings, folders, points)
        for run in data[0]["runs"]:
            run["disturbance"]["others_cores"] = 1.0e6
        return data, [None]

    monkeypatch.setattr(benchmark, "_measure", disturbed)
    work = workspace("benchmark")
    told: list[str] = []
    monkeypatch.setattr(work.progress, "note", told.append)
    facts = STAGE.run(settings, _inputs(settings, candidate), work).of(_CPU)
    assert facts.interfered is True
    assert facts.runs.undisturbed == 0
    assert told == [
        (
            "other programs disturbed the timing of onnx fp32 on 'local'; all turns are kept and "
            "the times marked"
        )
    ]


@pytest.mark.parametrize(
    ("rounds", "count", "total"),
    [pytest.param(5, 14, 70, id="70"), pytest.param(1, 71, 71, id="71")],
)
def test_table_with_too_few_inferences_for_its_figure_is_refused(
    rounds: int, count: int, total: int
) -> None:
    with pytest.raises(
        ValidationError,
        match=f"rounds x count is {total}, but a 95th percentile needs 72 inferences",
    ):
        BenchmarkTable(rounds=rounds, count=count)
    assert BenchmarkTable(rounds=1, count=72).seconds == 0.1


def test_table_whose_last_round_comes_before_the_least_is_refused() -> None:
    with pytest.raises(
        ValidationError, match="most_rounds is 7, but rounds, the least number, is 8"
    ):
        BenchmarkTable(most_rounds=7)


def test_tools_are_what_runs_there(settings: Settings) -> None:
    assert STAGE.tools(settings) == ("onnxruntime", "numpy", "pillow")


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the runtime that is sent use the CPU where it is asked for the GPU."""
    real, name = runtime_files, "edgetl/runtime/engines/onnx.py"
    text = real()[name].read_text(encoding="utf-8")
    for old, new in (
        ("CUDAExecutionProvider", "CPUExecutionProvider"),
        ('{"use_tf32": "0"}', "{}"),
        ('"session.disable_cpu_ep_fallback", "1"', '"session.disable_cpu_ep_fallback", "0"'),
    ):
        assert old in text
        text = text.replace(old, new)
    played = tmp_path / "onnx.py"
    played.write_text(text, encoding="utf-8")
    monkeypatch.setattr(bundle, "runtime_files", lambda *formats: real(*formats) | {name: played})


@pytest.mark.usefixtures("gpu")
def test_gpu_is_timed_after_it_answered_the_golden_samples(
    candidate: Artifact, settings: Settings, workspace: Callable[[str], Workspace]
) -> None:
    before = digest_folder(candidate.folder)
    asked = settings.model_copy(update={"candidates": (_CUDA,)})
    work = workspace("benchmark")
    facts = STAGE.run(asked, _inputs(asked, candidate), work).of(_CUDA)
    assert (facts.provider, facts.broken) == ("cuda", ())
    assert load_latency(work.out / "student-onnx-fp32-cuda.json").provider == "cuda"
    # Every provider reads the same folder.
    assert digest_folder(candidate.folder) == before


@pytest.mark.usefixtures("gpu")
def test_gpu_that_answers_otherwise_is_told(
    candidate: Artifact, settings: Settings, workspace: Callable[[str], Workspace]
) -> None:
    names = ("input.image", "fitted", "reference.logits", "recorded.logits")
    with np.load(candidate.folder / "golden.npz") as kept:
        arrays = {name: kept[name] for name in names}
    arrays["recorded.logits"] = arrays["recorded.logits"] + np.float32(3)
    np.savez(candidate.folder / "golden.npz", **arrays)
    asked = settings.model_copy(update={"candidates": (_CUDA,)})
    timed = STAGE.run(asked, _inputs(asked, candidate), workspace("benchmark"))
    facts = timed.of(_CUDA)
    assert facts.broken is not None
    (told,) = facts.broken
    assert told.startswith("logits against the recorded outputs: worst 3, ")


def test_gpu_that_is_not_there_is_an_error_and_not_a_number(
    candidate: Artifact, settings: Settings, workspace: Callable[[str], Workspace]
) -> None:
    asked = settings.model_copy(update={"candidates": (_CUDA,)})
    with pytest.raises(
        DeviceError,
        match=r"on device 'local' exited with 1: onnxruntime \S+ has no CUDAExecutionProvider "
        r"here, which 'cuda' needs; it has .* \| replace onnxruntime by onnxruntime-gpu",
    ) as caught:
        STAGE.run(asked, _inputs(asked, candidate), workspace("benchmark"))
    assert caught.value.exit_code == 7


def test_answer_of_another_provider_than_asked_for_is_refused(
    candidate: Artifact,
    settings: Settings,
    workspace: Callable[[str], Workspace],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_cpu = benchmark._measure(open_device("local"), settings, [candidate.folder], [None])
    monkeypatch.setattr(benchmark, "_measure", lambda *_: on_cpu)
    asked = settings.model_copy(update={"candidates": (_CUDA,)})
    with pytest.raises(DeviceError, match="ran the model on cpu, but cuda was requested"):
        STAGE.run(asked, _inputs(asked, candidate), workspace("benchmark"))
