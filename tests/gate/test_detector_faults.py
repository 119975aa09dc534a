"""Each fault of a detector turns exactly the cases red that are about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgetl.config.target import Target
from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, Truth, write_images, write_index
from edgetl.devices import open_device
from edgetl.evaluation import Predictions
from edgetl.facts.verification import ClassFigures
from edgetl.gate.baseline import make_baseline, write_baseline
from edgetl.gate.bundle import find_images, open_bundle
from edgetl.gate.case import Case, Status
from edgetl.gate.check import CheckOptions, check_bundle
from edgetl.gate.compare import Allowed
from edgetl.runtime import golden
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.detections import NmsSettings
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.preprocess import Preprocess
from edgetl.store.store import Artifact, Request
from edgetl.tasks import TASKS
from edgetl.types import Split

_SIZE, _CELL = 32, 8
_CELLS = _SIZE // _CELL
_NUM_IMAGES = 40
_CLASSES = ("red", "green", "blue")
_PREPROCESS = Preprocess(_SIZE, _SIZE, "stretch", "bilinear", 0)
_EVALUATION = TASKS.load("detection").evaluation
_NMS = NmsSettings(score_threshold=0.3, iou=0.65, max_detections=100, mode="class-aware")

Images = NDArray[np.uint8]


def _draw() -> tuple[Images, list[Truth]]:
    """Return dark images with one coloured cell each, and where it is."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 40, (_NUM_IMAGES, _SIZE, _SIZE, 3), dtype=np.uint8)
    truths = []
    for i, image in enumerate(images):
        y, x = (int(place) * _CELL for place in generator.integers(0, _CELLS, 2))
        image[y : y + _CELL, x : x + _CELL, i % 3] = 220
        box = np.array([[x, y, x + _CELL, y + _CELL]], np.float32)
        truths.append(Truth(box, np.array([i % 3], np.int64), np.array([False])))
    return images, truths


def _save_model(folder: Path, order: tuple[int, ...], gain: float) -> None:
    """Write a model that scores each cell by its mean colours, in `order`, times `gain`."""
    mix = np.zeros((3, 3, 1, 1), np.float32)
    mix[range(3), list(order)] = gain / 255
    places = np.stack(np.meshgrid(range(_CELLS), range(_CELLS)), axis=-1).reshape(1, -1, 2)
    boxes = np.concatenate([places, places + 1], axis=2).astype(np.float32) / _CELLS
    constants: dict[str, NDArray[Any]] = {
        "mix": mix,
        "grid": boxes,
        "shape": np.array([1, 3, _CELLS**2], np.int64),
        "dark": np.array(0.3, np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["means"], kernel_shape=[_CELL] * 2, strides=[_CELL] * 2
        ),
        helper.make_node("Conv", ["means", "mix"], ["mixed"]),
        helper.make_node("Sub", ["mixed", "dark"], ["bright"]),
        helper.make_node("Relu", ["bright"], ["seen"]),
        helper.make_node("Reshape", ["seen", "shape"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["scores"], perm=[0, 2, 1]),
        helper.make_node("Identity", ["grid"], ["boxes"]),
    ]
    shapes = {"boxes": [1, _CELLS**2, 4], "scores": [1, _CELLS**2, 3]}
    graph = helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, _SIZE, _SIZE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, of) for name, of in shapes.items()],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "model.onnx")


def _dataset(backend: Any, images: Images, truths: list[Truth]) -> Artifact:
    request = Request("index", 1, {}, {}, {})
    artifact: Artifact | None = backend.store.find(request)
    if artifact is not None:
        return artifact
    out, _, _ = backend.store.folders(request)
    with (out / IMAGES_FILE).open("wb") as file:
        write_images(file, images, images.shape)
    items = [Item(f"{i}.png", int(truth.labels[0]), f"{i}") for i, truth in enumerate(truths)]
    write_index(
        out,
        task="detection",
        classes=_CLASSES,
        preprocess=_PREPROCESS,
        items={Split.TRAIN: [], Split.VAL: [], Split.TEST: items},
        dropped=[],
        truths={Split.TRAIN: [], Split.VAL: [], Split.TEST: truths},
        image_sizes={
            Split.TRAIN: [],
            Split.VAL: [],
            Split.TEST: [(_SIZE, _SIZE)] * len(items),
        },
    )
    made: Artifact = backend.store.commit(
        request, kind="dataset", label="index", facts={}, seconds=0
    )
    return made


def _verification(backend: Any, predictions: Predictions, name: str) -> Artifact:
    request = Request("verify", 1, {"name": name}, {}, {})
    out, _, _ = backend.store.folders(request)
    arrays: dict[str, Any] = dict(predictions)
    np.savez(out / "predictions.npz", **arrays)
    made: Artifact = backend.store.commit(
        request, kind="verification", label="verify", facts={}, seconds=0
    )
    return made


def _build(
    backend: Any, name: str, *, order: tuple[int, ...] = (0, 1, 2), gain: float = 1.0
) -> Path:
    """Build a bundle with all its paperwork, as a run does that does not know of its fault."""
    folder: Path = backend.root / name
    folder.mkdir()
    _save_model(folder, order, gain)
    Contract(
        task="detection",
        labels=_CLASSES,
        format="onnx",
        files=describe_files(folder, ("model.onnx",)),
        precision="fp32",
        inputs=(ImageInput("image", "image", _PREPROCESS),),
        outputs=(
            OutputSpec("boxes", "boxes", (1, _CELLS**2, 4), "boxes"),
            OutputSpec("scores", "scores", (1, _CELLS**2, 3), "scores"),
        ),
        nms=_NMS,
    ).save(folder)
    images, truths = _draw()
    outputs = Predictor.open(folder).run({"image": images})
    golden.record(
        folder,
        {"image": images[:3]},
        {each: values[:3] for each, values in outputs.items()},
        list(images[:2]),
    )
    data = _dataset(backend, images, truths)
    dataset = Dataset.open(data.folder)
    predictions = _EVALUATION.collect(outputs, dataset, Split.TEST, 0, _NMS)
    accuracy = backend.examples.verification(
        "onnx fp32",
        **dict(_EVALUATION.score(predictions, dataset, Split.TEST)),
        num_predictions=len(predictions["scores"]),
        drop=backend.examples.drop(0.0, value=1.0),
        classes=[ClassFigures(label=label, support=1, figures={}) for label in _CLASSES],
    )
    artifacts = {"dataset": data, "verification": _verification(backend, predictions, name)}
    backend.complete(folder, "cells", accuracy, artifacts)
    backend.seal(folder)
    return folder


@pytest.fixture
def good(backend: Any) -> Path:
    return _build(backend, "good")


@pytest.fixture
def check(
    backend: Any, good: Path, board: Callable[..., Target], tmp_path: Path
) -> Callable[..., dict[str, Case]]:
    """Return what checks a bundle against limits and a baseline that the good one holds."""
    bundle = open_bundle(good, "board")
    baseline = tmp_path / "baseline.json"
    write_baseline(make_baseline(bundle, find_images(bundle, backend.store), None), baseline)

    def run(folder: Path, *, predict: bool) -> dict[str, Case]:
        checked = open_bundle(folder, "board")
        options = CheckOptions(
            target=board(top1=None, map=0.9),
            allowed=Allowed(drop_pp=0.5, ratio=1.1),
            baseline=baseline,
            images=find_images(checked, backend.store),
            predict=predict,
        )
        cases = check_bundle(checked, open_device("local"), options).cases
        return {case.name: case for case in cases}

    return run


def _red(cases: dict[str, Case]) -> list[str]:
    return [name for name, case in cases.items() if case.status is Status.FAILED]


def test_good_detector_has_no_red_case(good: Path, check: Callable[..., dict[str, Case]]) -> None:
    cases = check(good, predict=True)
    assert _red(cases) == []
    assert cases["accuracy"].reason == "mAP 1 [1, 1] of 40 images"
    assert cases["accuracy against baseline"].figures["lost_pp"] == 0.0


@pytest.mark.parametrize(
    ("order", "gain", "reason"),
    [
        pytest.param((2, 1, 0), 1.0, "detections 3 recorded, missing or new", id="channels"),
        pytest.param((0, 1, 2), 0.0, "detections 3 recorded, missing or new", id="zeroed"),
    ],
)
def test_file_that_answers_otherwise_fails_its_golden_samples_alone(
    backend: Any,
    good: Path,
    check: Callable[..., dict[str, Case]],
    *,
    order: tuple[int, ...],
    gain: float,
    reason: str,
) -> None:
    _save_model(good, order, gain)
    backend.seal(good)
    cases = check(good, predict=False)
    assert _red(cases) == ["golden samples"]
    assert reason in cases["golden samples"].reason


@pytest.mark.parametrize(
    ("order", "gain", "reason"),
    [
        # Only green objects are found again: a third of the mean over three classes.
        pytest.param((2, 1, 0), 1.0, "mAP 0.3333 < 0.9", id="channels"),
        pytest.param((0, 1, 2), 0.0, "detects nothing on any of 40 images", id="zeroed"),
    ],
)
def test_build_of_a_wrong_detector_fails_every_case_of_accuracy(
    backend: Any,
    check: Callable[..., dict[str, Case]],
    order: tuple[int, ...],
    gain: float,
    reason: str,
) -> None:
    cases = check(_build(backend, "wrong", order=order, gain=gain), predict=True)
    assert _red(cases) == ["accuracy", "accuracy drop", "accuracy against baseline"]
    assert reason in cases["accuracy"].reason
