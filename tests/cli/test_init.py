"""`edgetl init` where the files have several layouts, or some that must be ignored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from edgetl.cli import edgetl
from edgetl.errors import ConfigError, DataError

VOC = (
    "<annotation><object><name>nut</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax>"
    "<ymax>4</ymax></bndbox></object></annotation>"
)


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Write the boxes of an image in two forms."""
    files = {
        "images/a.jpg": "", "labels/a.txt": "0 .5 .5 .1 .1", "data.yaml": "names: [screw]",
        "annotations/a.xml": VOC,
    }  # fmt: skip
    for name, text in files.items():
        path = tmp_path / "parts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "parts"


def init(images: Path, *words: str) -> Result:
    return CliRunner().invoke(edgetl, ["init", str(images), *words], catch_exceptions=True)


def test_several_layouts_are_refused_with_the_option_that_chooses(both: Path) -> None:
    error = init(both).exception
    assert isinstance(error, DataError)
    assert "have several layouts: voc, yolo" in error.message
    assert "exclude the labels of all but one with `--exclude PATTERN`" in error.remedy
    assert "or name the one to read with `--layout voc`" in error.remedy


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_chosen_layout_stands_in_the_recipe(both: Path, layout: str) -> None:
    done = init(both, "--layout", layout)
    assert done.exit_code == 0, done.output
    assert "1 images with 1 boxes of 1 class" in done.output
    text = (both / "recipe.yaml").read_text(encoding="utf-8")
    assert f'data: {{path: ".", layout: {layout}, val: 0.15, test: 0.20, seed: 0}}' in text
    assert "task: detection" in text


def test_excluded_files_stand_in_the_recipe(both: Path) -> None:
    done = init(both, "--exclude", "labels/*", "--exclude", "data.yaml")
    assert done.exit_code == 0, done.output
    text = (both / "recipe.yaml").read_text(encoding="utf-8")
    assert 'data: {path: ".", exclude: ["labels/*", "data.yaml"], val: 0.15' in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layout", "vok"], "unknown data layout 'vok'"),
        (["--layout", "coco"], "do not have the layout 'coco'"),
        (["--exclude", "nowhere/*"], "pattern 'nowhere/*' matches no file"),
    ],
)
def test_wrong_choice_is_refused(both: Path, words: Sequence[str], message: str) -> None:
    done = init(both, *words)
    assert message in str(done.exception)
    assert not (both / "recipe.yaml").exists()


def test_ignored_images_are_shown(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/1_mask.png", "dog/2.png", ".old/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    done = init(tmp_path)
    assert "2 images of 2 classes in" in done.output
    assert "ignored 1 masks: cat/1_mask.png\nignored 1 hidden images: .old/3.png\n" in done.output


def write_images(root: Path, counts: Mapping[str, int]) -> Path:
    """Write noise of 16 x 12 pixels into folders."""
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True)
        for k in range(count):
            draw = np.random.default_rng([k, *folder.encode()])
            picture = Image.fromarray(draw.integers(0, 256, (12, 16, 3), np.uint8))
            picture.save(root / folder / f"{k}.png")
    return root


def write_boxes(root: Path, objects: Sequence[str], classes: str) -> Path:
    """Write one image for each of `objects`, which holds a digit for each labelled box."""
    write_images(root, {"images": len(objects)})
    (root / "labels").mkdir()
    for k, numbers in enumerate(objects):
        rows = (f"{number} 0.5 0.5 0.{5 + j} 0.5\n" for j, number in enumerate(numbers))
        (root / f"labels/{k}.txt").write_text("".join(rows), encoding="utf-8")
    (root / "data.yaml").write_text(f"names: [{classes}]\n", encoding="utf-8")
    return root


def recipe_of(root: Path) -> dict[str, Any]:
    recipe: dict[str, Any] = yaml.safe_load((root / "recipe.yaml").read_text(encoding="utf-8"))
    return recipe


def plan(root: Path, *words: str) -> Result:
    store = str(root.parent / "store")
    return CliRunner().invoke(edgetl, ["plan", str(root / "recipe.yaml"), "--store", store, *words])


@pytest.mark.parametrize(
    ("counts", "calibration"),
    [
        pytest.param({"cat": 6, "dog": 6}, "balanced-few", id="2 x 6"),
        pytest.param({"cat": 6, "dog": 9, "emu": 30}, "balanced-few", id="unbalanced"),
        pytest.param({"cat": 75, "dog": 75}, "balanced-few", id="150"),
        pytest.param({"cat": 110, "dog": 110}, "random-128", id="220"),
        pytest.param({"cat": 210, "dog": 210}, "balanced-256", id="420"),
        pytest.param(
            {f"{split}/{name}": 2 for split in ("train", "val", "test") for name in "ab"},
            "balanced-few",
            id="three splits",
        ),
        pytest.param(
            {f"{split}/{name}": 3 for split in ("train", "test") for name in "ab"},
            "balanced-few",
            id="train and test",
        ),
        pytest.param(
            {f"{split}/{name}": 3 for split in ("train", "val") for name in "ab"},
            "balanced-few",
            id="train and val",
        ),
    ],
)
def test_recipe_of_a_set_of_any_size_can_be_planned(
    tmp_path: Path, counts: dict[str, int], calibration: str
) -> None:
    root = write_images(tmp_path / "images", counts)
    done = init(root)
    assert done.exit_code == 0, done.output
    assert "settle" not in done.output
    assert recipe_of(root)["calibration"] == calibration
    planned = plan(root)
    assert planned.exit_code == 0, planned.exception
    # Planning counts the same images, after reading them.
    rows = [line for line in done.output.splitlines() if line.startswith(("all images", "image s"))]
    assert len(rows) == 2
    assert all(row.partition(" (of")[0] in planned.output for row in rows)


@pytest.mark.parametrize(
    ("objects", "classes", "calibration"),
    [
        pytest.param(["0"] * 12, "nut", "detection-few", id="12 of one class"),
        pytest.param(["0", "1", "2"] * 4, "nut, bolt, gear", "detection-few", id="12 of three"),
        pytest.param(["0"] * 40, "nut", "detection-few", id="40"),
        pytest.param(["0"] * 60, "nut", "detection-32", id="60"),
        pytest.param(["01"] * 160, "nut, bolt", "detection-100", id="160"),
    ],
)
def test_recipe_of_boxes_can_be_planned(
    tmp_path: Path, objects: list[str], classes: str, calibration: str
) -> None:
    root = write_boxes(tmp_path / "images", objects, classes)
    done = init(root)
    assert done.exit_code == 0, done.output
    assert recipe_of(root)["calibration"] == calibration
    planned = plan(root)
    assert planned.exit_code == 0, planned.exception


def test_rare_classes_of_a_small_set_of_boxes_are_accepted_and_named(tmp_path: Path) -> None:
    """One gear cannot be in three splits; what counts is that it is trained on."""
    root = write_boxes(tmp_path / "images", ["0"] * 11 + ["02"], "nut, bolt, gear")
    done = init(root)
    assert done.exit_code == 0, done.output
    assert recipe_of(root)["data"]["accept"] == ["missing-classes"]
    assert recipe_of(root)["data"]["drop"] == ["empty-classes"]
    assert "class that a split lacks, which the recipe allows: gear (1 image): none in " in (
        done.output
    )
    assert "class without boxes, which the recipe allows: bolt\n" in done.output
    assert "dropped: 1 empty-classes (bolt)\n" in done.output
    assert "settle" not in done.output
    planned = plan(root)
    assert planned.exit_code == 0, planned.exception


def test_folder_without_images_is_dropped_as_a_class_by_the_recipe(tmp_path: Path) -> None:
    root = write_images(tmp_path / "images", {"cat": 6, "dog": 6, "New folder": 0})
    done = init(root)
    assert done.exit_code == 0, done.output
    assert "class without images, which the recipe allows: New folder\n" in done.output
    assert "12 images of 3 classes in" in done.output
    assert "images of 2 classes  train" in done.output
    assert recipe_of(root)["data"]["drop"] == ["empty-classes"]
    assert plan(root).exit_code == 0


@pytest.mark.parametrize("counts", [{"good": 9}, {"good": 9, "bad": 0}])
def test_one_class_is_refused_and_says_what_is_planned_for_it(
    tmp_path: Path, counts: dict[str, int]
) -> None:
    root = write_images(tmp_path / "images", counts)
    error = init(root).exception
    assert isinstance(error, DataError)
    assert "1 x class, but at least two are needed:\n    good" in error.message
    assert "add images of another class" in error.remedy
    assert "or exclude files with `--exclude PATTERN`" in error.remedy
    assert "one class alone yet; anomaly detection is planned" in error.remedy
    assert not (root / "recipe.yaml").exists()


def test_what_only_the_user_can_settle_is_shown_with_its_remedy(tmp_path: Path) -> None:
    root = write_images(tmp_path / "images", {"cat": 6, "dog": 1})
    done = init(root)
    assert done.exit_code == 0, done.output
    assert (
        "before it can be planned, settle this:\n"
        "  1 x class that a split lacks:\n"
        "    dog (1 image): none in val, test\n"
        "  add images of such a class: it needs 3, one for every split, and copies of one image "
        "stay together; or exclude it with `data: {exclude: [...]}`\n"
    ) in done.output
    assert plan(root).exit_code == 1  # the error, which the command line ends with 3
    assert "dog (1 image): none in val, test" in str(plan(root).exception)


def test_empty_split_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folders = {f"{split}/{name}": 8 for split in ("train", "test") for name in ("cat", "dog")}
    root = write_images(tmp_path / "images", folders | {"val/cat": 0, "val/dog": 0})
    assert init(root).exit_code == 0
    message = str(plan(root).exception)
    assert "cat (16 images): none in val" in message
    assert "val has no images at all: delete its folders, so that edgetl takes images" in message
    shutil.rmtree(root / "val")
    assert init(root, "--force").exit_code == 0
    assert plan(root).exit_code == 0


def test_size_of_the_test_split_is_judged(tmp_path: Path) -> None:
    root = write_images(tmp_path / "images", {"cat": 6, "dog": 6})
    line = "the test split has 2 images, so a single one can change the accuracy by 50 pp"
    assert line in init(root).output
    assert line in plan(root).output


def test_plan_reports_the_problems_of_targets_and_of_images_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_images(tmp_path / "images", {"cat": 6, "dog": 6})
    assert init(root).exit_code == 0
    shutil.copy(root / "cat/0.png", root / "dog/copy.png")
    (root / "cat/torn.png").write_bytes((root / "cat/1.png").read_bytes()[:-300])
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/odd.yaml").write_text("name: odd\nthreads: none\n", encoding="utf-8")
    words = ("--set", "targets=[host, odd]", "--set", "teacher.width=0.3", "--set", "input.size=8")
    error = plan(root, *words).exception
    assert isinstance(error, ConfigError)
    for part in (
        "group of equal images with different labels",
        "'cat/torn.png': damaged or truncated",
        "teacher.weights: `imagenet` weights exist for width 1.0 only",
        "targets/odd.yaml:2: threads: is 'none'",
    ):
        assert part in error.message


def test_json_of_a_plan_has_the_data_with_the_step_that_indexes_them(tmp_path: Path) -> None:
    root = write_images(tmp_path / "images", {"cat": 6, "dog": 6})
    init(root)
    index, *others = json.loads(plan(root, "--json").stdout)
    assert index["label"] == "index"
    assert index["data"]["facts"]["counts"]["train"] == {"cat": 4, "dog": 4}
    assert index["data"]["sizes"]["smallest"] == [16, 12]
    assert not any("data" in step for step in others)
