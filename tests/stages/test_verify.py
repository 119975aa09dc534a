from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from edgetl.config.recipe import InputTable
from edgetl.data.dataset import IMAGES_FILE, Item, write_images, write_index
from edgetl.errors import DataError
from edgetl.exporters import EXPORTERS
from edgetl.models import FAMILIES, ModelSpec, save_model
from edgetl.nn.layers import RawPixels
from edgetl.runtime import golden
from edgetl.runtime.contract import Contract, InputSpec, OutputSpec
from edgetl.runtime.preprocess import Preprocess
from edgetl.stages import Workspace
from edgetl.stages.verify import STAGE, Settings, _confusion, _per_class, _step
from edgetl.store.store import Artifact
from edgetl.types import Facts, Precision, Split, Task

_SIZE = 32
_CLASSES = ("nut", "bolt", "gear")
_LABELS = (0, 0, 0, 1, 1, 2)
_PREPROCESS = Preprocess(_SIZE, _SIZE, "stretch", "bilinear", 0)

Shelve = Callable[[Path, str, str, Facts], Artifact]
Make = Callable[[str], Workspace]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, shelve: Shelve) -> dict[str, Artifact]:
    """Random photos, an untrained student and teacher, the student's ONNX file."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("verify")
    photos = np.random.default_rng(0).integers(0, 256, (18, _SIZE, _SIZE, 3), np.uint8)
    dataset = _write_dataset(root / "dataset", photos, dict.fromkeys(Split, _LABELS))
    test = photos[12:]
    student = _write_torch(root / "student", test, seed=0)
    teacher = _write_torch(root / "teacher", test, seed=1)
    return {
        "dataset": shelve(dataset, "index", "dataset", {}),
        "model": shelve(student, "distill", "student", {}),
        "teacher": shelve(teacher, "finetune", "teacher", {}),
        "float": shelve(_export(student, root / "float", test), "export onnx", "float", {}),
    }


def test_float_file_agrees_with_torch(inputs: dict[str, Artifact], workspace: Make) -> None:
    facts = STAGE.run(_settings(Precision.FP32), inputs, workspace("fp32"))
    (step,) = facts["ladder"]
    assert step["step"] == "torch to onnx fp32"
    assert step["photos"] == 6
    assert step["snr_db"] > 60
    assert step["top1_agreement"] == 1.0
    assert facts["breaks_at"] is None
    assert facts["drop"]["pp"] == 0.0
    assert facts["drop"]["low_pp"] < 0 < facts["drop"]["high_pp"]
    assert facts["drop"]["against"] == "distill"
    assert facts["teacher_drop"]["against"] == "finetune"
    assert facts["photos"] == 6
    assert facts["size_bytes"] == inputs["float"].file("model.onnx").stat().st_size


def test_rerun_gives_equal_bytes(inputs: dict[str, Artifact], workspace: Make) -> None:
    first, second = workspace("first"), workspace("second")
    facts = STAGE.run(_settings(Precision.FP32), inputs, first)
    assert STAGE.run(_settings(Precision.FP32), inputs, second) == facts
    for name in ("predictions.npz", "verification.json"):
        assert (first.out / name).read_bytes() == (second.out / name).read_bytes()


def test_step_that_breaks_is_named_and_accuracy_is_counted(
    inputs: dict[str, Artifact], tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    broken = _always_the_first_class(inputs["float"].folder, tmp_path / "int8")
    candidate = shelve(broken, "quantize onnx int8", "quantized", {})
    work = workspace("int8")
    facts = STAGE.run(_settings(Precision.INT8), {**inputs, "candidate": candidate}, work)
    assert [step["step"] for step in facts["ladder"]] == [
        "torch to onnx fp32",
        "onnx fp32 to onnx int8",
    ]
    assert [step["holds"] for step in facts["ladder"]] == [True, False]
    assert facts["breaks_at"] == "onnx fp32 to onnx int8"
    assert facts["top1"] == 0.5  # three of six are of the first class
    assert facts["classes"] == [
        {"label": "nut", "support": 3, "recall": 1.0, "precision": 0.5},
        {"label": "bolt", "support": 2, "recall": 0.0, "precision": None},
        {"label": "gear", "support": 1, "recall": 0.0, "precision": None},
    ]
    written = json.loads((work.out / "verification.json").read_text())
    assert written["confusion"] == [[3, 0, 0], [2, 0, 0], [1, 0, 0]]
    assert facts["drop"]["pp"] == pytest.approx(100 * (facts["drop"]["top1"] - 0.5), abs=1e-3)
    assert "; breaks at onnx fp32 to onnx int8" in STAGE.summary(facts)


def test_predictions_are_kept_with_their_labels(
    inputs: dict[str, Artifact], workspace: Make
) -> None:
    work = workspace("fp32")
    STAGE.run(_settings(Precision.FP32), inputs, work)
    with np.load(work.out / "predictions.npz", allow_pickle=False) as arrays:
        assert arrays["labels"].tolist() == list(_LABELS)
        kept = np.load(inputs["model"].file("logits.npz"))["test_logits"]
        assert arrays["logits"] == pytest.approx(kept, abs=1e-5)


def test_without_a_student_the_teacher_is_the_model(
    inputs: dict[str, Artifact], workspace: Make
) -> None:
    alone = {name: artifact for name, artifact in inputs.items() if name != "teacher"}
    facts = STAGE.run(_settings(Precision.FP32), alone, workspace("fp32"))
    assert facts["teacher_drop"] == facts["drop"]


def test_empty_test_split_is_refused(
    inputs: dict[str, Artifact], tmp_path: Path, shelve: Shelve, workspace: Make
) -> None:
    photos = np.zeros((6, _SIZE, _SIZE, 3), np.uint8)
    empty = _write_dataset(tmp_path / "data", photos, {Split.TRAIN: _LABELS})
    dataset = shelve(empty, "index", "dataset", {})
    with pytest.raises(DataError, match="the test split has no photos"):
        STAGE.run(_settings(Precision.FP32), {**inputs, "dataset": dataset}, workspace("fp32"))


@pytest.mark.parametrize(
    ("after", "snr_db", "max_error"),
    [
        # The signal is 25, the noise 0.25: a ratio of 100.
        pytest.param([[3.0, 4.5]], 20.0, 0.5, id="20 dB"),
        pytest.param([[3.0, 4.0]], 200.0, 0.0, id="no error at all"),
        pytest.param([[0.0, 0.0]], 0.0, 4.0, id="nothing left"),
    ],
)
def test_snr_by_hand(after: list[list[float]], snr_db: float, max_error: float) -> None:
    before = np.array([[3.0, 4.0]], np.float32)
    found = _step("a to b", Precision.W8A16, before, np.array(after, np.float32))
    assert found["snr_db"] == snr_db
    assert found["max_error"] == max_error
    assert found["holds"] is (snr_db >= 20.0)


def test_confusion_and_classes_by_hand() -> None:
    labels, chosen = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0])
    assert _confusion(chosen, labels, 3) == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert [
        (row["support"], row["recall"], row["precision"])
        for row in _per_class(chosen, labels, _CLASSES)
    ] == [(2, 0.5, 0.5), (1, 1.0, 0.5), (2, 0.5, 1.0)]


def _settings(precision: Precision) -> Settings:
    return Settings(format="onnx", precision=precision, runtime="0" * 64)


def _write_dataset(
    folder: Path, photos: NDArray[np.uint8], labels: Mapping[Split, tuple[int, ...]]
) -> Path:
    folder.mkdir()
    with (folder / IMAGES_FILE).open("wb") as file:
        write_images(file, iter(photos), (len(photos), _SIZE, _SIZE, 3))
    items = {
        split: [
            Item(f"{split.value}/{position}.png", label, f"{position:064x}")
            for position, label in enumerate(labels.get(split, ()))
        ]
        for split in Split
    }
    write_index(folder, classes=_CLASSES, preprocess=_PREPROCESS, items=items, omissions=())
    return folder


def _network(seed: int) -> tuple[ModelSpec, torch.nn.Module]:
    family = FAMILIES.load("mobilenet_v2")
    spec = ModelSpec(
        task=Task.CLASSIFICATION,
        family="mobilenet_v2",
        width=0.1,
        classes=_CLASSES,
        mean=family.mean,
        std=family.std,
        input=InputTable(size=_SIZE, fit="stretch", pad=0),
    )
    module = family.build(width=0.1, num_classes=len(_CLASSES), seed=seed).eval()
    # Untrained logits are nearly equal; these are far enough apart to be ordered.
    head = module.get_submodule(family.head)
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([0.1, 0.3, 0.2]))
    return spec, module


def _write_torch(folder: Path, photos: NDArray[np.uint8], *, seed: int) -> Path:
    folder.mkdir()
    spec, module = _network(seed)
    save_model(folder, spec, module)
    with torch.inference_mode():
        logits = RawPixels(module, spec.mean, spec.std)(torch.from_numpy(photos).float()).numpy()
    labels = np.array(_LABELS, np.int64)
    np.savez(
        folder / "logits.npz",
        val_logits=logits,
        val_labels=labels,
        test_logits=logits,
        test_labels=labels,
    )
    return folder


def _export(model: Path, folder: Path, photos: NDArray[np.uint8]) -> Path:
    folder.mkdir()
    spec, module = _network(seed=0)
    raw = RawPixels(module, spec.mean, spec.std).eval()
    exporter = EXPORTERS.load("onnx")
    tensors = exporter.export(raw, torch.zeros(1, _SIZE, _SIZE, 3), ("logits",), folder)
    Contract(
        task="classification",
        labels=_CLASSES,
        format="onnx",
        file=exporter.file,
        precision="fp32",
        input=InputSpec("image", _SIZE, _SIZE),
        preprocess=_PREPROCESS,
        outputs=(OutputSpec("logits", tensors["logits"], (1, 3)),),
    ).save(folder)
    reference = np.load(model / "logits.npz")["test_logits"]
    golden.record(folder, photos, {"logits": reference}, [photos[0]])
    return folder


def _always_the_first_class(source: Path, folder: Path) -> Path:
    """Copy a model folder with a file that says the first class of every photo."""
    shutil.copytree(source, folder)
    dataclasses.replace(Contract.load(source), precision="int8").save(folder)
    model = onnx.load(folder / "model.onnx")
    biases = [tensor for tensor in model.graph.initializer if tuple(tensor.dims) == (3,)]
    for tensor in biases:
        if np.allclose(onnx.numpy_helper.to_array(tensor), [0.1, 0.3, 0.2]):
            changed = np.array([9.0, 0.0, 0.0], np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
    onnx.save(model, folder / "model.onnx")
    return folder
