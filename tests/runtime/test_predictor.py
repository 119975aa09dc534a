from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

import edgetl.runtime
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.detections import Detections
from edgetl.runtime.engines import Session
from edgetl.runtime.errors import BundleError, ContractError, EdgetlUsageError
from edgetl.runtime.inputs import ImageInput, InputSpec, TokensInput
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.preprocess import Preprocess
from edgetl.runtime.tasks.classification import ClassPrediction

StateFiles = Callable[[Path, Contract], None]
_LABELS = ("rote Öse", "blue screw")


def test_rows_are_answered_one_by_one(model_folder: Path) -> None:
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    pixels[1] = (100, 200, 255)
    outputs = Predictor.open(model_folder).run({"image": pixels})
    assert outputs["logits"] == pytest.approx(np.array([[0, 0, 0], [1.0, 2.0, 2.55]]), abs=1e-6)
    assert outputs["logits"].dtype == np.float32


def test_no_rows_give_no_answers(model_folder: Path) -> None:
    outputs = Predictor.open(model_folder).run({"image": np.zeros((0, 32, 32, 3), np.uint8)})
    assert outputs["logits"].shape == (0, 3)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.zeros((1, 32, 16, 3), np.uint8), id="width"),
        pytest.param(np.zeros((32, 32, 3), np.uint8), id="no batch"),
        pytest.param(np.zeros((1, 32, 32, 3), np.float32), id="float"),
    ],
)
def test_other_pixels_are_refused(
    model_folder: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    with pytest.raises(ValueError, match=r"the model takes image uint8 \(N, 32, 32, 3\)"):
        Predictor.open(model_folder).run({"image": pixels})


def test_image_of_another_shape_is_fitted_and_named(model_folder: Path, tmp_path: Path) -> None:
    # Half of the square is the black border, so the mean of blue is 127.5.
    Image.new("RGB", (64, 32), (0, 0, 255)).save(tmp_path / "blue.png")
    prediction = Predictor.open(model_folder).predict(tmp_path / "blue.png")
    assert isinstance(prediction, ClassPrediction)
    assert prediction.label == "blue"
    assert prediction.index == 2
    # exp(0) + exp(0) + exp(1.275) = 5.578700
    assert prediction.probabilities == pytest.approx([0.179253, 0.179253, 0.641493], abs=1e-5)


def test_top_is_likeliest_first() -> None:
    assert ClassPrediction("b", 1, (0.2, 0.5, 0.3)).top(2) == [1, 2]


def test_contract_of_another_file_is_refused(
    model_folder: Path, contract: Contract, state_files: StateFiles
) -> None:
    other = OutputSpec("logits", "scores", (1, 3), "logits")
    state_files(model_folder, dataclasses.replace(contract, outputs=(other,)))
    with pytest.raises(
        ContractError, match=r"has the outputs .*, but its contract states 'scores'"
    ):
        Predictor.open(model_folder)


_FIT = Preprocess(32, 32, "stretch", "bilinear", 0)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param(
            (ImageInput("image", "image", dataclasses.replace(_FIT, height=64)),),
            "input 'image' of .* is float32 (1, 32, 32, 3), but its contract states any dtype "
            "(1, 64, 32, 3)",
            id="size",
        ),
        pytest.param(
            (ImageInput("image", "image", _FIT, "int8"),),
            "is float32 (1, 32, 32, 3), but its contract states int8 (1, 32, 32, 3)",
            id="dtype",
        ),
        pytest.param(
            (ImageInput("image", "pixels", _FIT),), "input 'pixels' of .* is no such", id="name"
        ),
        pytest.param(
            (ImageInput("image", "image", _FIT), TokensInput("tokens", "tokens", 4)),
            "input 'tokens' of .* is no such input, but its contract states any dtype (1, 4)",
            id="one more",
        ),
    ],
)
def test_contract_of_other_inputs_is_refused(
    model_folder: Path,
    contract: Contract,
    state_files: StateFiles,
    inputs: tuple[InputSpec, ...],
    message: str,
) -> None:
    state_files(model_folder, dataclasses.replace(contract, inputs=inputs))
    pattern = re.escape(message).replace(r"\.\*", ".*")
    with pytest.raises(ContractError, match=pattern):
        Predictor.open(model_folder)


def test_truncated_file_is_refused_before_an_engine_opens_it(model_folder: Path) -> None:
    path = model_folder / "model.onnx"
    size_bytes = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-9])
    message = rf"model\.onnx has {size_bytes - 9} bytes, but contract\.json states {size_bytes}"
    with pytest.raises(BundleError, match=message) as caught:
        Predictor.open(model_folder)
    assert caught.value.remedy == "copy the whole folder again from where it was made"
    assert caught.value.exit_code == 6


def test_file_of_the_right_size_that_an_engine_refuses_is_called_damaged(
    model_folder: Path, contract: Contract, state_files: StateFiles
) -> None:
    path = model_folder / "model.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:90] + bytes(len(content) - 90))
    message = r"model\.onnx is damaged: its SHA-256 is not the one that contract\.json states"
    with pytest.raises(BundleError, match=message) as caught:
        Predictor.open(model_folder)
    assert caught.value.remedy == "copy the whole folder again from where it was made"
    # The same bytes, if they are what was exported, are a matter of the engine.
    state_files(model_folder, contract)
    with pytest.raises(BundleError, match=r"onnxruntime \S+ cannot load .*model\.onnx: "):
        Predictor.open(model_folder)


def test_damaged_file_that_an_engine_loads_in_part_is_called_damaged(
    model_folder: Path,
) -> None:
    model = onnx.load(model_folder / "model.onnx")
    model.graph.input[0].name = model.graph.node[0].input[0] = "imagf"
    onnx.save(model, model_folder / "model.onnx")
    with pytest.raises(BundleError, match=r"model\.onnx is damaged: its SHA-256"):
        Predictor.open(model_folder)


def test_file_without_permission_is_not_called_damaged(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may run as root, who reads any file.
    monkeypatch.setattr(os, "access", lambda path, mode: (path.name, mode) != ("model.onnx", 4))
    message = r"model\.onnx cannot be read: Permission denied"
    with pytest.raises(BundleError, match=message) as caught:
        Predictor.open(model_folder)
    assert caught.value.remedy == "check the path, and the owner and mode of file and folders"


def test_unknown_format_is_refused(
    model_folder: Path, contract: Contract, state_files: StateFiles
) -> None:
    state_files(model_folder, dataclasses.replace(contract, format="ncnn"))
    with pytest.raises(ContractError, match="no engine for format 'ncnn'; known: onnx, openvino"):
        Predictor.open(model_folder)


def test_missing_model_file_is_named(model_folder: Path) -> None:
    (model_folder / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model\.onnx is missing"):
        Predictor.open(model_folder)


def test_output_that_is_not_finite_is_refused(model_folder: Path, state_files: StateFiles) -> None:
    model = onnx.load(model_folder / "model.onnx")
    share = onnx.numpy_helper.from_array(np.array([np.nan], np.float32), "share")
    model.graph.initializer[0].CopyFrom(share)
    onnx.save(model, model_folder / "model.onnx")
    state_files(model_folder, Contract.load(model_folder))
    with pytest.raises(BundleError, match="gives outputs that are not finite"):
        Predictor.open(model_folder).predict_array(np.zeros((32, 32, 3), np.uint8))


def test_objects_of_a_image_come_in_its_own_pixels(detector_folder: Path, tmp_path: Path) -> None:
    # Twice the input's size. The better one of the two overlapping boxes is the taller one.
    Image.new("RGB", (64, 64), (255, 0, 153)).save(tmp_path / "pink.png")
    prediction = Predictor.open(detector_folder).predict(tmp_path / "pink.png")
    assert isinstance(prediction, Detections)
    assert prediction.labels.tolist() == [0, 1]
    assert prediction.scores == pytest.approx([1.0, 0.6])
    assert prediction.boxes.tolist() == [[16, 16, 32, 34], [32, 0, 64, 32]]


def test_fitted_image_needs_the_size_that_it_had(detector_folder: Path) -> None:
    pixels = np.full((32, 32, 3), (0, 0, 255), np.uint8)
    # Letterboxed at the top left from 100 x 200, of which the box shows the upper right quarter
    # of the 200 x 200 that the input stands for, as far as the image goes.
    predictor = Predictor.open(detector_folder)
    prediction = predictor.predict_inputs({"image": pixels[np.newaxis]}, (100, 200))
    assert isinstance(prediction, Detections)
    assert prediction.boxes.tolist() == [[100, 0, 200, 100]]
    with pytest.raises(ValueError, match="a detector needs the size of the image"):
        predictor.predict_inputs({"image": pixels[np.newaxis]})


def test_image_without_an_object_has_no_detections(detector_folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (50, 20), (10, 255, 10)).save(tmp_path / "green.png")
    prediction = Predictor.open(detector_folder).predict(tmp_path / "green.png")
    assert isinstance(prediction, Detections)
    assert len(prediction) == 0


@pytest.mark.parametrize("size", [(4000, 1), (1, 4000), (1, 1)], ids=str)
def test_image_of_a_line_is_answered(
    detector_folder: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    Image.new("RGB", size, (255, 0, 255)).save(tmp_path / "line.png")
    predictor = Predictor.open(detector_folder).with_threshold(0.001)
    prediction = predictor.predict(tmp_path / "line.png")
    assert isinstance(prediction, Detections)
    assert (prediction.boxes >= 0).all()
    assert (prediction.boxes <= np.array([*size, *size])).all()


def test_other_threshold_leaves_the_first_predictor_as_it_was(detector_folder: Path) -> None:
    predictor = Predictor.open(detector_folder)
    pixels = np.full((32, 32, 3), (0, 0, 60), np.uint8)  # 60 / 255 = 0.235
    (line,) = predictor.with_threshold(0.2).predict_array(pixels).lines(_LABELS, None)
    assert line == "blue screw 0.2353 at 16.0 0.0 32.0 16.0"
    assert predictor.predict_array(pixels).lines(_LABELS, None) == ["no detections"]


def test_classifier_has_no_threshold(model_folder: Path) -> None:
    with pytest.raises(EdgetlUsageError, match="is a classifier, which has no threshold") as caught:
        Predictor.open(model_folder).with_threshold(0.5)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["fixed", "shares"], ids=["boxes", "scores"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_objects_that_are_no_numbers_are_refused(
    detector_folder: Path, state_files: StateFiles, name: str, value: float
) -> None:
    model = onnx.load(detector_folder / "model.onnx")
    for initializer in model.graph.initializer:
        if initializer.name == name:
            values = onnx.numpy_helper.to_array(initializer).copy()
            values.flat[0] = value
            initializer.CopyFrom(onnx.numpy_helper.from_array(values, name))
    onnx.save(model, detector_folder / "model.onnx")
    state_files(detector_folder, Contract.load(detector_folder))
    with pytest.raises(BundleError, match="gives outputs that are not finite"):
        Predictor.open(detector_folder).predict_array(np.ones((32, 32, 3), np.uint8))


def test_classifier_imports_nothing_of_detection(model_folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    code = (
        "import sys\nfrom edgetl.runtime.__main__ import main\n"
        f"main(['predict', {str(model_folder)!r}, {str(tmp_path / 'a.png')!r}])\n"
        "print([name for name in ('edgetl.runtime.detections', 'edgetl.runtime.draw', "
        "'PIL.ImageDraw', 'edgetl.runtime.agreement') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"


def test_package_offers_the_predictor_and_imports_it_when_it_is_used() -> None:
    code = (
        "import sys, edgetl.runtime\n"
        "print([name for name in ('numpy', 'PIL', 'edgetl.runtime.predictor') "
        "if name in sys.modules])\n"
        "from edgetl.runtime import Predictor\n"
        "print(Predictor.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "edgetl.runtime.predictor"]


def test_package_offers_nothing_else() -> None:
    with pytest.raises(AttributeError, match=r"module 'edgetl\.runtime' has no attribute 'Model'"):
        edgetl.runtime.Model  # type: ignore[attr-defined] # noqa: B018 - that is the test
    assert edgetl.runtime.Predictor is Predictor


def test_paths_may_be_texts(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (32, 32), (0, 0, 255)).save(tmp_path / "blue.png")
    monkeypatch.chdir(tmp_path)
    prediction = Predictor.open(model_folder.name).predict("blue.png")
    assert isinstance(prediction, ClassPrediction)
    assert prediction.label == "blue"


def test_channels_in_the_order_of_opencv_give_the_same_prediction(detector_folder: Path) -> None:
    # Half of it lies outside of a square, so that it is resized and has a border.
    rgb = np.random.default_rng(0).integers(0, 256, (50, 100, 3), np.uint8)
    predictor = Predictor.open(detector_folder).with_threshold(0.01)
    expected = predictor.predict_array(rgb).row(_LABELS, None)
    assert predictor.predict_array(rgb[:, :, ::-1], "bgr").row(_LABELS, None) == expected
    assert predictor.predict_array(rgb[:, :, ::-1]).row(_LABELS, None) != expected


def test_array_that_is_no_image_is_refused_with_the_conversion(model_folder: Path) -> None:
    predictor = Predictor.open(model_folder)
    with pytest.raises(ValueError, match=r"so write predict_array\(image\[:, :, :3\]\)"):
        predictor.predict_array(np.zeros((32, 32, 4), np.uint8))
    with pytest.raises(ValueError, match="unknown order 'gbr'"):
        predictor.predict_array(np.zeros((32, 32, 3), np.uint8), "gbr")  # type: ignore[arg-type]


def test_copies_of_a_predictor_run_their_session_one_at_a_time(detector_folder: Path) -> None:
    predictor = Predictor.open(detector_folder)
    session = _Exclusive(predictor.session)
    first = dataclasses.replace(predictor, session=session)
    second = first.with_threshold(0.9)
    pixels = np.zeros((20, 32, 32, 3), np.uint8)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: each.run({"image": pixels}), (first, second)))
    assert session.num_overlaps == 0


class _Exclusive:
    """A session that counts the calls during which another one began."""

    def __init__(self, session: Session) -> None:
        self.inputs, self.outputs, self.engine = session.inputs, session.outputs, session.engine
        self._run = session.run
        self._num_running = 0
        self.num_overlaps = 0

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        self._num_running += 1
        time.sleep(0.002)
        self.num_overlaps += self._num_running > 1
        self._num_running -= 1
        return self._run(inputs)
