"""What planning says of labels that a run would refuse, and of boxes that no training would see."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetl.errors import DataError
from edgetl.stages.index import STAGE
from edgetl.stages.view import STAGE as VIEW
from edgetl.types import Split

BOTH = "0 0.5 0.5 0.5 0.5\n1 0.25 0.25 0.5 0.5\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Return two images of 24 x 32 pixels with both classes in each split."""
    root = tmp_path / "parts"
    write(root, {"data.yaml": "names: [nut, gear]\n"})
    for number, split in enumerate(Split):
        for k in range(2):
            write(root, {f"labels/{split}/{k}.txt": BOTH})
            draw = np.random.default_rng(10 * number + k)
            stream = io.BytesIO()
            Image.fromarray(draw.integers(0, 256, (24, 32, 3), np.uint8)).save(stream, "PNG")
            image = root / f"images/{split}/{k}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(stream.getvalue())
    return root


def job(bench: Any, image: dict[str, Any] | None = None, **data: Any) -> Any:
    given = {"size": 32, "fit": "letterbox", **(image or {})}
    return bench.job(task="detection", data={"path": "parts", **data}, input=given)


def problems(bench: Any, **data: Any) -> list[tuple[str, str]]:
    return [(one.where, one.what) for one in STAGE.check(job(bench, **data))]


def make(bench: Any, image: dict[str, Any]) -> Any:
    _, view = bench.viewed(job(bench, image))
    return view


def test_planning_tells_all_wrong_labels_in_the_words_of_a_run(bench: Any, parts: Path) -> None:
    broken = "".join(f"{line}\n" for line in ("five", "0 .5 .5 .1", "0,.5,.5,.1,.1"))
    write(parts, {"labels/train/0.txt": BOTH + broken, "labels/val/0.txt": BOTH + "0 .5 .5 0 .1"})
    (parts / "labels/test/1.txt").unlink()
    ((where, what),) = problems(bench)
    assert where == "data.path"
    columns = "class, centre x, centre y, width, height"
    no_spaces = "has no spaces; separate by spaces, not by commas"
    remedy = (
        "drop them with `data: {drop: [bad-boxes, bad-labels, unlabelled]}`; "
        "if intended, write `data: {accept: [background]}`"
    )
    assert what == "\n".join(
        [
            f"the data in '{parts}' cannot be used as they are:",
            "  3 x broken label line:",
            f"    labels/train/0.txt:3: has 1 column; expected {columns}",
            f"    labels/train/0.txt:4: has 4 columns; expected {columns}",
            f"    labels/train/0.txt:5: {no_spaces}: {columns}",
            "  1 x image without labels:",
            "    images/test/1.png",
            "  1 x box without area:",
            "    labels/val/0.txt:3: nut at 16 10.8 16 13.2 of 32 x 24",
            f"  {remedy}",
        ]
    )
    (node,) = STAGE.plan(job(bench), {})
    with pytest.raises(DataError, match="cannot be used") as caught:
        bench.run(node, {})
    lines, expected = str(caught.value).splitlines(), what.splitlines()
    assert sorted(lines) == sorted(expected)


def test_planning_is_silent_on_what_the_recipe_allows(bench: Any, parts: Path) -> None:
    write(parts, {"labels/train/0.txt": BOTH + "five\n", "labels/train/stray.txt": BOTH})
    (parts / "labels/test/1.txt").unlink()
    assert len(problems(bench)) == 1
    allowed: dict[str, Any] = {
        "drop": ["bad-labels", "stray-labels"],
        "accept": ["background"],
    }
    assert problems(bench, **allowed) == []
    # One of the two images for training is dropped, so there are not two to calibrate with.
    given = job(bench, **allowed)
    two = given.calibration.model_copy(update={"count": 2})
    (problem,) = STAGE.check(replace(given, calibration=two))
    assert problem.what == "'any' needs 2 images of the train split, which has 1"


def test_planning_tells_of_splits_without_boxes(bench: Any, parts: Path) -> None:
    write(parts, {"labels/train/0.txt": "", "labels/train/1.txt": ""})
    ((_, what),) = problems(bench, accept=["missing-classes", "background"])
    assert "  1 x split without any box:\n    train (2 images)\n  label the images of tr" in what


def test_names_that_do_not_fit_are_the_only_advice(bench: Any, parts: Path) -> None:
    write(parts, {"data.yaml": "names: [nut gear]\n"})
    ((_, what),) = problems(bench)
    assert "  6 x label line with the number of a class without a name:" in what
    assert what.endswith(
        "\n  fix `names` in data.yaml: it has 1 class, 'nut gear', but the labels have numbers "
        "from 0 to 1; put commas between names"
    )


def test_boxes_too_small_to_be_learnt_are_counted_and_told(bench: Any, parts: Path) -> None:
    # Of 32 pixels a sixteenth is 2; the image is not scaled.
    write(parts, {"labels/train/0.txt": BOTH + "0 0.5 0.5 0.06 0.5\n1 0.25 0.25 0.0626 0.5\n"})
    facts = make(bench, {}).manifest.facts
    assert facts["too_small"] == {"train": 1, "val": 0, "test": 0}
    assert facts["cropped"] == {"train": 0, "val": 0, "test": 0}
    assert bench.told.notes == ["1 of 14 boxes is under 2 px at input 32: raise `input.size`"]
    assert VIEW.summary(VIEW.facts.model_validate(facts)).endswith(
        "; 1 of 14 boxes too small to be learnt"
    )


def test_boxes_that_a_crop_cuts_off_are_counted_and_told(bench: Any, parts: Path) -> None:
    # The crop shows columns 4 to 28 of 32.
    write(parts, {"labels/train/0.txt": BOTH + "0 0.0625 0.5 0.125 0.5\n"})
    facts = make(bench, {"fit": "crop"}).manifest.facts
    assert facts["cropped"] == {"train": 1, "val": 0, "test": 0}
    told = "1 of 13 boxes is cut off by `fit: crop`: write `input: {fit: letterbox}`"
    assert bench.told.notes == [told]


@pytest.mark.parametrize(
    ("box", "image", "message"),
    [
        pytest.param(
            "0.5 0.5 0.03 0.03",
            {},
            r"none of the 4 boxes to train on is seen at input 32: 4 are under 2 px, 0 are cut off"
            r"\n  raise `input\.size`$",
            id="small",
        ),
        pytest.param(
            "0.0625 0.5 0.125 0.5",
            {"fit": "crop"},
            r"none of the 4 boxes to train on is seen at input 32: 0 are under 2 px, 4 are cut off"
            r"\n  write `input: \{fit: letterbox\}`$",
            id="cropped",
        ),
    ],
)
def test_data_without_a_box_that_training_sees_are_refused(
    bench: Any, parts: Path, box: str, image: dict[str, Any], message: str
) -> None:
    write(parts, {f"labels/train/{k}.txt": f"0 {box}\n1 {box}\n" for k in range(2)})
    with pytest.raises(DataError, match=message):
        make(bench, image)


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        ({"drop": ["bad-boxes"]}, "data.drop", "'bad-boxes' is about labelled boxes"),
        ({"repair": ["clip-boxes"]}, "data.repair", "but the task is classification"),
        ({"accept": ["background"]}, "data.accept", "'background' is about labelled boxes"),
    ],
)
def test_words_about_boxes_are_refused_for_classification(
    bench: Any, data: dict[str, Any], where: str, what: str
) -> None:
    (problem,) = STAGE.check(bench.job(data={"synthetic": {}, **data}))
    assert problem.where == where
    assert re.search(what, problem.what)
