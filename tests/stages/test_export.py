from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgetl.config.recipe import NmsTable
from edgetl.config.target import Target
from edgetl.data.dataset import Dataset
from edgetl.errors import EdgetlError, MissingPackage
from edgetl.models import deployable, load_model
from edgetl.nn.layers import RawPixels
from edgetl.runtime import golden
from edgetl.runtime.contract import Contract
from edgetl.runtime.detections import NmsSettings
from edgetl.runtime.predictor import Predictor
from edgetl.stages import STAGES, Job, Node, export
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.train.training_artifacts import split_predictions
from edgetl.types import Precision, Split

STAGE = STAGES.load("export")
DETECTION = TASKS.load("detection").evaluation
SIZE = 32
COUNTS = {Split.TRAIN: 8, Split.VAL: 8, Split.TEST: 8}

Detector = Callable[..., dict[str, Artifact]]

pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")


def target(name: str, *formats: str) -> Target:
    return Target(
        name=name,
        description="a board",
        device=None,
        threads=1,
        candidates=dict.fromkeys(formats, (Precision.FP32,)),
    )


def job(bench: Any, *targets: Target) -> Job:
    changed: Job = dataclasses.replace(bench.job(), targets=targets)
    return changed


@pytest.fixture
def inputs(
    bench: Any, shelve: Callable[..., Artifact], untrained: Callable[..., Path], tmp_path: Path
) -> dict[str, Artifact]:
    """Return the squares, and an untrained model of them."""
    data = bench.dataset()
    folder = untrained(tmp_path / "model", data.folder, "mobilenet_v3_small", width=0.25, seed=0)
    return {"dataset": data, "model": shelve(folder, "distill", "student", {})}


@pytest.fixture
def detector(
    bench: Any, shelve: Callable[..., Artifact], untrained: Callable[..., Path], tmp_path: Path
) -> Callable[..., dict[str, Artifact]]:
    """Return what makes images with a square somewhere, and an untrained detector for them."""

    def make(counts: Mapping[Split, int] = COUNTS) -> dict[str, Artifact]:
        data = bench.boxes(counts)
        folder = untrained(tmp_path / "detector", data.folder, "yolox_nano", width=0.25, seed=0)
        return {"dataset": data, "model": shelve(folder, "distill", "student", {})}

    return make


def onnx_node(bench: Any, inputs: dict[str, Artifact]) -> Node:
    del inputs
    teacher = Node("finetune", "finetune", bench.job().tables["finetune"], key="teacher")
    [node] = bench.plan("export", job(bench, target("host", "onnx")), teacher=[teacher], student=[])
    assert isinstance(node, Node)
    return node


def test_format_of_several_targets_is_exported_once(bench: Any) -> None:
    teacher = Node("finetune", "finetune", bench.job().tables["finetune"], key="teacher")
    wanted = job(bench, target("host", "onnx", "tflite"), target("board", "tflite", "onnx"))

    nodes = bench.plan("export", wanted, teacher=[teacher], student=[])

    assert [node.label for node in nodes] == ["export onnx", "export tflite"]
    assert nodes[0].inputs["model"] is teacher


def test_student_is_exported_where_there_is_one(bench: Any) -> None:
    teacher, control, student = (
        Node("any", key, bench.job().tables["finetune"], key=key)
        for key in ("teacher", "control", "student")
    )
    made = {"teacher": [teacher], "student": [control, student]}

    wanted = dataclasses.replace(
        bench.job(student={"family": "mobilenet_v2"}), targets=(target("host", "onnx"),)
    )

    [node] = bench.plan("export", wanted, **made)

    assert node.inputs["model"] is student


def test_unknown_format_is_told_with_its_target_and_the_closest_name(bench: Any) -> None:
    # What an engine would run, but no exporter writes.
    unwritten = target("host", "onnx").model_copy(update={"candidates": {"onx": (Precision.FP32,)}})
    assert bench.problems("export", job(bench, unwritten)) == (
        "recipe.yaml: targets: targets/host.yaml: candidates: unknown exporter 'onx'; "
        "Did you mean 'onnx'? Known: onnx, openvino, tflite."
    )


def test_missing_packages_of_the_exporters_in_use_are_listed(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "find_spec", lambda _: None)
    wanted = job(bench, target("host", "onnx"))

    assert bench.problems("export", wanted) == ""
    assert list(export.STAGE.missing(wanted)) == [
        MissingPackage("exporter 'onnx'", "onnx", "edgetl[onnx]"),
        MissingPackage("exporter 'onnx'", "onnxscript", "edgetl[onnx]"),
    ]


def test_exported_model_folder_answers_like_torch(bench: Any, inputs: dict[str, Artifact]) -> None:
    artifact = bench.run(onnx_node(bench, inputs), inputs)

    predictor = Predictor.open(artifact.folder)
    contract = predictor.contract
    assert (contract.format, contract.file, contract.precision) == ("onnx", "model.onnx", "fp32")
    assert contract.labels == ("dark", "bright")
    assert (artifact.folder / "labels.txt").read_text() == "dark\nbright\n"
    assert golden.replay(artifact.folder).passed
    assert artifact.manifest.facts["size_bytes"] == (artifact.folder / "model.onnx").stat().st_size
    assert (
        0.0
        <= artifact.manifest.facts["max_abs_error"]
        <= 1e-5 * artifact.manifest.facts["output_span"]
    )
    assert "of the outputs' range from torch" in STAGE.summarise(artifact)


def test_golden_samples_are_images_of_the_validation_split(
    bench: Any, inputs: dict[str, Artifact]
) -> None:
    artifact = bench.run(onnx_node(bench, inputs), inputs)

    samples = golden.load(artifact.folder, Contract.load(artifact.folder))
    images = Dataset.open(inputs["dataset"].folder).images(Split.VAL)
    assert np.array_equal(samples.inputs["image"], images), "all eight of eight"
    assert samples.fitted.shape == (2, SIZE, SIZE, 3)
    spec, module = load_model(inputs["model"].folder)
    with torch.no_grad():
        predictions = RawPixels(module, spec.mean, spec.std)(
            torch.tensor(samples.inputs["image"]).float()
        )
    np.testing.assert_allclose(samples.reference["logits"], predictions.numpy(), atol=1e-6)


def test_rerun_gives_the_same_bytes(bench: Any, inputs: dict[str, Artifact]) -> None:
    node = onnx_node(bench, inputs)

    first, second = bench.run(node, inputs), bench.run(node, inputs, name="again")

    assert first.manifest.files == second.manifest.files
    assert first.manifest.digest == second.manifest.digest


def test_file_whose_outputs_differ_from_torch_is_refused(
    bench: Any, inputs: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not even equal bits are allowed.
    monkeypatch.setattr(export, "_LARGEST_ERROR", -1.0)

    with pytest.raises(
        EdgetlError, match=r"outputs of the onnx file differ from torch's by .*, with a range"
    ):
        bench.run(onnx_node(bench, inputs), inputs)


def test_exported_detector_gives_boxes_and_scores_apart(bench: Any, detector: Detector) -> None:
    inputs = detector()
    artifact = bench.run(onnx_node(bench, inputs), inputs)

    contract = Predictor.open(artifact.folder).contract
    locations = (SIZE // 8) ** 2 + (SIZE // 16) ** 2 + (SIZE // 32) ** 2
    assert contract.task == "detection"
    assert [(output.name, output.shape) for output in contract.outputs] == [
        ("boxes", (1, locations, 4)),
        ("scores", (1, locations, 2)),
    ]
    assert golden.replay(artifact.folder).passed
    assert artifact.manifest.facts["output_span"] == 1.0
    assert artifact.manifest.facts["max_abs_error"] < 1e-3
    assert contract.nms is not None
    assert artifact.manifest.facts["nms"] == dataclasses.asdict(contract.nms)
    score = contract.nms.score_threshold
    assert STAGE.summarise(artifact).endswith(f"detects from a score of {score:g}")


def test_suppression_of_the_recipe_enters_the_settings_of_a_detector_alone(bench: Any) -> None:
    teacher = Node("finetune", "finetune", bench.job().tables["finetune"], key="teacher")
    asked = {"mode": "class-agnostic", "iou": 0.5, "score_threshold": 0.25, "max_detections": 300}

    def settings(**fields: Any) -> Any:
        wanted = dataclasses.replace(bench.job(**fields), targets=(target("host", "onnx"),))
        [node] = bench.plan("export", wanted, teacher=[teacher], student=[])
        return node.settings

    detection = settings(task="detection", nms=asked)
    assert detection.nms == NmsTable.model_validate(asked)
    assert settings(task="detection") == settings(task="detection", nms={"iou": 0.65})
    assert settings(task="detection").nms == NmsTable()
    assert settings().nms is None


def test_suppression_of_a_classifier_is_refused(bench: Any) -> None:
    wanted = dataclasses.replace(
        bench.job(nms={"mode": "per-class"}), targets=(target("host", "onnx"),)
    )

    assert bench.problems("export", wanted) == (
        "recipe.yaml: nms: is only read for `task: detection`; remove it"
    )


def test_contract_of_a_detector_carries_the_suppression_of_the_recipe(
    bench: Any, detector: Detector
) -> None:
    inputs = detector()
    wanted = NmsTable(mode="class-agnostic", iou=0.4, score_threshold=0.2, max_detections=12)
    settings = export.Settings(format="onnx", nms=wanted, task="detection")

    artifact = bench.run(Node("export", "export onnx", settings), inputs)

    nms = Predictor.open(artifact.folder).contract.nms
    assert nms == NmsSettings(
        score_threshold=0.2, iou=0.4, max_detections=12, mode="class-agnostic"
    )
    assert golden.replay(artifact.folder).passed


def test_detector_operates_at_the_score_that_suits_the_validation_split(
    detector: Detector,
) -> None:
    inputs = detector()
    dataset = Dataset.open(inputs["dataset"].folder)
    truths = dataset.truths(Split.VAL)
    # All objects, with a score of .91.
    np.savez(
        inputs["model"].file("predictions.npz"),
        val_boxes=np.concatenate([truth.boxes for truth in truths]),
        val_labels=np.concatenate([truth.labels for truth in truths]),
        val_scores=np.full(sum(len(truth.labels) for truth in truths), 0.91, np.float32),
        val_offsets=np.cumsum([0, *(len(truth.labels) for truth in truths)]),
    )

    nms = export._nms_settings(DETECTION, dataset, inputs["model"], NmsTable())
    given = export._nms_settings(DETECTION, dataset, inputs["model"], NmsTable(score_threshold=0.5))

    assert nms == NmsSettings(
        score_threshold=0.91, iou=0.65, max_detections=100, mode="class-aware"
    )
    assert given == NmsSettings(
        score_threshold=0.5, iou=0.65, max_detections=100, mode="class-aware"
    )


def test_score_is_chosen_among_what_the_wanted_suppression_lets_through(
    detector: Detector,
) -> None:
    inputs = detector()
    dataset = Dataset.open(inputs["dataset"].folder)
    wanted = NmsTable(mode="class-agnostic", max_detections=1)

    nms = export._nms_settings(DETECTION, dataset, inputs["model"], wanted)

    spec, module = load_model(inputs["model"].folder)
    plain = DETECTION.nms(dataset, wanted)
    predictions = split_predictions(
        spec, module, dataset, Split.VAL, evaluation=DETECTION, nms=plain
    )
    assert max(np.diff(predictions["offsets"])) == 1
    assert nms == DETECTION.with_selected_threshold(plain, predictions, dataset, Split.VAL)


def test_detector_without_validation_images_operates_at_a_fixed_score(detector: Detector) -> None:
    inputs = detector({Split.TRAIN: 4, Split.VAL: 0, Split.TEST: 4})
    dataset = Dataset.open(inputs["dataset"].folder)

    nms = export._nms_settings(DETECTION, dataset, inputs["model"], NmsTable())

    assert nms == NmsSettings(score_threshold=0.3, iou=0.65, max_detections=100, mode="class-aware")


def test_golden_images_of_a_detector_show_objects_and_are_fewer_the_larger_its_answers(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = detector()
    dataset = Dataset.open(inputs["dataset"].folder)
    network = deployable(*load_model(inputs["model"].folder))

    pixels, reference = export._golden(dataset, network, DETECTION)
    monkeypatch.setattr(export, "_GOLDEN_BYTES", 1)
    fewer, _ = export._golden(dataset, network, DETECTION)

    images = dataset.images(Split.VAL)
    assert np.array_equal(pixels, images[1:]), "all but the first, which shows nothing"
    assert len(reference["boxes"]) == len(pixels)
    assert len(fewer) == 2
