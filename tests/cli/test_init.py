"""`edgetl init` where the files have several layouts, or some that must be ignored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgetl.cli import edgetl
from edgetl.errors import DataError

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
