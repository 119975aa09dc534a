"""What a recipe asks for becomes the contract of a detector, and its figures are those of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from edgetl.config.recipe import NmsTable
from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, Truth, write_images, write_index
from edgetl.facts.verification import VerificationFacts
from edgetl.runtime.detections import Detections
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.preprocess import Preprocess
from edgetl.stages import Workspace, export
from edgetl.stages.verify import STAGE, Settings
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.types import Facts, Precision, Split

pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")

_SIZE = 32
_COUNT = 6
_SEEN = 5

Shelve = Callable[[Path, str, str, Facts], Artifact]
Make = Callable[[str], Workspace]
Verify = Callable[..., tuple[VerificationFacts, Path, Path]]


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, shelve: Shelve, untrained: Callable[..., Path]
) -> dict[str, Artifact]:
    """Random images, a detector, and as labels the boxes that it is surest of, up to five."""
    root = tmp_path_factory.mktemp("rule")
    nothing = Truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool))
    blank = _write(root / "blank", {split: [nothing] * _COUNT for split in Split})
    model = untrained(root / "model", blank, "yolox_nano", width=0.25, seed=0)
    with np.load(model / "predictions.npz") as arrays:
        boxes, labels, offsets = (arrays[f"test_{each}"] for each in ("boxes", "labels", "offsets"))
    ends = np.minimum(offsets[:-1] + _SEEN, offsets[1:])
    seen = [
        Truth(boxes[start:end], labels[start:end], np.zeros(end - start, bool))
        for start, end in zip(offsets[:-1], ends, strict=True)
    ]
    labelled = {Split.TRAIN: [nothing] * _COUNT, Split.VAL: seen, Split.TEST: seen}
    data = _write(root / "data", labelled)
    return {
        "dataset": shelve(data, "index", "dataset", {}),
        "model": shelve(model, "finetune", "teacher", {}),
    }


@pytest.fixture
def verify(trained: dict[str, Artifact], shelve: Shelve, workspace: Make) -> Verify:
    """Return what exports by a table of the recipe, and verifies; facts, and both folders."""

    def run(name: str, wanted: NmsTable) -> tuple[VerificationFacts, Path, Path]:
        exported, verified = workspace(f"{name} export"), workspace(f"{name} verify")
        export.STAGE.run(
            export.Settings(format="onnx", nms=wanted, task="detection"), trained, exported
        )
        inputs = {**trained, "float": shelve(exported.out, "export onnx", "float", {})}
        settings = Settings(
            model="teacher",
            format="onnx",
            precision=Precision.FP32,
            runtime="0" * 64,
            task="detection",
        )
        facts = STAGE.run(settings, inputs, verified)
        assert isinstance(facts, VerificationFacts)
        return facts, exported.out, verified.out

    return run


def test_figures_of_a_detector_are_those_of_the_rule_in_its_contract(
    trained: dict[str, Artifact], verify: Verify
) -> None:
    usual, _, _ = verify("usual", NmsTable())

    facts, model, out = verify("few", NmsTable(mode="class-agnostic", max_detections=2))

    assert 0.0 < facts.value < usual.value
    # The torch model answers by the same rule, so nothing is lost to the file.
    assert facts.drop.value == pytest.approx(facts.value, abs=0.01)
    dataset = Dataset.open(trained["dataset"].folder)
    predictor = Predictor.open(model).with_threshold(0.001)
    with np.load(out / "predictions.npz") as file:
        kept = {name: file[name] for name in file.files}
    for i, pixels in enumerate(dataset.images(Split.TEST)):
        prediction = predictor.predict_inputs({"image": pixels[np.newaxis]}, (_SIZE, _SIZE))
        assert isinstance(prediction, Detections)
        rows = slice(kept["offsets"][i], kept["offsets"][i + 1])
        assert len(prediction) <= 2
        assert np.array_equal(kept["boxes"][rows], prediction.boxes)
        assert np.array_equal(kept["scores"][rows], prediction.scores)
        assert np.array_equal(kept["labels"][rows], prediction.labels)
    value = TASKS.load("detection").evaluation.value(kept, dataset, Split.TEST)
    assert facts.value == pytest.approx(value, abs=1e-6)


def test_images_with_more_objects_than_are_answered_are_told(
    trained: dict[str, Artifact], verify: Verify
) -> None:
    folder = trained["dataset"].folder
    facts, _, _ = verify("few", NmsTable(max_detections=_SEEN - 1))

    counts = [len(truth.labels) for truth in Dataset.open(folder).truths(Split.TEST)]
    words = (
        f"{counts.count(_SEEN)} of 6 test images have up to 5 objects, more than "
        "nms.max_detections allows (4)"
    )
    assert facts.truncated == words
    assert STAGE.summary(facts).endswith(f" pp; {words}")


def test_nothing_is_told_where_every_object_can_be_answered(verify: Verify) -> None:
    facts, _, _ = verify("enough", NmsTable(max_detections=_SEEN))

    assert facts.truncated is None
    assert STAGE.summary(facts).endswith(" pp")


def _write(folder: Path, truths: Mapping[Split, list[Truth]]) -> Path:
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (3 * _COUNT, _SIZE, _SIZE, 3), np.uint8)
    # Test images are those of val as well.
    images[_COUNT : 2 * _COUNT] = images[2 * _COUNT :]
    with (folder / IMAGES_FILE).open("wb") as file:
        write_images(file, iter(images), images.shape)
    write_index(
        folder,
        task="detection",
        classes=("nut", "bolt", "gear"),
        preprocess=Preprocess(_SIZE, _SIZE, "stretch", "bilinear", 0),
        items={
            split: [
                Item(f"{split.value}/{i}.png", 0 if len(truth.labels) else 3, f"{i:064x}")
                for i, truth in enumerate(images)
            ]
            for split, images in truths.items()
        },
        dropped=[],
        truths=truths,
        image_sizes={split: [(_SIZE, _SIZE)] * _COUNT for split in truths},
    )
    return folder
