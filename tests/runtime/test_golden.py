from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgetl.runtime import golden
from edgetl.runtime.contract import Contract
from edgetl.runtime.engines import TensorInfo
from edgetl.runtime.errors import BundleError, ImageError


def test_replay_of_untouched_folder_passes(model_folder: Path) -> None:
    replayed = golden.replay(model_folder)
    assert replayed.passed
    assert [(row.name, row.what) for row in replayed.rows] == [
        ("golden-0.png", "fitted pixels"),
        ("logits", "against the recorded outputs"),
        ("logits", "against the float model"),
    ]
    assert max(row.worst for row in replayed.rows) < 1e-6


def test_recording_again_gives_equal_bytes(model_folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in model_folder.iterdir()}
    samples = golden.load(model_folder, Contract.load(model_folder))
    image = np.asarray(Image.open(model_folder / "golden-0.png"))
    golden.record(model_folder, samples.inputs, samples.reference, [image])
    assert {path.name: path.read_bytes() for path in model_folder.iterdir()} == before


def test_image_that_decodes_otherwise_fails_the_replay(model_folder: Path) -> None:
    image = np.array(Image.open(model_folder / "golden-0.png"))
    image[5, 5, 1] += 2
    Image.fromarray(image).save(model_folder / "golden-0.png")
    replayed = golden.replay(model_folder)
    assert [row.name for row in replayed.rows if not row.passed] == ["golden-0.png"]
    assert replayed.rows[0].worst == 2.0


def test_other_answer_fails_the_replay(model_folder: Path) -> None:
    _rewrite(model_folder, recorded=np.array([[2.0, 1.0, 0.501], [0.0, 0.5, 2.5]], np.float32))
    replayed = golden.replay(model_folder)
    # The recorded answers span 2.5, of which 1/10000 is allowed.
    assert replayed.rows[1].tolerance == pytest.approx(2.5e-4)
    assert replayed.rows[1].worst == pytest.approx(1e-3, abs=1e-6)
    assert not replayed.passed


def test_distance_to_the_float_model_is_told_and_not_judged(model_folder: Path) -> None:
    _rewrite(model_folder, reference=np.zeros((2, 3), np.float32))
    replayed = golden.replay(model_folder)
    assert replayed.passed
    assert replayed.rows[2].worst == pytest.approx(2.5)


def test_answer_that_is_no_number_does_not_pass(model_folder: Path) -> None:
    _rewrite(model_folder, recorded=np.full((2, 3), np.nan, np.float32))
    assert not golden.replay(model_folder).passed


@pytest.mark.parametrize(
    ("precision", "scale", "expected"),
    [
        pytest.param("fp32", None, 2e-4, id="float file: 1/10000 of the range"),
        pytest.param("int8", 0.125, 0.125, id="integer output: one step"),
        pytest.param("w8a16", 1e-5, 2e-4, id="tiny step: 1/10000 of the range"),
        pytest.param("int8", None, 2 / 255, id="float output of an int8 file: an 8-bit step"),
        pytest.param("fp16", None, 2 / 255, id="fp16"),
    ],
)
def test_tolerance_by_precision_and_output(
    precision: str, scale: float | None, expected: float
) -> None:
    info = TensorInfo("logits", (1, 2), "int8", scale, 0)
    recorded = np.array([[-1.0, 1.0]], np.float32)
    assert golden._tolerance(precision, info, recorded) == pytest.approx(expected)


def test_too_large_image_is_refused(model_folder: Path) -> None:
    samples = golden.load(model_folder, Contract.load(model_folder))
    image = np.zeros((641, 10, 3), np.uint8)
    with pytest.raises(ValueError, match="sides up to 640"):
        golden.record(model_folder, samples.inputs, samples.reference, [image])


def test_no_samples_are_refused(model_folder: Path) -> None:
    nothing = {"image": np.zeros((0, 32, 32, 3), np.uint8)}
    with pytest.raises(ValueError, match="for at least one sample"):
        golden.record(model_folder, nothing, {"logits": np.zeros((0, 3), np.float32)}, [])


def test_reference_of_another_shape_is_refused(model_folder: Path) -> None:
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="reference must hold"):
        golden.record(
            model_folder, {"image": pixels}, {"logits": np.zeros((2, 4), np.float32)}, [pixels[0]]
        )


def test_torn_samples_are_refused(model_folder: Path) -> None:
    path = model_folder / "golden.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
        golden.replay(model_folder)


@pytest.mark.parametrize("place", [65, 80, 120])
def test_samples_with_a_turned_byte_are_refused(model_folder: Path, place: int) -> None:
    path = model_folder / "golden.npz"
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
        golden.replay(model_folder)


def test_pickled_samples_are_refused(model_folder: Path) -> None:
    held: dict[str, NDArray[Any]] = {"input.image": np.array([{}], dtype=object)}
    np.savez(model_folder / "golden.npz", allow_pickle=True, **held)
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read: .*allow_pickle"):
        golden.replay(model_folder)


def test_samples_from_before_inputs_had_names_are_replayed(model_folder: Path) -> None:
    with np.load(model_folder / "golden.npz") as arrays:
        held = dict(arrays)
    held["pixels"] = held.pop("input.image")
    np.savez(model_folder / "golden.npz", **held)
    replayed = golden.replay(model_folder)
    assert replayed.passed
    assert len(replayed.rows) == 3


def test_samples_without_an_input_of_the_contract_are_refused(model_folder: Path) -> None:
    with np.load(model_folder / "golden.npz") as arrays:
        held = dict(arrays)
    held["input.other"] = held.pop("input.image")
    np.savez(model_folder / "golden.npz", **held)
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read: .*input\.image"):
        golden.replay(model_folder)


def test_missing_image_is_named(model_folder: Path) -> None:
    (model_folder / "golden-0.png").unlink()
    with pytest.raises(ImageError, match=r"golden-0\.png': no such file"):
        golden.replay(model_folder)


def test_replay_of_a_detector_counts_its_objects(detector_folder: Path) -> None:
    replayed = golden.replay(detector_folder)
    assert replayed.passed
    # 255 * 0.8 * 1/255 and 0.4 are above 0.3; of the two red ones the better is left.
    assert [(row.name, row.what, row.tolerance) for row in replayed.rows[5:]] == [
        ("detections", "3 recorded, missing or new", 0),
        ("detections", "3 of the float model, missing or new", None),
    ]
    assert [row.name for row in replayed.rows[1:5]] == ["boxes", "boxes", "scores", "scores"]
    assert max(row.worst for row in replayed.rows) < 1e-6


def test_object_that_is_not_found_again_fails_the_replay(detector_folder: Path) -> None:
    with np.load(detector_folder / "golden.npz") as arrays:
        held = dict(arrays)
    held["recorded.scores"][1, 0, 1] = 0.5  # blue where red was looked for
    np.savez(detector_folder / "golden.npz", **held)
    replayed = golden.replay(detector_folder)
    assert [(row.name, row.worst) for row in replayed.rows if not row.passed] == [
        ("scores", 0.5),
        ("detections", 1.0),
    ]


def test_recording_a_detector_again_gives_equal_bytes(detector_folder: Path) -> None:
    before = (detector_folder / "golden.npz").read_bytes()
    samples = golden.load(detector_folder, Contract.load(detector_folder))
    image = np.asarray(Image.open(detector_folder / "golden-0.png"))
    golden.record(detector_folder, samples.inputs, samples.reference, [image])
    assert (detector_folder / "golden.npz").read_bytes() == before


def test_detector_with_scores_below_the_step_passes_its_replay(detector_folder: Path) -> None:
    samples = golden.load(detector_folder, Contract.load(detector_folder))
    faint = np.array([[0, 0, 1], [0, 0, 2]], np.uint8)[:, np.newaxis, np.newaxis]
    pixels = np.zeros_like(samples.inputs["image"])
    pixels[:, :1, :1] = faint  # 1 / 255 / 1024 = 3.8e-6, stored as 4 steps
    reference = {**samples.reference, "scores": np.zeros((2, 3, 2), np.float32)}
    golden.record(detector_folder, {"image": pixels}, reference, [pixels[0]])
    replayed = golden.replay(detector_folder)
    assert replayed.passed
    assert replayed.rows[3].tolerance == golden.STORED_STEP


def test_answers_of_a_detector_are_stored_to_the_step(detector_folder: Path) -> None:
    samples = golden.load(detector_folder, Contract.load(detector_folder))
    reference = {name: values + np.float32(1e-8) for name, values in samples.reference.items()}
    reference["scores"][0, 0, 0] = 0.123456789
    golden.record(detector_folder, samples.inputs, reference, [samples.inputs["image"][0]])
    kept = golden.load(detector_folder, Contract.load(detector_folder)).reference["scores"]
    # 0.123456789 * 2**20 = 129453.83
    assert kept[0, 0, 0] == 129454 / 2**20
    assert kept[1, 0].tolist() == [0.0, 0.0]


def _rewrite(folder: Path, **changed: NDArray[np.float32]) -> None:
    with np.load(folder / "golden.npz") as arrays:
        held = dict(arrays)
    np.savez(
        folder / "golden.npz", **(held | {f"{key}.logits": value for key, value in changed.items()})
    )
