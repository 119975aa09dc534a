from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgetl.config.recipe import InputTable
from edgetl.config.target import Target
from edgetl.errors import EdgetlError, MissingPackageError
from edgetl.models import FAMILIES, ModelSpec, save_model
from edgetl.nn.layers import RawPixels
from edgetl.runtime import golden
from edgetl.runtime.predictor import Predictor
from edgetl.stages import STAGES, Job, Node, export
from edgetl.store.store import Artifact
from edgetl.types import Precision, Split, Task

STAGE = STAGES.load("export")
SIZE = 32

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
    found: Job = dataclasses.replace(bench.job(), targets=targets)
    return found


@pytest.fixture
def inputs(bench: Any, shelve: Callable[..., Artifact], tmp_path: Path) -> dict[str, Artifact]:
    """Return the squares, and an untrained model of them."""
    torch.set_num_threads(1)
    family = FAMILIES.load("mobilenet_v3_small")
    spec = ModelSpec(
        task=Task.CLASSIFICATION,
        family="mobilenet_v3_small",
        width=0.25,
        classes=("dark", "bright"),
        mean=family.mean,
        std=family.std,
        input=InputTable(size=SIZE, fit="stretch"),
    )
    folder = tmp_path / "model"
    folder.mkdir()
    save_model(folder, spec, family.build(width=0.25, num_classes=2, seed=0))
    return {"dataset": bench.dataset(), "model": shelve(folder, "distill", "student", {})}


def onnx_node(bench: Any, inputs: dict[str, Artifact]) -> Node:
    del inputs
    teacher = Node("finetune", "finetune", bench.job().tables["finetune"])
    [node] = bench.plan("export", job(bench, target("host", "onnx")), teacher=[teacher], student=[])
    assert isinstance(node, Node)
    return node


def test_format_of_several_targets_is_exported_once(bench: Any) -> None:
    teacher = Node("finetune", "finetune", bench.job().tables["finetune"])
    wanted = job(bench, target("host", "onnx", "tflite"), target("board", "tflite", "onnx"))

    nodes = bench.plan("export", wanted, teacher=[teacher], student=[])

    assert [node.label for node in nodes] == ["export onnx", "export tflite"]
    assert nodes[0].inputs["model"] is teacher


def test_student_is_exported_where_there_is_one(bench: Any) -> None:
    teacher, control, student = (
        Node("any", label, bench.job().tables["finetune"])
        for label in ("finetune", "control", "distill")
    )
    made = {"teacher": [teacher], "student": [control, student]}

    [node] = bench.plan("export", job(bench, target("host", "onnx")), **made)

    assert node.inputs["model"] is student


def test_unknown_format_is_told_with_its_target_and_the_closest_name(bench: Any) -> None:
    assert bench.problems("export", job(bench, target("host", "onx"))) == (
        "recipe.yaml: targets: targets/host.yaml: candidates: unknown exporter 'onx'; "
        "Did you mean 'onnx'? Known: onnx, openvino, tflite."
    )


def test_missing_package_is_told_before_anything_runs(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "find_spec", lambda _: None)

    with pytest.raises(
        MissingPackageError, match="exporter 'onnx' needs the package 'onnx'"
    ) as told:
        bench.problems("export", job(bench, target("host", "onnx")))

    assert told.value.remedy == "pip install 'edgetl[onnx]'"


def test_exported_model_folder_answers_like_torch(bench: Any, inputs: dict[str, Artifact]) -> None:
    found = bench.run(onnx_node(bench, inputs), inputs)

    predictor = Predictor.open(found.folder)
    contract = predictor.contract
    assert (contract.format, contract.file, contract.precision) == ("onnx", "model.onnx", "fp32")
    assert contract.labels == ("dark", "bright")
    assert (found.folder / "labels.txt").read_text() == "dark\nbright\n"
    assert golden.replay(found.folder).passed
    assert found.facts["size_bytes"] == (found.folder / "model.onnx").stat().st_size
    assert 0.0 <= found.facts["max_abs_error"] <= 1e-5 * found.facts["output_span"]
    assert "of the outputs' range from torch" in STAGE.summary(found.facts)


def test_golden_samples_are_photos_of_the_validation_split(
    bench: Any, inputs: dict[str, Artifact]
) -> None:
    from edgetl.data.dataset import Dataset
    from edgetl.models import load_model

    found = bench.run(onnx_node(bench, inputs), inputs)

    samples = golden.load(found.folder, ["logits"])
    images = Dataset.open(inputs["dataset"].folder).images(Split.VAL)
    assert np.array_equal(samples.pixels, images), "all eight of eight"
    assert samples.fitted.shape == (2, SIZE, SIZE, 3)
    spec, module = load_model(inputs["model"].folder)
    with torch.no_grad():
        answers = RawPixels(module, spec.mean, spec.std)(torch.tensor(samples.pixels).float())
    np.testing.assert_allclose(samples.reference["logits"], answers.numpy(), atol=1e-6)


def test_rerun_gives_the_same_bytes(bench: Any, inputs: dict[str, Artifact]) -> None:
    node = onnx_node(bench, inputs)

    first, second = bench.run(node, inputs), bench.run(node, inputs, name="again")

    assert first.manifest.files == second.manifest.files
    assert first.manifest.digest == second.manifest.digest


def test_file_that_answers_otherwise_than_torch_is_refused(
    bench: Any, inputs: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    # No conversion keeps every bit, so that without any allowance each one is refused.
    monkeypatch.setattr(export, "_LARGEST_ERROR", 0.0)

    with pytest.raises(
        EdgetlError, match=r"onnx file answers otherwise than torch: .* outputs span"
    ):
        bench.run(onnx_node(bench, inputs), inputs)
