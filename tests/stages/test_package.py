from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgetl.config.target import Target
from edgetl.runtime.bundle import check_files, runtime_files
from edgetl.runtime.contract import Contract, InputSpec, OutputSpec
from edgetl.runtime.preprocess import Preprocess
from edgetl.stages import Node, NoOptions, Workspace
from edgetl.stages.package import STAGE, Settings, _inputs
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
    "map50": 0.85,
    "num_predictions": 900,
}
_FIGURES: Figures = {"onnx fp32": (0.0, 2.0), "onnx int8": (0.4, 1.0)}


def test_bundle_holds_model_runtime_and_the_digest_of_every_file(
    tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    work = workspace("package")
    facts = STAGE.run(_settings(), _artifacts(tmp_path, shelve, _FIGURES), work)
    assert (facts["verdict"], facts["chosen"]) == ("held", "onnx int8")
    bundle = work.out / "bundle"
    files = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert files == {"model.onnx", "contract.json", "manifest.json", *runtime_files()}
    assert (bundle / "model.onnx").read_text() == "onnx int8"
    assert check_files(bundle) == len(files) - 1


def test_manifest_tells_where_the_model_comes_from(
    tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    work = workspace("package")
    artifacts = _artifacts(tmp_path, shelve, _FIGURES)
    STAGE.run(_settings(), artifacts, work)
    manifest = json.loads((work.out / "bundle" / "manifest.json").read_text())
    lineage = manifest["lineage"]
    assert list(lineage) == [
        "dataset",
        "teacher",
        "student",
        "file",
        "verification",
        "float",
        "latency",
    ]
    assert lineage["file"] == {
        "stage": "quantize",
        "key": artifacts["onnx int8 file"].manifest.key,
        "digest": artifacts["onnx int8 file"].manifest.digest,
    }
    assert manifest["name"] == "parts"
    assert manifest["candidate"] == "onnx int8"
    assert manifest["target"]["name"] == "board"
    assert manifest["target"]["limits"]["drop_pp"] == 1.0
    assert manifest["verdict"] == "held"
    assert set(manifest["made_with"]) == {"onnxruntime", "numpy", "pillow"}


def test_rerun_gives_equal_bytes(tmp_path: Path, shelve: Shelve, workspace: Make) -> None:
    artifacts = _artifacts(tmp_path, shelve, _FIGURES)
    first, second = workspace("first"), workspace("second")
    assert STAGE.run(_settings(), artifacts, first) == STAGE.run(_settings(), artifacts, second)
    for path in sorted(first.out.rglob("*")):
        if path.is_file():
            assert (second.out / path.relative_to(first.out)).read_bytes() == path.read_bytes()


def test_every_candidate_has_a_row_with_its_reason(
    tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    artifacts = _artifacts(tmp_path, shelve, {"onnx fp32": (0.0, 2.0), "onnx int8": (14.2, 1.0)})
    facts = STAGE.run(_settings(), artifacts, workspace("package"))
    assert [
        (row["candidate"], row["verdict"], row["reason"], row["p95_ms"]) for row in facts["rows"]
    ] == [
        ("onnx fp32", "chosen", "fastest within limits", 2.0),
        ("onnx int8", "rejected", "drop 14.2 > 1 pp (top-1)", 1.0),
    ]
    assert facts["rows"][0]["provenance"] == "measured"
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert STAGE.summary(facts) == "held by onnx fp32: p95 2.00 ms, drop 0.0 pp, 4.0 MiB"


def test_missed_target_says_which_limit_and_has_no_bundle(
    tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    work = workspace("package")
    artifacts = _artifacts(tmp_path, shelve, {"onnx fp32": (3.0, 2.0), "onnx int8": (14.2, 1.0)})
    facts = STAGE.run(_settings(), artifacts, work)
    why = "no candidate holds drop_pp; nearest is onnx fp32: drop 3 > 1 pp (top-1)"
    assert (facts["verdict"], facts["chosen"], facts["why"]) == ("missed", None, why)
    assert list(work.out.iterdir()) == []
    assert STAGE.summary(facts) == f"missed: {why}"


def test_model_that_guesses_is_missed_with_the_words_of_its_verification(
    tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    work = workspace("package")
    reason = "top-1 0.542 is no better than always answering 'bees' (0.542)"
    artifacts = _artifacts(tmp_path, shelve, _FIGURES, value=0.541667, at_chance=reason)
    facts = STAGE.run(_settings(), artifacts, work)
    assert [row["reason"] for row in facts["rows"]] == [reason, reason]
    why = f"no candidate holds better_than_guessing; nearest is onnx fp32: {reason}"
    assert (facts["verdict"], facts["chosen"], facts["why"]) == ("missed", None, why)
    assert list(work.out.iterdir()) == []


def test_detector_that_finds_nothing_is_refused_whatever_the_limits(
    tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    nothing = {
        **_DETECTED,
        "value": 0.0,
        "num_predictions": 0,
        "at_chance": "finds nothing on any of 72",
    }
    artifacts = _artifacts(tmp_path, shelve, _FIGURES, **nothing)
    target = _target("local", better_than_guessing=False, drop_pp=None)
    facts = STAGE.run(
        Settings(recipe="cells", target=target, runtime="0" * 64), artifacts, workspace("package")
    )
    assert facts["verdict"] == "missed"
    assert [row["reason"] for row in facts["rows"]] == ["finds nothing on any of 72"] * 2


def test_detector_is_judged_by_its_map(tmp_path: Path, shelve: Shelve, workspace: Make) -> None:
    artifacts = _artifacts(tmp_path, shelve, {"onnx fp32": (0.0, 2.0)}, **_DETECTED)
    target = _target("local", "fp32", map50=0.9)
    settings = Settings(recipe="cells", target=target, runtime="0" * 64)
    facts = STAGE.run(settings, artifacts, workspace("package"))
    (row,) = facts["rows"]
    assert (row["metric"], row["title"], row["value"]) == ("map", "mAP", 0.6)
    assert row["others"] == {"mAP50": 0.85}
    assert row["reason"] == "mAP50 0.85 < 0.9"


@pytest.mark.parametrize(
    ("task", "limit", "words"),
    [
        ("detection", "top1", "limits.top1 is for classification; detection has map, map50"),
        ("classification", "map", "limits.map is for detection; classification has top1"),
        ("classification", "map50", "limits.map50 is for detection; classification has top1"),
    ],
)
def test_limit_of_another_task_is_refused(bench: Any, task: str, limit: str, words: str) -> None:
    job = dataclasses.replace(bench.job(task=task), targets=(_target("local", **_half(limit)),))
    assert bench.problems("package", job) == f"recipe.yaml: targets: targets/board.yaml: {words}"


@pytest.mark.parametrize(("task", "limit"), [("detection", "map50"), ("classification", "top1")])
def test_limit_of_the_task_is_accepted(bench: Any, task: str, limit: str) -> None:
    job = dataclasses.replace(bench.job(task=task), targets=(_target("local", **_half(limit)),))
    assert list(STAGE.check(job)) == []


def test_target_without_a_device_gets_a_bundle_marked_unverified(
    tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    work = workspace("package")
    artifacts = _artifacts(tmp_path, shelve, {"onnx fp32": (0.0, None), "onnx int8": (0.4, None)})
    facts = STAGE.run(_settings(device=None), artifacts, work)
    assert (facts["verdict"], facts["why"]) == ("unverified", "no device")
    manifest = json.loads((work.out / "bundle" / "manifest.json").read_text())
    assert (manifest["verdict"], manifest["latency"]) == ("unverified", None)
    assert facts["rows"][0]["p95_ms"] is None
    assert STAGE.summary(facts) == "unverified, no device; onnx fp32: drop 0.0 pp, 4.0 MiB"


def test_node_reads_file_verification_and_latency_of_every_candidate() -> None:
    made = {
        kind: [Node(label.partition(" ")[0], label, NoOptions()) for label in labels]
        for kind, labels in {
            "teacher": ["finetune"],
            "student": ["distill", "control"],
            "float": ["export onnx"],
            "quantized": ["quantize onnx int8"],
            "verification": ["verify onnx fp32", "verify onnx int8"],
            "latency": ["benchmark onnx fp32 local x1", "benchmark onnx int8 local x1"],
        }.items()
    }
    view = Node("view", "view", NoOptions())
    found = {name: node.label for name, node in _inputs(_target("local"), made, view).items()}
    assert found == {
        "dataset": "view",
        "teacher": "finetune",
        "student": "distill",
        "onnx fp32 file": "export onnx",
        "onnx fp32 verification": "verify onnx fp32",
        "onnx fp32 latency": "benchmark onnx fp32 local x1",
        "onnx int8 file": "quantize onnx int8",
        "onnx int8 verification": "verify onnx int8",
        "onnx int8 float": "export onnx",
        "onnx int8 latency": "benchmark onnx int8 local x1",
    }


@pytest.mark.parametrize("change", ["target", "runtime"])
def test_key_changes_with_target_and_runtime(change: str) -> None:
    other = _settings(device=None) if change == "target" else _settings(runtime="f" * 64)
    assert other.model_dump(mode="json") != _settings().model_dump(mode="json")


def _on_cuda(
    root: Path, shelve: Shelve, *, broken: list[str]
) -> tuple[Settings, dict[str, Artifact]]:
    """Return a target with fp32 on CPU and GPU, the GPU twice as fast, and what was made for it."""
    target = _target("local").model_copy(
        update={"candidates": {"onnx": (Precision.FP32,), "onnx@cuda": (Precision.FP32,)}}
    )
    artifacts = _artifacts(root, shelve, {"onnx fp32": (0.0, 2.0)})
    for part in ("file", "verification"):
        artifacts[f"onnx fp32 cuda {part}"] = artifacts[f"onnx fp32 {part}"]
    Contract(
        task="classification",
        labels=("red",),
        format="onnx",
        file="model.onnx",
        precision="fp32",
        input=InputSpec("image", 32, 32),
        preprocess=Preprocess(32, 32, "stretch", "bilinear", 0),
        outputs=(OutputSpec("logits", "logits", (1, 1)),),
    ).save(artifacts["onnx fp32 file"].folder)
    timed = root / "timed"
    timed.mkdir()
    facts = _timed(1.0) | {"provider": "cuda", "broken": broken}
    artifacts["onnx fp32 cuda latency"] = shelve(timed, "benchmark cuda", "latency", facts)
    return Settings(recipe="parts", target=target, runtime="0" * 64), artifacts


def test_bundle_asks_for_the_provider_that_was_chosen(
    tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    settings, artifacts = _on_cuda(tmp_path, shelve, broken=[])
    work = workspace("package")
    facts = STAGE.run(settings, artifacts, work)
    assert facts["chosen"] == "onnx fp32 cuda"
    assert [(row["candidate"], row["provider"]) for row in facts["rows"]] == [
        ("onnx fp32", "cpu"),
        ("onnx fp32 cuda", "cuda"),
    ]
    assert facts["rows"][0]["reason"] == ""
    assert facts["rows"][1]["reason"] == (
        "fastest within limits; accuracy is the file's on the CPU, cuda answers the golden samples "
        "alike"
    )
    bundle = work.out / "bundle"
    assert Contract.load(bundle).provider == "cuda"
    assert Contract.load(artifacts["onnx fp32 file"].folder).provider == "cpu"
    assert check_files(bundle) > 0
    assert json.loads((bundle / "manifest.json").read_text())["candidate"] == "onnx fp32 cuda"


def test_provider_that_answers_otherwise_is_not_chosen(
    tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    settings, artifacts = _on_cuda(tmp_path, shelve, broken=["logits: worst 3, 0.01 allowed"])
    facts = STAGE.run(settings, artifacts, workspace("package"))
    assert facts["chosen"] == "onnx fp32"
    assert (facts["rows"][1]["verdict"], facts["rows"][1]["reason"]) == (
        "rejected",
        "logits: worst 3, 0.01 allowed",
    )


def test_provider_that_was_not_tried_is_told(
    tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    settings, artifacts = _on_cuda(tmp_path, shelve, broken=[])
    target = settings.target.model_copy(update={"device": None})
    untimed = {name: made for name, made in artifacts.items() if not name.endswith("latency")}
    facts = STAGE.run(settings.model_copy(update={"target": target}), untimed, workspace("package"))
    assert facts["rows"][1]["reason"] == (
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
    return Settings(recipe="parts", target=_target(device), runtime=runtime)


def _artifacts(
    root: Path, shelve: Shelve, figures: Figures, **verified: object
) -> dict[str, Artifact]:
    """Return artifacts with the facts that earlier stages leave, and model files of a few bytes."""

    def put(label: str, kind: str, facts: dict[str, Any], **files: str) -> Artifact:
        folder = root / "artifacts" / label
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)
        return shelve(folder, label, kind, facts)

    found = {
        "dataset": put("index", "dataset", {}),
        "teacher": put("finetune", "teacher", {}),
        "student": put("distill", "student", {}),
    }
    for name, (drop_pp, p95_ms) in figures.items():
        float_label = f"export {name.partition(' ')[0]}"
        label = float_label if name.endswith("fp32") else f"quantize {name}"
        kind = "float" if label == float_label else "quantized"
        found[f"{name} file"] = put(label, kind, {}, model_onnx=name, contract_json="{}")
        found[f"{name} verification"] = put(
            f"verify {name}", "verification", _verified(name, drop_pp) | verified
        )
        if kind == "quantized":
            found[f"{name} float"] = found["onnx fp32 file"]
        if p95_ms is not None:
            found[f"{name} latency"] = put(f"benchmark {name}", "latency", _timed(p95_ms))
    return found


def _verified(name: str, drop_pp: float) -> Facts:
    return {
        "format": name.partition(" ")[0],
        "precision": name.partition(" ")[2],
        "metric": "top1",
        "title": "top-1",
        "value": 0.9,
        "low": 0.85,
        "high": 0.94,
        "num_predictions": 48,
        "at_chance": None,
        "drop": {"pp": drop_pp, "low_pp": drop_pp - 1, "high_pp": drop_pp + 1},
        "breaks_at": None,
        "size_bytes": 4 << 20,
    }


def _timed(p95_ms: float) -> Facts:
    return {
        "model_ms": {"p95": {"value": p95_ms, "low": p95_ms - 0.1, "high": p95_ms + 0.1}},
        "peak_memory_bytes": 80 << 20,
        "interfered": False,
        "broken": None,
        "provenance": "measured",
    }
