from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import pytest

from edgetl.config.candidate import Candidate
from edgetl.config.target import Target
from edgetl.facts import FactsModel
from edgetl.facts.latency import LatencyFacts
from edgetl.facts.package import LATENCY_INPUT, PackageFacts, Part
from edgetl.facts.verification import ClassFigures
from edgetl.runtime.bundle import check_files, runtime_files
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import ModelFile
from edgetl.runtime.preprocess import Preprocess
from edgetl.stages import Node, NoOptions, Workspace
from edgetl.stages._candidates import Timing
from edgetl.stages.package import STAGE, Settings, _inputs, _models
from edgetl.store.store import Artifact
from edgetl.types import Facts, Precision

Shelve = Callable[[Path, str, str, Facts], Artifact]
Make = Callable[[str], Workspace]
Figures = dict[str, tuple[float, float | None]]
"""Candidate to (drop in pp, p95 in ms)."""

_DETECTED: Facts = {
    "metric": "map",
    "title": "mAP",
    "value": 0.6,
    "figures": {"map50": 0.85},
    "num_predictions": 900,
}
_FIGURES: Figures = {"onnx fp32": (0.0, 2.0), "onnx int8": (0.4, 1.0)}


def test_bundle_holds_model_runtime_and_the_digest_of_every_file(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    work = workspace("package")
    facts = STAGE.run(_settings(), _artifacts(tmp_path, shelve, examples, _FIGURES), work)
    assert (facts.verdict, facts.chosen) == ("held", examples.candidate("onnx int8"))
    bundle = work.out / "bundle"
    files = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert files == {"model.onnx", "contract.json", "manifest.json", *runtime_files()}
    assert (bundle / "model.onnx").read_text() == "onnx int8"
    assert check_files(bundle) == len(files) - 1


def test_manifest_tells_where_the_model_comes_from(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    work = workspace("package")
    artifacts = _artifacts(tmp_path, shelve, examples, _FIGURES)
    STAGE.run(_settings(), artifacts, work)
    manifest = json.loads((work.out / "bundle" / "manifest.json").read_text())
    lineage = manifest["lineage"]
    assert list(lineage) == [
        "dataset",
        "teacher",
        "student",
        "file",
        "float",
        "verification",
        "latency",
    ]
    assert lineage["file"] == {
        "stage": "quantize",
        "key": artifacts[_file("onnx int8")].manifest.key,
        "digest": artifacts[_file("onnx int8")].manifest.digest,
    }
    assert manifest["name"] == "parts"
    assert manifest["candidate"] == {
        "model": "student",
        "format": "onnx",
        "precision": "int8",
        "provider": "cpu",
    }
    assert manifest["model_files"] == ["model.onnx"]
    assert manifest["target"]["name"] == "board"
    assert manifest["target"]["limits"]["drop_pp"] == 1.0
    assert manifest["verdict"] == "held"
    assert set(manifest["made_with"]) == {"onnxruntime", "numpy", "pillow"}


def test_rerun_gives_equal_bytes(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    artifacts = _artifacts(tmp_path, shelve, examples, _FIGURES)
    first, second = workspace("first"), workspace("second")
    assert STAGE.run(_settings(), artifacts, first) == STAGE.run(_settings(), artifacts, second)
    for path in sorted(first.out.rglob("*")):
        if path.is_file():
            assert (second.out / path.relative_to(first.out)).read_bytes() == path.read_bytes()


def test_every_candidate_has_a_row_with_its_reason(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    artifacts = _artifacts(
        tmp_path, shelve, examples, {"onnx fp32": (0.0, 2.0), "onnx int8": (14.2, 1.0)}
    )
    facts = STAGE.run(_settings(), artifacts, workspace("package"))
    assert [(row.candidate.name, row.verdict, row.reason, row.p95_ms) for row in facts.rows] == [
        ("onnx fp32", "chosen", "fastest within limits", 2.0),
        ("onnx int8", "rejected", "drop 14.2 > 1 pp (top-1)", 1.0),
    ]
    assert facts.rows[0].provenance == "measured"
    assert PackageFacts.model_validate_json(facts.model_dump_json()) == facts
    assert STAGE.summary(facts) == "held by onnx fp32: p95 2.00 ms, drop 0.0 pp, 4.0 MiB"


def test_missed_target_says_which_limit_and_has_no_bundle(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    work = workspace("package")
    artifacts = _artifacts(
        tmp_path, shelve, examples, {"onnx fp32": (3.0, 2.0), "onnx int8": (14.2, 1.0)}
    )
    facts = STAGE.run(_settings(), artifacts, work)
    why = "no candidate meets drop_pp; nearest is onnx fp32: drop 3 > 1 pp (top-1)"
    assert (facts.verdict, facts.chosen, facts.why) == ("missed", None, why)
    assert list(work.out.iterdir()) == []
    assert STAGE.summary(facts) == f"missed: {why}"


def test_model_that_guesses_is_missed_with_the_words_of_its_verification(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    work = workspace("package")
    reason = "top-1 0.542 is no better than always predicting 'bees' (0.542)"
    artifacts = _artifacts(tmp_path, shelve, examples, _FIGURES, value=0.541667, at_chance=reason)
    facts = STAGE.run(_settings(), artifacts, work)
    assert [row.reason for row in facts.rows] == [reason, reason]
    why = f"no candidate meets better_than_guessing; nearest is onnx fp32: {reason}"
    assert (facts.verdict, facts.chosen, facts.why) == ("missed", None, why)
    assert list(work.out.iterdir()) == []


def test_detector_that_finds_nothing_is_refused_whatever_the_limits(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    nothing = {
        **_DETECTED,
        "value": 0.0,
        "num_predictions": 0,
        "at_chance": "detects nothing on any of 72",
    }
    artifacts = _artifacts(tmp_path, shelve, examples, _FIGURES, **nothing)
    target = _target("local", better_than_guessing=False, drop_pp=None)
    facts = STAGE.run(
        Settings(
            recipe="cells", model="student", target=target, runtime="0" * 64, task="classification"
        ),
        artifacts,
        workspace("package"),
    )
    assert facts.verdict == "missed"
    assert [row.reason for row in facts.rows] == ["detects nothing on any of 72"] * 2


def test_detector_is_judged_by_its_map(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    artifacts = _artifacts(tmp_path, shelve, examples, {"onnx fp32": (0.0, 2.0)}, **_DETECTED)
    target = _target("local", "fp32", map50=0.9)
    settings = Settings(
        recipe="cells", model="student", target=target, runtime="0" * 64, task="classification"
    )
    facts = STAGE.run(settings, artifacts, workspace("package"))
    (row,) = facts.rows
    assert (row.metric, row.title, row.value) == ("map", "mAP", 0.6)
    assert row.others == {"mAP50": 0.85}
    assert row.reason == "mAP50 0.85 < 0.9"


@pytest.mark.parametrize(
    ("task", "limit", "words"),
    [
        ("detection", {"top1": 0.5}, "limits.top1 is for classification; detection has map, map50"),
        (
            "detection",
            {"class_recall": {"crack": 0.5}},
            "limits.class_recall is for classification; detection has map, map50",
        ),
        (
            "classification",
            {"map": 0.5},
            "limits.map is for detection; classification has top1, class_recall, class_precision",
        ),
        (
            "classification",
            {"map50": 0.5},
            "limits.map50 is for detection; classification has top1, class_recall, class_precision",
        ),
    ],
)
def test_limit_of_another_task_is_refused(
    bench: Any, task: str, limit: dict[str, Any], words: str
) -> None:
    job = dataclasses.replace(bench.job(task=task), targets=(_target("local", **limit),))
    assert bench.problems("package", job) == f"recipe.yaml: targets: targets/board.yaml: {words}"


def test_figures_of_classes_with_a_limit_stand_in_the_table(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    crack = ClassFigures(label="crack", support=9, figures={"recall": 0.97, "precision": 0.5})
    dent = ClassFigures(label="dent", support=9, figures={"recall": 0.9, "precision": 1.0})
    artifacts = _artifacts(
        tmp_path, shelve, examples, {"onnx fp32": (0.0, 1.0)}, classes=(crack, dent)
    )
    target = _target("local", "fp32", class_recall={"crack": 0.98})
    settings = _settings().model_copy(update={"target": target})
    facts = STAGE.run(settings, artifacts, workspace("package"))
    (row,) = facts.rows
    assert row.others == {"recall of crack": 0.97}
    assert row.reason == "recall of crack 0.97 < 0.98"


@pytest.mark.parametrize(("task", "limit"), [("detection", "map50"), ("classification", "top1")])
def test_limit_of_the_task_is_accepted(bench: Any, task: str, limit: str) -> None:
    job = dataclasses.replace(bench.job(task=task), targets=(_target("local", **_half(limit)),))
    assert list(STAGE.check(job)) == []


def test_target_without_a_device_gets_a_bundle_marked_unverified(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    work = workspace("package")
    artifacts = _artifacts(
        tmp_path, shelve, examples, {"onnx fp32": (0.0, None), "onnx int8": (0.4, None)}
    )
    facts = STAGE.run(_settings(device=None), artifacts, work)
    assert (facts.verdict, facts.why) == ("unverified", "no device")
    manifest = json.loads((work.out / "bundle" / "manifest.json").read_text())
    assert (manifest["verdict"], manifest["latency"]) == ("unverified", None)
    assert facts.rows[0].p95_ms is None
    assert STAGE.summary(facts) == "unverified, no device; onnx fp32: drop 0.0 pp, 4.0 MiB"


def test_node_reads_the_times_of_all_and_file_and_verification_of_every_candidate() -> None:
    target = _target("local")
    candidates = [variant.of("student") for variant in target.variants()]
    fp32, int8 = candidates
    keys: dict[str, list[Hashable]] = {
        "float": [fp32.file],
        "quantized": [int8.file],
        "verification": [int8.file, fp32.file],
        "latency": [Timing("local", 1)],
    }
    made = {
        kind: [Node(kind, f"{kind} {key}", NoOptions(), key=key) for key in each]
        for kind, each in keys.items()
    }
    nodes = _inputs(target, candidates, made)
    assert {name: (node.stage, node.key) for name, node in nodes.items()} == {
        "file/student/onnx/fp32/cpu": ("float", fp32.file),
        "verification/student/onnx/fp32/cpu": ("verification", fp32.file),
        "file/student/onnx/int8/cpu": ("quantized", int8.file),
        "verification/student/onnx/int8/cpu": ("verification", int8.file),
        "float/student/onnx/int8/cpu": ("float", fp32.file),
        "latency": ("latency", Timing("local", 1)),
    }


def test_node_reads_every_model_of_the_chains_but_no_control(bench: Any) -> None:
    job = bench.job(student={"family": "mobilenet_v2"})
    root = Node("finetune", "finetune", NoOptions(), key="teacher")
    adapted = Node("adapt", "adapt teacher", NoOptions(), {"model": root}, key="teacher")
    student, control = (
        Node("distill", key, NoOptions(), {"teacher": adapted}, key=key)
        for key in ("student", "control")
    )
    models = _models(job, {"model": [adapted, control, student]})
    assert models == {"teacher 0": root, "teacher": adapted, "student": student}


def test_lineage_lists_every_model_in_the_order_of_the_chain(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    artifacts = _artifacts(tmp_path, shelve, examples, _FIGURES)
    (tmp_path / "root").mkdir()
    root = shelve(tmp_path / "root", "finetune", "teacher", {})
    chain = {"dataset": artifacts["dataset"], "teacher 0": root}
    work = workspace("package")
    STAGE.run(_settings(), {**chain, **artifacts}, work)
    manifest = json.loads((work.out / "bundle" / "manifest.json").read_text())
    assert list(manifest["lineage"])[:4] == ["dataset", "teacher 0", "teacher", "student"]
    assert manifest["lineage"]["teacher 0"] == {
        "stage": "finetune", "key": "key of finetune", "digest": "digest of finetune"
    }  # fmt: skip


@pytest.mark.parametrize("precision", list(Precision))
def test_every_file_that_was_made_from_a_float_file_names_it(precision: Precision) -> None:
    target = _target(None, precision)
    (candidate,) = (variant.of("student") for variant in target.variants())
    kind = "float" if precision is Precision.FP32 else "quantized"
    float_file = dataclasses.replace(candidate.file, precision=Precision.FP32)
    made = {
        "float": [Node("float", "float", NoOptions(), key=float_file)],
        "verification": [Node("verification", "verification", NoOptions(), key=candidate.file)],
    }
    if kind == "quantized":
        made["quantized"] = [Node("quantized", "quantized", NoOptions(), key=candidate.file)]

    nodes = _inputs(target, [candidate], made)

    assert nodes[Part.FILE.of(candidate)].stage == kind
    linked = nodes.get(Part.FLOAT.of(candidate))
    assert (None if linked is None else linked.key) == (
        None if precision is Precision.FP32 else float_file
    )


@pytest.mark.parametrize("change", ["target", "runtime"])
def test_key_changes_with_target_and_runtime(change: str) -> None:
    other = _settings(device=None) if change == "target" else _settings(runtime="f" * 64)
    assert other.model_dump(mode="json") != _settings().model_dump(mode="json")


def _on_cuda(
    root: Path, shelve: Shelve, examples: Any, *, broken: list[str]
) -> tuple[Settings, dict[str, Artifact]]:
    """Return a target with fp32 on CPU and GPU, the GPU twice as fast, and what was made for it."""
    target = _target("local").model_copy(
        update={"candidates": {"onnx": (Precision.FP32,), "onnx@cuda": (Precision.FP32,)}}
    )
    artifacts = _artifacts(root, shelve, examples, {"onnx fp32": (0.0, 2.0)})
    cpu, cuda = (variant.of("student") for variant in target.variants())
    for part in (Part.FILE, Part.VERIFICATION):
        artifacts[part.of(cuda)] = artifacts[part.of(cpu)]
    Contract(
        task="classification",
        labels=("red",),
        format="onnx",
        files=(ModelFile("model.onnx", 1, "0" * 64),),
        precision="fp32",
        inputs=(ImageInput("image", "image", Preprocess(32, 32, "stretch", "bilinear", 0)),),
        outputs=(OutputSpec("logits", "logits", (1, 1), "logits"),),
    ).save(artifacts[_file("onnx fp32")].folder)
    timed = root / "timed"
    timed.mkdir()
    on_cuda = examples.latency(1.0, provider="cuda", broken=tuple(broken))
    facts = examples.benchmark(onnx_fp32=examples.latency(2.0), onnx_fp32_cuda=on_cuda)
    artifacts[LATENCY_INPUT] = shelve(
        timed, "benchmark local x1", "latency", facts.model_dump(mode="json")
    )
    return Settings(
        recipe="parts", model="student", target=target, runtime="0" * 64, task="classification"
    ), artifacts


def test_bundle_asks_for_the_provider_that_was_chosen(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    settings, artifacts = _on_cuda(tmp_path, shelve, examples, broken=[])
    work = workspace("package")
    facts = STAGE.run(settings, artifacts, work)
    assert facts.chosen == examples.candidate("onnx fp32 cuda")
    assert [(row.candidate.name, row.candidate.provider) for row in facts.rows] == [
        ("onnx fp32", "cpu"),
        ("onnx fp32 cuda", "cuda"),
    ]
    assert facts.rows[0].reason == "3.00 times as long [3.00 3.00]"
    assert facts.rows[1].reason == (
        "fastest within limits; accuracy is the file's on the CPU, cuda reproduces the golden "
        "samples"
    )
    bundle = work.out / "bundle"
    assert Contract.load(bundle).provider == "cuda"
    assert Contract.load(artifacts[_file("onnx fp32")].folder).provider == "cpu"
    assert check_files(bundle) > 0
    assert json.loads((bundle / "manifest.json").read_text())["candidate"]["provider"] == "cuda"


def test_provider_that_answers_otherwise_is_not_chosen(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    settings, artifacts = _on_cuda(
        tmp_path, shelve, examples, broken=["logits: worst 3, 0.01 allowed"]
    )
    facts = STAGE.run(settings, artifacts, workspace("package"))
    assert facts.chosen == examples.candidate("onnx fp32")
    assert (facts.rows[1].verdict, facts.rows[1].reason) == (
        "rejected",
        "logits: worst 3, 0.01 allowed",
    )


def test_provider_that_was_not_tried_is_told(
    tmp_path: Path, shelve: Shelve, workspace: Make, examples: Any
) -> None:
    settings, artifacts = _on_cuda(tmp_path, shelve, examples, broken=[])
    target = settings.target.model_copy(update={"device": None})
    untimed = {name: made for name, made in artifacts.items() if name != LATENCY_INPUT}
    facts = STAGE.run(settings.model_copy(update={"target": target}), untimed, workspace("package"))
    assert facts.rows[1].reason == (
        "no device; accuracy is the file's on the CPU, cuda was not tried"
    )


def _half(limit: str) -> dict[str, Any]:
    return {limit: 0.5}


def _target(device: str | None, precisions: str = "fp32 int8", **limits: Any) -> Target:
    return Target.model_validate(
        {
            "name": "board",
            "description": "a board",
            "device": device,
            "threads": 1,
            "candidates": {"onnx": precisions.split()},
            "limits": limits,
        }
    )


def _settings(*, device: str | None = "local", runtime: str = "0" * 64) -> Settings:
    return Settings(
        recipe="parts",
        model="student",
        target=_target(device),
        runtime=runtime,
        task="classification",
    )


def _file(name: str) -> str:
    """Return the name of the input that is the file of a candidate on the CPU."""
    format_name, precision = name.split()
    return Part.FILE.of(Candidate("student", format_name, Precision(precision), "cpu"))


def _artifacts(
    root: Path, shelve: Shelve, examples: Any, candidates: Figures, **verified: object
) -> dict[str, Artifact]:
    """Return artifacts with the facts that earlier stages leave, and model files of a few bytes."""

    def put(label: str, kind: str, facts: FactsModel | None = None, **files: str) -> Artifact:
        folder = root / "artifacts" / label
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)
        return shelve(folder, label, kind, facts.model_dump(mode="json") if facts else {})

    artifacts = {
        "dataset": put("index", "dataset"),
        "teacher": put("finetune", "teacher"),
        "student": put("distill", "student"),
    }
    times: dict[str, LatencyFacts] = {}
    for name, (drop_pp, p95_ms) in candidates.items():
        candidate = examples.candidate(name)
        is_float = candidate.precision is Precision.FP32
        label = f"export {candidate.format}" if is_float else f"quantize {name}"
        kind = "float" if is_float else "quantized"
        file = put(label, kind, model_onnx=name, contract_json="{}")
        artifacts[Part.FILE.of(candidate)] = file
        facts = examples.verification(name, **{"drop": examples.drop(drop_pp), **verified})
        artifacts[Part.VERIFICATION.of(candidate)] = put(f"verify {name}", "verification", facts)
        if not is_float:
            artifacts[Part.FLOAT.of(candidate)] = artifacts[_file("onnx fp32")]
        if p95_ms is not None:
            times[name.replace(" ", "_")] = examples.latency(p95_ms)
    if times:
        timed = put("benchmark local x1", "latency", examples.benchmark(**times))
        artifacts[LATENCY_INPUT] = timed
    return artifacts
