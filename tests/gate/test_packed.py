"""Answers come back as they were packed, and nothing that was edited passes for answers."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgetl.errors import ConfigError
from edgetl.evaluation import Predictions
from edgetl.gate.bundle import Images, find_images, open_bundle
from edgetl.gate.packed import PackedArray, pack, unpack
from edgetl.types import Split

Packed = dict[str, PackedArray]

# On three images: two detections, none, one.
_DETECTIONS: Predictions = {
    "boxes": np.array([[0, 0, 8, 8], [4, 4, 9, 9], [1, 1, 2, 2]], np.float32),
    "scores": np.array([0.9, 0.2, 0.5], np.float32),
    "labels": np.array([0, 2, 1], np.int64),
    "offsets": np.array([0, 2, 2, 3], np.int64),
}


class _ThreeImages:
    classes = ("red", "green", "blue")

    def items(self, split: Split) -> tuple[str, ...]:
        assert split is Split.TEST
        return ("a", "b", "c")


@pytest.fixture
def three() -> Images:
    dataset: Any = _ThreeImages()
    return Images(dataset, "0" * 64, _DETECTIONS)


@pytest.fixture
def sixty(backend: Any) -> Images:
    images = find_images(open_bundle(backend.bundle(), "board"), backend.store)
    assert images is not None
    return images


def _unpack(packed: Packed, images: Images) -> Predictions:
    return unpack(packed, images, source="b.json", remedy="write it again")


def _changed(name: str, change: Callable[[Any], Any]) -> Packed:
    """Return the detections with `change` made to the array `name`, well packed."""
    return pack({**_DETECTIONS, name: change(_DETECTIONS[name])})


def test_detections_come_back_exactly(three: Images) -> None:
    predictions = _unpack(pack(_DETECTIONS), three)
    assert {name: array.dtype for name, array in predictions.items()} == {
        "boxes": np.float32, "scores": np.float32, "labels": np.int64, "offsets": np.int64,
    }  # fmt: skip
    assert all(np.array_equal(predictions[name], values) for name, values in _DETECTIONS.items())


def test_logits_are_kept_as_their_largest(sixty: Images) -> None:
    unpacked = _unpack(pack(sixty.predictions), sixty)["logits"]
    assert unpacked.shape == (60, 3)
    assert unpacked.sum(axis=1).tolist() == [1] * 60
    assert np.array_equal(unpacked.argmax(axis=1), sixty.predictions["logits"].argmax(axis=1))


def test_no_detection_at_all_is_an_answer(three: Images) -> None:
    nothing = {name: values[:0] for name, values in _DETECTIONS.items()}
    nothing["offsets"] = np.zeros(4, np.int64)
    assert len(_unpack(pack(nothing), three)["scores"]) == 0


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (
            {name: each for name, each in pack(_DETECTIONS).items() if name != "boxes"},
            (
                "accuracy.predictions: has scores, labels, offsets; the predictions of this "
                "model are boxes, scores, labels, offsets"
            ),
        ),
        (
            _changed("scores", lambda scores: scores.astype(np.float64)),
            "accuracy.predictions.scores: is damaged: its dtype is '<f8', not '<f4'",
        ),
        (
            _changed("offsets", lambda offsets: offsets[:3]),
            "accuracy.predictions.offsets: is for 2 images, but there are 3",
        ),
        (
            _changed("offsets", lambda offsets: offsets + 1),
            "accuracy.predictions.offsets: does not count up from 0",
        ),
        (
            _changed("offsets", lambda offsets: offsets[[0, 2, 1, 3]] * [1, 1, 0, 1]),
            "accuracy.predictions.offsets: does not count up from 0",
        ),
        (
            _changed("boxes", lambda boxes: boxes[:2]),
            "accuracy.predictions.boxes: has the shape [2, 4], but should have [3, 4]",
        ),
        (
            _changed("boxes", lambda boxes: boxes[:, :3]),
            "accuracy.predictions.boxes: has the shape [3, 3], but should have [3, 4]",
        ),
        (
            _changed("scores", lambda scores: scores * np.float32("nan")),
            "accuracy.predictions.scores: has values that are not finite",
        ),
        (
            _changed("labels", lambda labels: labels + 1),
            "accuracy.predictions.labels: has a class that is not one of the 3",
        ),
    ],
    ids=["name", "dtype", "images", "start", "order", "short", "narrow", "nan", "class"],
)
def test_answers_that_do_not_fit_the_images_are_refused(
    three: Images, packed: Packed, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(f'b.json: {message}')}\n") as error:
        _unpack(packed, three)
    assert error.value.remedy == "write it again"


def test_logits_of_fewer_images_are_refused(sixty: Images) -> None:
    short = pack({"logits": sixty.predictions["logits"][:10]})
    with pytest.raises(
        ConfigError,
        match=r"predictions.logits: has the shape \[10, 3\], but should have \[60, 3\]",
    ):
        _unpack(short, sixty)


def test_logits_that_choose_no_class_are_refused(sixty: Images) -> None:
    data = base64.b64encode(zlib.compress(bytes(180))).decode()
    empty = {"logits": PackedArray(dtype="|u1", shape=(60, 3), data=data)}
    with pytest.raises(ConfigError, match=r"logits: does not choose one class for every image"):
        _unpack(empty, sixty)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "AAAA"}, "is damaged: Error -3"),
        ({"data": "?"}, "is damaged: "),
        ({"shape": (10, 3)}, "is damaged: 180 numbers do not have the shape [10, 3]"),
        ({"shape": (-1, 3)}, "is damaged: 180 numbers do not have the shape [-1, 3]"),
        ({"shape": ()}, "is damaged: 180 numbers do not have the shape []"),
        ({"dtype": "O"}, "is damaged: its dtype is 'O', not '|u1'"),
    ],
    ids=["bytes", "letters", "short", "negative", "scalar", "object"],
)
def test_damaged_text_is_refused(sixty: Images, changes: dict[str, Any], message: str) -> None:
    packed = {"logits": pack(sixty.predictions)["logits"].model_copy(update=changes)}
    said = f"b.json: accuracy.predictions.logits: {message}"
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}"):
        _unpack(packed, sixty)
