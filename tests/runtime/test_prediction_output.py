from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetl.runtime.errors import EdgetlUsageError, ImageError
from edgetl.runtime.prediction_output import PredictionText, drawn_files, predictions, texts
from edgetl.runtime.predictor import Predictor


@pytest.fixture
def pink(tmp_path: Path) -> Path:
    """An image on which the detector sees a red and a blue object."""
    Image.new("RGB", (64, 64), (255, 0, 153)).save(tmp_path / "pink.png")
    return tmp_path / "pink.png"


def test_each_object_has_a_line(detector_folder: Path, pink: Path) -> None:
    (predict_array,) = predictions(Predictor.open(detector_folder), [pink])
    assert predict_array.lines == (
        f"{pink}: rote Öse 1.0000 at 16.0 16.0 32.0 34.0",
        f"{pink}: blue screw 0.6000 at 32.0 0.0 64.0 32.0",
    )


def test_row_is_the_same_as_json(detector_folder: Path, pink: Path) -> None:
    (predict_array,) = predictions(Predictor.open(detector_folder), [pink])
    assert predict_array.row == {
        "image": str(pink),
        "objects": [
            {"label": "rote Öse", "score": pytest.approx(1.0), "box": [16, 16, 32, 34]},
            {"label": "blue screw", "score": pytest.approx(0.6), "box": [32, 0, 64, 32]},
        ],
    }


def test_image_without_an_object_says_so(detector_folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "black.png")
    (predict_array,) = predictions(Predictor.open(detector_folder), [tmp_path / "black.png"])
    assert predict_array.lines == (f"{tmp_path / 'black.png'}: no detections",)
    assert predict_array.row["objects"] == []


def test_top_objects_are_the_best(detector_folder: Path, pink: Path) -> None:
    (predict_array,) = predictions(Predictor.open(detector_folder), [pink], top=1)
    assert [line.split(": ")[1] for line in predict_array.lines] == [
        "rote Öse 1.0000 at 16.0 16.0 32.0 34.0"
    ]


@pytest.mark.parametrize(("threshold", "count"), [(0.1, 2), (0.6, 1), (1.0, 1)])
def test_threshold_replaces_that_of_the_contract(
    detector_folder: Path, tmp_path: Path, threshold: float, count: int
) -> None:
    # The red object scores 1, the blue one 0.2.
    Image.new("RGB", (64, 64), (255, 0, 51)).save(tmp_path / "red.png")
    (predict_array,) = predictions(
        Predictor.open(detector_folder), [tmp_path / "red.png"], threshold=threshold
    )
    assert len(predict_array.lines) == count


def test_threshold_of_a_classifier_is_refused(model_folder: Path, pink: Path) -> None:
    with pytest.raises(EdgetlUsageError, match="is a classifier, which has no threshold"):
        next(predictions(Predictor.open(model_folder), [pink], threshold=0.5))


def test_image_is_drawn_and_the_line_says_where(
    detector_folder: Path, pink: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "deep" / "out"
    (predict_array,) = predictions(Predictor.open(detector_folder), [pink], folder=folder)
    file = folder / "pink.drawn.jpg"
    assert predict_array.lines[-1] == f"{pink}: drawn in {file}"
    assert predict_array.row["drawn"] == str(file)
    picture = np.asarray(Image.open(file)).astype(int)
    assert picture.shape == (64, 64, 3)
    assert np.abs(picture - (255, 0, 153)).max() > 100


def test_class_of_a_image_is_drawn_too(model_folder: Path, tmp_path: Path) -> None:
    image = tmp_path / "green.png"
    Image.new("RGB", (200, 100), (0, 200, 0)).save(image)
    (predict_array,) = predictions(Predictor.open(model_folder), [image], top=2, folder=tmp_path)
    assert len(predict_array.lines) == 2
    picture = np.asarray(Image.open(tmp_path / "green.drawn.jpg")).astype(int)
    assert (picture[2:6, 2:60].max(axis=-1) < 60).mean() > 0.5  # the ground of the text
    assert np.abs(picture[60:] - (0, 200, 0)).max() < 10


def test_answers_come_one_by_one(detector_folder: Path, pink: Path, tmp_path: Path) -> None:
    asked = predictions(Predictor.open(detector_folder), [pink, tmp_path / "none.png"])
    assert next(asked).row["image"] == str(pink)
    with pytest.raises(ImageError, match="no such file"):
        next(asked)


def test_image_that_cannot_be_read_is_reported_before_the_next_one(
    detector_folder: Path, pink: Path, tmp_path: Path
) -> None:
    errors: list[ImageError] = []
    images = [tmp_path / "none.png", pink, tmp_path]
    rows = predictions(Predictor.open(detector_folder), images, report=errors.append)
    assert next(rows).row["image"] == str(pink)
    assert [error.message for error in errors] == [
        f"cannot read image '{tmp_path / 'none.png'}': no such file"
    ]
    assert list(rows) == []
    assert errors[1].message == f"cannot read image '{tmp_path}': it is a folder"


@pytest.mark.parametrize(
    ("encoding", "label"),
    [(None, "Öse"), ("utf-8", "Öse"), ("latin-1", "Öse"), ("ascii", "\\u00d6se")],
)
def test_json_escapes_what_the_stream_lacks_also_after_an_error(
    encoding: str | None, label: str
) -> None:
    def fails() -> Iterator[PredictionText]:
        yield PredictionText(("a.png: Öse",), {"label": "Öse"})
        raise ImageError("'b.png' is torn", remedy="take it out")

    text = f'[\n  {{\n    "label": "{label}"\n  }}\n]'
    whole = [PredictionText(("a.png: Öse",), {"label": "Öse"})]
    assert list(texts(whole, as_json=True, encoding=encoding)) == [text]
    printed = texts(fails(), as_json=True, encoding=encoding)
    assert next(printed) == text
    with pytest.raises(ImageError, match="is torn"):
        next(printed)
    assert list(texts(whole, as_json=False, encoding=encoding)) == ["a.png: Öse"]


def test_pictures_of_images_of_one_name_get_numbers(tmp_path: Path) -> None:
    images = [tmp_path / name for name in ("a/dog.jpg", "b/dog.png", "b/Dog.jpg", "b/cat.jpg")]
    assert [file.name for file in drawn_files(images, tmp_path / "out")] == [
        "dog.drawn.jpg",
        "dog.drawn-2.jpg",
        "Dog.drawn-3.jpg",
        "cat.drawn.jpg",
    ]


def test_picture_never_takes_the_place_of_a_image(
    detector_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("dog.jpg", "dog.drawn.jpg", "dog.drawn-2.jpg"):
        Image.new("RGB", (40, 30), (255, 0, 153)).save(name)
    images = [Path("dog.jpg"), tmp_path / "dog.drawn.jpg", Path("./x/../dog.drawn-2.jpg")]
    Path("x").mkdir()
    before = [image.read_bytes() for image in images]
    predicted = list(predictions(Predictor.open(detector_folder), images, folder=Path()))
    assert [image.read_bytes() for image in images] == before
    assert [predict_array.row["drawn"] for predict_array in predicted] == [
        "dog.drawn-3.jpg",
        "dog.drawn.drawn.jpg",
        "dog.drawn-2.drawn.jpg",
    ]


def test_folder_that_cannot_be_made_is_refused(detector_folder: Path, pink: Path) -> None:
    with pytest.raises(
        EdgetlUsageError, match=r"cannot write '.*pink\.png/pink\.drawn\.jpg': "
    ) as caught:
        list(predictions(Predictor.open(detector_folder), [pink], folder=pink))
    assert caught.value.remedy == "name another folder for the pictures"
