"""Thresholds are chosen on validation images for each file, and go with it to the device.

The logits of the classifier are the mean of each colour, over 100. A probability is therefore
``exp(v / 100) / (exp(v / 100) + 2)`` for an image whose only colour has the level v: 0.576 for 100,
0.624 for 120, 0.691 for 150, 0.787 for 200.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgetl.config.operating_point import OperatingPointTable
from edgetl.config.target import Target
from edgetl.data.dataset import IMAGES_FILE, Item, Truth, write_images, write_index
from edgetl.errors import DataError
from edgetl.facts.operating_point import ClassThreshold, OperatingPointFacts
from edgetl.facts.package import Part
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.detections import NmsSettings
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.preprocess import Preprocess
from edgetl.stages import Node, NoOptions, Workspace, benchmark, package, verify
from edgetl.stages._candidates import candidates_of, operating_contract, write_contract
from edgetl.stages.benchmark import BenchmarkTable
from edgetl.stages.operating_point import STAGE, Settings
from edgetl.store.store import Artifact
from edgetl.types import Facts, Precision, Split

_SIZE = 8
_PREPROCESS = Preprocess(_SIZE, _SIZE, "stretch", "bilinear", 0)
_RED, _GREEN, _BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)

Colour = tuple[int, int, int]
Shelve = Callable[[Path, str, str, Facts], Artifact]
Make = Callable[[str], Workspace]
Choose = Callable[..., tuple[OperatingPointFacts, Workspace]]


def _model(folder: Path, nodes: list[Any], outputs: Mapping[str, list[int]], **values: Any) -> None:
    folder.mkdir(parents=True)
    mean = helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, _SIZE, _SIZE, 3])
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in outputs.items()
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph([mean, *nodes], "model", [image], infos, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, folder / "model.onnx")


def _state(folder: Path, task: str, labels: tuple[str, ...], nms: NmsSettings | None) -> None:
    kinds = {"classification": {"logits": (1, len(labels))}}.get(
        task, {"boxes": (1, 2, 4), "scores": (1, 2, len(labels))}
    )
    Contract(
        task=task,
        labels=labels,
        format="onnx",
        files=describe_files(folder, ["model.onnx"]),
        precision="fp32",
        inputs=(ImageInput("image", "image", _PREPROCESS),),
        outputs=tuple(OutputSpec(name, name, shape, name) for name, shape in kinds.items()),
        nms=nms,
    ).save(folder)


@pytest.fixture
def classifier(tmp_path: Path, shelve: Shelve) -> Artifact:
    folder = tmp_path / "classifier"
    scale = helper.make_node("Mul", ["mean", "share"], ["logits"])
    _model(folder, [scale], {"logits": [1, 3]}, share=np.array([0.01], np.float32))
    _state(folder, "classification", ("red", "green", "blue"), None)
    return shelve(folder, "export onnx", "float", {})


@pytest.fixture
def detector(tmp_path: Path, shelve: Shelve) -> Artifact:
    """Two fixed boxes: a nut on the left, as red as sure, and a bolt on the right, as blue."""
    folder = tmp_path / "detector"
    shares = np.zeros((3, 2, 2), np.float32)
    shares[0, 0, 0] = shares[2, 1, 1] = 1 / 255
    nodes = [
        helper.make_node("MatMul", ["mean", "shares"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["scores"]),
        helper.make_node("Identity", ["fixed"], ["boxes"]),
    ]
    _model(
        folder,
        nodes,
        {"boxes": [1, 2, 4], "scores": [1, 2, 2]},
        shares=shares.reshape(3, 4),
        shape=np.array([1, 2, 2], np.int64),
        fixed=np.array([[[0, 0, 0.5, 1], [0.5, 0, 1, 1]]], np.float32),
    )
    _state(folder, "detection", ("nut", "bolt"), NmsSettings(0.25, 0.5, 10, "class-aware"))
    return shelve(folder, "export onnx", "float", {})


def _images(*colours: Colour) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    return [np.full((_SIZE, _SIZE, 3), colour, np.uint8) for colour in colours]


@pytest.fixture
def labelled(tmp_path: Path, shelve: Shelve) -> Callable[..., Artifact]:
    """Return what writes validation and test images of a colour, each with its class."""

    def make(
        val: Sequence[tuple[Colour, int]], test: Sequence[tuple[Colour, int]] | None = None
    ) -> Artifact:
        folder = tmp_path / "labelled"
        folder.mkdir()
        rows = {
            Split.TRAIN: [],
            Split.VAL: list(val),
            Split.TEST: [(_RED, 0)] if test is None else test,
        }
        images = _images(*(colour for each in rows.values() for colour, _ in each))
        with (folder / IMAGES_FILE).open("wb") as file:
            write_images(file, images, (len(images), _SIZE, _SIZE, 3))
        named = test is val
        write_index(
            folder,
            task="classification",
            classes=("red", "green", "blue"),
            preprocess=_PREPROCESS,
            items={
                split: [
                    Item(
                        f"{'one' if named else split}-{i}.png", label, f"{split}{i}".ljust(64, "0")
                    )
                    for i, (_, label) in enumerate(each)
                ]
                for split, each in rows.items()
            },
            dropped=[],
        )
        return shelve(folder, "view", "view", {})

    return make


@pytest.fixture
def boxed(tmp_path: Path, shelve: Shelve) -> Callable[..., Artifact]:
    """Return what writes validation images with the classes of the objects on each, in halves."""

    def make(*images: tuple[Colour, Sequence[int]]) -> Artifact:
        folder = tmp_path / "boxed"
        folder.mkdir()
        half = _SIZE / 2
        halves = np.array([[0, 0, half, _SIZE], [half, 0, _SIZE, _SIZE]], np.float32)
        pixels = _images(*(colour for colour, _ in images))
        with (folder / IMAGES_FILE).open("wb") as file:
            write_images(file, pixels, (len(pixels), _SIZE, _SIZE, 3))
        truths = [
            Truth(halves[list(seen)], np.array(seen, np.int64), np.zeros(len(seen), bool))
            for _, seen in images
        ]
        items = [
            Item(f"{i}.png", min(seen, default=2), f"{i:064x}")
            for i, (_, seen) in enumerate(images)
        ]
        write_index(
            folder,
            task="detection",
            classes=("nut", "bolt"),
            preprocess=_PREPROCESS,
            items={Split.TRAIN: [], Split.VAL: items, Split.TEST: []},
            dropped=[],
            truths={Split.TRAIN: [], Split.VAL: truths, Split.TEST: []},
            image_sizes={
                Split.TRAIN: [], Split.VAL: [(_SIZE, _SIZE)] * len(images), Split.TEST: [],
            },
        )  # fmt: skip
        return shelve(folder, "view", "view", {})

    return make


@pytest.fixture
def choose(workspace: Make) -> Choose:
    """Return what runs the stage for an artifact of a file, images, and what a recipe states."""

    def run(
        candidate: Artifact, dataset: Artifact, task: str = "classification", **stated: Any
    ) -> tuple[OperatingPointFacts, Workspace]:
        settings = Settings(
            model="teacher",
            format="onnx",
            precision=Precision.FP32,
            stated=OperatingPointTable(**stated),
            runtime="0" * 64,
            task=task,
        )
        work = workspace(str(stated).translate(str.maketrans("{}': ,", "------")))
        return STAGE.run(settings, {"dataset": dataset, "candidate": candidate}, work), work

    return run


_VAL = (
    (_RED, 0), ((150, 0, 0), 0), ((120, 0, 0), 1), ((100, 0, 0), 0), (_GREEN, 1), (_GREEN, 1),
)  # fmt: skip
"""Red: right, right, wrong, right from the best score on. Blue is neither shown nor predicted."""


def test_classifier_by_hand(
    classifier: Artifact, labelled: Callable[..., Artifact], choose: Choose
) -> None:
    stated = {"precision": {"red": 0.9}, "recall": {"green": 0.5}}
    facts, work = choose(classifier, labelled(_VAL), **stated)
    red, green, blue = facts.classes
    assert red.threshold == pytest.approx(np.exp(1.5) / (np.exp(1.5) + 2), abs=1e-6)
    assert red.reached is not None
    assert (red.reached.count, red.reached.total) == (2, 2)
    assert green.threshold == pytest.approx(np.exp(2) / (np.exp(2) + 2), abs=1e-6)
    assert green.reached is not None
    assert (green.reached.count, green.reached.total) == (2, 3)
    assert blue == ClassThreshold(label="blue", threshold=0.0)
    assert (facts.images, facts.unit) == (6, "image")
    assert list(work.out.iterdir()) == []
    assert STAGE.summary(facts) == (
        "red from 0.691: precision 1.000 [0.342, 1.000] of 2, "
        "green from 0.787: recall 0.667 [0.208, 0.939] of 3, on 6 validation images; "
        "too few to show it of 'red', 'green'"
    )


def test_goal_that_is_not_reached_is_the_summary(
    classifier: Artifact, labelled: Callable[..., Artifact], choose: Choose
) -> None:
    facts, _ = choose(classifier, labelled(_VAL), precision=0.5, recall={"green": 0.9})
    assert facts.thresholds is None
    assert STAGE.summary(facts) == (
        "no threshold reaches the recall of 0.9 stated for 'green': the best on the validation "
        "split is 0.667 (2 of 3 images); lower it in `operating_point`; 1 more like it"
    )


def test_detector_by_hand(
    detector: Artifact, boxed: Callable[..., Artifact], choose: Choose
) -> None:
    dataset = boxed(
        ((200, 0, 0), [0]),  # a nut from 0.784 on
        ((150, 0, 0), []),  # none at 0.588
        ((100, 0, 204), [0, 1]),  # a nut from 0.392 on, a bolt from 0.8 on
        ((30, 0, 102), [1]),  # a nut at 0.118, below the threshold of the file, a bolt at 0.4
    )
    facts, _ = choose(detector, dataset, "detection", recall={"nut": 0.9})
    nut, bolt = facts.classes
    assert nut.threshold == pytest.approx(100 / 255, abs=1e-6)
    assert nut.reached is not None
    assert (nut.reached.count, nut.reached.total) == (2, 2)
    assert bolt == ClassThreshold(label="bolt", threshold=0.25)
    assert facts.unit == "object"
    precise, _ = choose(detector, dataset, "detection", precision={"nut": 0.9})
    assert precise.classes[0].threshold == pytest.approx(200 / 255, abs=1e-6)
    contract = Contract.load(detector.folder)
    used = operating_contract(contract, _shelved(detector, facts))
    assert used.nms is not None
    assert used.nms.score_threshold == 0.25
    assert used.class_thresholds == facts.thresholds
    assert contract.nms == dataclasses.replace(used.nms, score_threshold=0.25)


def _shelved(like: Artifact, facts: OperatingPointFacts) -> Artifact:
    """Return the artifact of the facts; its folder is of no interest."""
    changes = {"kind": "operating point", "facts": facts.model_dump(mode="json")}
    return Artifact(like.folder, like.manifest.model_copy(update=changes))


def test_images_that_choose_and_measure_are_remarked(
    classifier: Artifact, labelled: Callable[..., Artifact], choose: Choose
) -> None:
    _, work = choose(classifier, labelled(_VAL, _VAL), precision=0.5)
    (note,) = work.progress.notes  # type: ignore[attr-defined]
    assert note == (
        "the thresholds are chosen on the images that they are then measured on, since the test "
        "split is the validation split: expect less of other images"
    )


def test_split_without_images_is_refused(
    classifier: Artifact, labelled: Callable[..., Artifact], choose: Choose
) -> None:
    message = "the validation split has no images, so no threshold can be chosen"
    with pytest.raises(DataError, match=message) as caught:
        choose(classifier, labelled(()), precision=0.5)
    assert caught.value.remedy == (
        "set data.val above 0, give the images a val/ folder, or remove `operating_point` from the "
        "recipe"
    )


def test_contract_of_a_candidate_has_its_thresholds(classifier: Artifact, tmp_path: Path) -> None:
    def facts(*thresholds: float | None) -> Artifact:
        rows = [
            ClassThreshold(label=label, threshold=each)
            for label, each in zip(("red", "green", "blue"), thresholds, strict=True)
        ]
        return _shelved(
            classifier,
            OperatingPointFacts(
                model="teacher", format="onnx", precision=Precision.FP32, images=6, unit="image",
                classes=tuple(rows),
            ),
        )  # fmt: skip

    assert write_contract("cpu", None, classifier.folder, tmp_path) == ()
    names = write_contract("cpu", facts(0.5, 0.0, 0.75), classifier.folder, tmp_path)
    assert names == ("contract.json",)
    assert Contract.load(tmp_path).class_thresholds == (0.5, 0.0, 0.75)
    write_contract("cpu", facts(0.5, None, 0.75), classifier.folder, tmp_path)
    assert Contract.load(tmp_path) == Contract.load(classifier.folder)


def _target(device: str | None) -> Target:
    return Target.model_validate(
        {
            "name": "board",
            "description": "a board",
            "device": device,
            "threads": 1,
            "candidates": {"onnx": ["fp32", "int8"]},
        }
    )


def _made(job: Any, target: Target) -> dict[str, list[Node]]:
    fp32, int8 = (each.file for each in candidates_of(job, target))
    return {
        "model": [Node("finetune", "finetune", NoOptions(), key="teacher")],
        "float": [Node("export", "export onnx", NoOptions(), key=fp32)],
        "quantized": [Node("quantize", "quantize onnx int8", NoOptions(), key=int8)],
    }


def test_recipe_without_the_table_has_no_further_node_or_input(bench: Any) -> None:
    target = _target("local")
    job = dataclasses.replace(
        bench.job(),
        targets=(target,),
        tables={"operating_point": OperatingPointTable(), "benchmark": BenchmarkTable()},
    )
    made = _made(job, target)
    assert bench.plan("operating_point", job, **made) == []
    for stage in (verify.STAGE, benchmark.STAGE):
        for node in bench.plan(stage.name, job, **made):
            assert not [name for name in node.inputs if name.startswith("operating point")]


def test_verification_timing_and_package_read_the_point_of_their_file(bench: Any) -> None:
    target = _target("local")
    tables = {
        "operating_point": OperatingPointTable(precision=0.9), "benchmark": BenchmarkTable(),
    }  # fmt: skip
    job = dataclasses.replace(bench.job(), targets=(target,), tables=tables)
    made = _made(job, target)
    points = bench.plan("operating_point", job, **made)
    assert [node.label for node in points] == [
        "operating point onnx fp32", "operating point onnx int8",
    ]  # fmt: skip
    assert [node.inputs["candidate"].label for node in points] == [
        "export onnx", "quantize onnx int8",
    ]  # fmt: skip
    made["operating point"] = points
    verified = bench.plan("verify", job, **made)
    assert [node.inputs["operating point"] for node in verified] == points
    (timed,) = bench.plan("benchmark", job, **made)
    made |= {"verification": verified, "latency": [timed]}
    (packed,) = bench.plan("package", job, **made)
    for node in (timed, packed):
        read = [node.inputs[Part.OPERATING_POINT.of(each)] for each in candidates_of(job, target)]
        assert read == points
    assert package.STAGE.needs[-3:] == ("operating point", "verification", "latency")
