from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgetl.config.calibration import Calibration, Int8Table, RangeTable
from edgetl.config.candidate import ModelFile
from edgetl.config.target import Target
from edgetl.data.dataset import INDEX_FILE, Dataset
from edgetl.errors import DataError, MissingPackage
from edgetl.exporters import EXPORTERS
from edgetl.hashing import digest_value
from edgetl.nn.layers import RawPixels
from edgetl.runtime import golden
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.preprocess import Preprocess
from edgetl.stages import STAGES, Job, Node, quantize
from edgetl.stages._model_folder import complete
from edgetl.store.store import Artifact
from edgetl.types import Precision, Split

STAGE = STAGES.load("quantize")
SIZE = 32

pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")


def job(
    bench: Any,
    candidates: dict[str, tuple[Precision, ...]],
    calibration: dict[str, object] | None = None,
    **fields: Any,
) -> Job:
    target = Target(
        name="host", description="a board", device=None, threads=1, candidates=candidates
    )
    wanted = Calibration.model_validate(
        {
            "name": "few",
            "split": "train",
            "count": 24,
            "sampling": "balanced",
            **(calibration or {}),
        }
    )
    changed: Job = dataclasses.replace(bench.job(**fields), targets=(target,), calibration=wanted)
    return changed


def planned(bench: Any, wanted: Job) -> list[Node]:
    floats = [
        Node(
            "export",
            f"export {name}",
            bench.job().tables["finetune"],
            key=ModelFile("teacher", name, Precision.FP32),
        )
        for name in EXPORTERS.names()
    ]
    nodes: list[Node] = bench.plan("quantize", wanted, float=floats)
    return nodes


def planned_settings(bench: Any, precision: Precision, **calibration: object) -> dict[str, object]:
    [node] = planned(bench, job(bench, {"onnx": (Precision.FP32, precision)}, calibration))
    return node.settings.model_dump(mode="json")


@pytest.fixture
def inputs(bench: Any, shelve: Callable[..., Artifact], tmp_path: Path) -> dict[str, Artifact]:
    """Return the squares, and the ONNX file of a small network."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        nn.Linear(128, 2),
    )  # fmt: skip
    module = RawPixels(network, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)).eval()
    dataset = bench.dataset()
    pixels = Dataset.open(dataset.folder).images(Split.VAL)
    folder = tmp_path / "float"
    folder.mkdir()
    examples = {"image": torch.zeros(1, SIZE, SIZE, 3)}
    EXPORTERS.load("onnx").export(module, examples, ("logits",), folder)
    contract = Contract(
        task="classification",
        labels=("dark", "bright"),
        format="onnx",
        files=describe_files(folder, ("model.onnx",)),
        precision="fp32",
        inputs=(ImageInput("image", "image", Preprocess(SIZE, SIZE, "stretch", "bilinear", 0)),),
        outputs=(OutputSpec("logits", "logits", (1, 2), "logits"),),
    )
    with torch.no_grad():
        reference = {"logits": module(torch.tensor(pixels).float()).numpy()}
    complete(folder, contract, {"image": pixels}, reference, [pixels[0]])
    return {"dataset": dataset, "float": shelve(folder, "export onnx", "float", {})}


def test_float_files_alone_need_no_quantizer(bench: Any) -> None:
    assert planned(bench, job(bench, {"onnx": (Precision.FP32,)})) == []


def test_int8_depends_on_the_images_and_the_estimator_but_not_on_the_recipes_name(
    bench: Any,
) -> None:
    settings = planned_settings(bench, Precision.INT8)

    assert settings == {
        "model": "teacher",
        "format": "onnx",
        "precision": "int8",
        "quantizer": "onnxruntime",
        "images": {"split": "train", "count": 24, "sampling": "balanced", "seed": 0},
        "int8": {
            "range": {"estimator": "minmax", "percentile": 99.99},
            "float_layers": {"tail": False, "convolutions": 0},
        },
    }
    assert planned_settings(bench, Precision.INT8, name="other") == settings
    assert planned_settings(bench, Precision.INT8, seed=1) != settings


def test_fp16_does_not_depend_on_calibration(bench: Any) -> None:
    settings = planned_settings(bench, Precision.FP16)

    assert (settings["images"], settings["int8"]) == (None, None)
    assert planned_settings(bench, Precision.FP16, count=5, seed=3) == settings


def test_w8a16_does_not_depend_on_the_estimator(bench: Any) -> None:
    settings = planned_settings(bench, Precision.W8A16)

    assert settings["int8"] is None
    assert planned_settings(bench, Precision.W8A16, range={"estimator": "mse"}) == settings


def test_percentile_counts_only_for_the_estimator_that_reads_it(bench: Any) -> None:
    unread = planned_settings(bench, Precision.INT8, range={"percentile": 99.0})
    read = {"estimator": "percentile", "percentile": 99.0}

    assert unread == planned_settings(bench, Precision.INT8)
    assert planned_settings(bench, Precision.INT8, range=read)["int8"] == {
        "range": read,
        "float_layers": {"tail": False, "convolutions": 0},
    }


def test_precision_that_a_format_does_not_have_is_refused_with_its_target(bench: Any) -> None:
    assert bench.problems("quantize", job(bench, {"openvino": (Precision.W8A16,)})) == (
        "recipe.yaml: targets: targets/host.yaml: candidates.openvino: there is no w8a16 of "
        "openvino; it has fp32, fp16, int8"
    )


def test_estimator_that_a_quantizer_does_not_know_is_refused(bench: Any) -> None:
    entropy: dict[str, object] = {"range": {"estimator": "entropy"}}

    assert bench.problems("quantize", job(bench, {"openvino": (Precision.INT8,)}, entropy)) == (
        "recipe.yaml: calibration: 'few' estimates ranges by entropy, which quantizer 'nncf' of "
        "openvino int8 (target 'host') does not know; it knows best, minmax, mse, percentile"
    )
    assert bench.problems("quantize", job(bench, {"openvino": (Precision.FP16,)}, entropy)) == ""


def test_calibrating_with_the_images_of_the_test_is_refused_before_training(bench: Any) -> None:
    data = {"path": ".", "test": "val"}
    wanted = job(bench, {"onnx": (Precision.INT8,)}, {"split": "val"}, data=data)

    assert bench.problems("quantize", wanted) == (
        "recipe.yaml: calibration: 'few' calibrates with the val split, which data.test measures on"
    )


def test_missing_packages_of_the_quantizers_in_use_are_listed(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize, "find_spec", lambda _: None)
    wanted = job(bench, {"openvino": (Precision.INT8,), "onnx": (Precision.FP32,)})

    assert bench.problems("quantize", wanted) == ""
    assert list(quantize.STAGE.missing(wanted)) == [
        MissingPackage("quantizer 'nncf'", "nncf", "edgetl[openvino]"),
        MissingPackage("quantizer 'nncf'", "openvino", "edgetl[openvino]"),
    ]


def test_int8_folder_answers_and_tells_what_calibrated_it(
    bench: Any, inputs: dict[str, Artifact]
) -> None:
    [node] = planned(bench, job(bench, {"onnx": (Precision.INT8,)}))

    artifact = bench.run(node, inputs)
    again = bench.run(node, inputs, name="again")

    assert Predictor.open(artifact.folder).contract.precision == "int8"
    assert golden.replay(artifact.folder).passed
    facts = artifact.manifest.facts
    assert facts["size_bytes"] == (artifact.folder / "model.onnx").stat().st_size
    assert facts["float_size_bytes"] == inputs["float"].file("model.onnx").stat().st_size
    # All 24 training images; the fixture calls their contents 0 to 23.
    assert facts["calibration_images"] == 24
    assert facts["calibration_digest"] == digest_value(sorted(f"{row:064x}" for row in range(24)))
    assert facts["float_operations"]["Sub"] == 1
    assert facts["calibration_digest"][:12] in STAGE.summary(STAGE.facts.model_validate(facts))
    assert again.manifest.digest == artifact.manifest.digest


def test_fp16_folder_has_no_calibration(bench: Any, inputs: dict[str, Artifact]) -> None:
    [node] = planned(bench, job(bench, {"onnx": (Precision.FP16,)}))

    facts = bench.run(node, inputs).manifest.facts

    assert (facts["calibration_images"], facts["calibration_digest"]) == (0, None)
    assert "images" not in STAGE.summary(STAGE.facts.model_validate(facts))


def test_calibration_image_with_the_content_of_a_test_image_is_refused(
    bench: Any, inputs: dict[str, Artifact], shelve: Callable[..., Artifact], tmp_path: Path
) -> None:
    folder = tmp_path / "leaking"
    shutil.copytree(inputs["dataset"].folder, folder)
    index = json.loads((folder / INDEX_FILE).read_text())
    index["splits"]["test"][0][2] = index["splits"]["train"][3][2]
    (folder / INDEX_FILE).write_text(json.dumps(index))
    leaking = {**inputs, "dataset": shelve(folder, "index", "dataset", {})}
    [node] = planned(bench, job(bench, {"onnx": (Precision.INT8,)}))

    with pytest.raises(DataError, match=r"1 of 24 calibration images .* test images.*'3\.png'"):
        bench.run(node, leaking)


def test_ranges_of_the_calibration_recipe_are_handed_on(bench: Any) -> None:
    wanted = job(bench, {"onnx": (Precision.INT8,)}, {"range": {"estimator": "mse"}})
    [node] = planned(bench, wanted)

    assert isinstance(node.settings, quantize.Settings)
    assert node.settings.int8 == Int8Table(range=RangeTable(estimator="mse"))


def test_what_a_search_chose_and_tried_is_told(bench: Any, inputs: dict[str, Artifact]) -> None:
    wanted: dict[str, object] = {
        "range": {"estimator": "best"},
        "float_layers": {"tail": True, "convolutions": 1},
    }
    [node] = planned(bench, job(bench, {"onnx": (Precision.INT8,)}, wanted))

    artifact = bench.run(node, inputs)
    again = bench.run(node, inputs, name="again")

    facts = artifact.manifest.facts
    # Six of 24 images judge; the linear layer is the tail, and int8 does not harm the convolution.
    assert facts["held_out"] == 6
    assert facts["convolutions"] == []
    assert len(facts["tail"]) == 1
    best = min(facts["estimators"], key=lambda row: row["error"])
    assert facts["range"]["estimator"] == best["estimator"]
    said = f"ranges by {best['estimator']}, error {best['error']:.3f} on held-out images"
    assert said in STAGE.summary(STAGE.facts.model_validate(facts))
    assert again.manifest.digest == artifact.manifest.digest
    assert golden.replay(artifact.folder).passed


def test_permission_for_fewer_images_does_not_change_the_key(bench: Any) -> None:
    """Equal images give equal files; whether there are fewer depends on the data alone."""
    base = planned_settings(bench, Precision.INT8)
    assert planned_settings(bench, Precision.INT8, allow_fewer=True) == base
    assert "allow_fewer" not in str(base)


def test_few_images_are_all_calibrated_with_where_that_is_allowed(
    bench: Any, inputs: dict[str, Artifact]
) -> None:
    wanted = job(bench, {"onnx": (Precision.INT8,)}, {"count": 500, "allow_fewer": True})
    [node] = planned(bench, wanted)
    made = bench.run(node, inputs)
    assert made.manifest.facts["calibration_images"] == 24  # those of the training split
    strict = job(bench, {"onnx": (Precision.INT8,)}, {"count": 500})
    with pytest.raises(DataError, match="needs 500 images of the train split, which has 24"):
        bench.run(planned(bench, strict)[0], inputs, "strict")


def test_too_few_calibration_images_are_found_before_anything_is_trained(bench: Any) -> None:
    """A run asks as soon as the images are there; dropped ones are not counted when planned."""
    precisions = (Precision.FP32, Precision.FP16, Precision.INT8)
    dataset = bench.dataset()  # of 24 images to train on
    fp16, int8 = planned(bench, job(bench, {"openvino": precisions}, {"count": 25}))
    STAGE.foresee(fp16.settings, {"dataset": dataset})
    STAGE.foresee(int8.settings, {})
    with pytest.raises(DataError, match="'few' needs 25 images of the train split, which has 24"):
        STAGE.foresee(int8.settings, {"dataset": dataset})
    _, enough = planned(bench, job(bench, {"openvino": precisions}))
    STAGE.foresee(enough.settings, {"dataset": dataset})
