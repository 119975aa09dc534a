"""The layout that a recipe states, and what planning finds wrong in labels of classes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetl.errors import DataError
from edgetl.facts.dataset import DatasetFacts
from edgetl.stages.index import STAGE
from edgetl.types import Split


def encoded(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Write eight images of each of two shapes; a table names their colours instead."""
    rows = ["file,label"]
    for number, shape in enumerate(("round", "square")):
        folder = tmp_path / "images" / shape
        folder.mkdir(parents=True)
        for k in range(8):
            (folder / f"{shape}{k}.png").write_bytes(encoded(100 * number + k))
            rows.append(f"{shape}{k}.png,{('red', 'green')[k % 2]}")
    (tmp_path / "images" / "colours.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path / "images"


def problems(bench: Any, **data: Any) -> list[tuple[str, str]]:
    job = bench.job(data={"path": "images", **data})
    return [(problem.where, problem.what) for problem in STAGE.check(job)]


@pytest.mark.parametrize(
    ("layout", "classes"),
    [("folder", ("round", "square")), ("csv_classes", ("green", "red"))],
)
def test_stated_layout_decides_on_the_classes(
    bench: Any, images: Path, layout: str, classes: tuple[str, ...]
) -> None:
    assert images.is_dir()
    with pytest.raises(DataError, match="have several layouts: csv_classes, folder"):
        problems(bench)
    assert problems(bench, layout=layout) == []
    job = bench.job(data={"path": "images", "layout": layout})
    (node,) = STAGE.plan(job, {})
    facts = bench.run(node, {}).read(DatasetFacts)
    assert facts.classes == classes
    assert sum(facts.images.values()) == 16
    assert STAGE.plugins(node.settings, {}).keys() >= {f"data layout {layout}"}


def test_evaluation_may_have_another_layout(bench: Any, images: Path) -> None:
    there = bench.root / "there"
    there.mkdir()
    rows = "\n".join(f"{k}.png,{('round', 'square')[k % 2]}" for k in range(4))
    (there / "x.csv").write_text(f"file,label\n{rows}\n", encoding="utf-8")
    for k in range(4):
        (there / f"{k}.png").write_bytes(encoded(900 + k))
    tables = {"evaluation": {"path": "there", "layout": "csv_classes"}}
    job = bench.job(data={"path": str(images), "layout": "folder"}, **tables)
    assert list(STAGE.check(job)) == []
    data, evaluation = STAGE.plan(job, {})
    layouts = [STAGE.plugins(node.settings, {}) for node in (data, evaluation)]
    assert "data layout folder" in layouts[0]
    assert "data layout csv_classes" in layouts[1]
    facts = bench.run(evaluation, {"data": bench.run(data, {})}).read(DatasetFacts)
    assert facts.counts[Split.TEST] == {"round": 2, "square": 2}


def test_unknown_layout_is_a_problem_of_its_key(bench: Any, images: Path) -> None:
    assert images.is_dir()
    ((where, what),) = problems(bench, layout="foldr")
    assert where == "data.layout"
    assert what.startswith("unknown data layout 'foldr'. Did you mean 'folder'? Known: coco, ")
    job = bench.job(data={"path": "images"}, evaluation={"path": "there", "layout": "x"})
    assert [problem.where for problem in STAGE.check(job)] == ["evaluation.layout"]


def test_lines_without_an_image_are_found_by_planning_unless_dropped(
    bench: Any, images: Path
) -> None:
    with (images / "colours.csv").open("a", encoding="utf-8") as table:
        table.write("\ngone.png,red\n")
    ((where, what),) = problems(bench, layout="csv_classes")
    assert where == "data.path"
    assert "1 x labels without an image:\n    colours.csv:18: there is no image 'gone.png'" in what
    assert "drop them with `data: {drop: [stray-labels]}`" in what
    assert problems(bench, layout="csv_classes", drop=["stray-labels"]) == []
    job = bench.job(data={"path": "images", "layout": "csv_classes", "drop": ["stray-labels"]})
    facts = bench.run(STAGE.plan(job, {})[0], {}).read(DatasetFacts)
    assert facts.dropped == {"stray-labels": ("colours.csv:18: there is no image 'gone.png'",)}


def test_images_without_a_class_are_found_by_planning_with_their_folder(
    bench: Any, images: Path
) -> None:
    (images / "new").mkdir()
    (images / "new" / "1.png").write_bytes(encoded(77))
    ((_, what),) = problems(bench, layout="csv_classes")
    assert "1 x image without a class in `label` of colours.csv:\n    new/1.png" in what
    assert "add its class, or exclude it with `data: {exclude: ['new/*']}`" in what
    assert problems(bench, layout="csv_classes", exclude=["new/*"]) == []


def test_image_with_two_classes_is_found_by_planning(bench: Any, images: Path) -> None:
    with (images / "colours.csv").open("a", encoding="utf-8") as table:
        table.write("\nround0.png,green\n")
    ((_, what),) = problems(bench, layout="csv_classes")
    assert (
        "1 x image with several classes:\n    colours.csv:18: round/round0.png is 'green', " in what
    )
    assert "give each image one class" in what


def test_single_class_is_found_by_planning(bench: Any, images: Path) -> None:
    ((_, what),) = problems(bench, layout="folder", exclude=["square/*"])
    assert "1 x class, but at least two are needed:\n    round" in what
    assert images.is_dir()


def test_images_without_a_class_in_a_table_are_named_and_may_be_dropped(
    bench: Any, images: Path
) -> None:
    for k in range(8):  # of a test set without labels
        (images / "round" / f"unknown{k}.png").write_bytes(encoded(300 + k))
    ((_, what),) = problems(bench, layout="csv_classes")
    assert "8 x image without a class in `label` of colours.csv:" in what
    assert what.endswith(
        "add its class, or exclude it with `data: {exclude: [...]}`; drop them with "
        "`data: {drop: [unlabelled]}`"
    )
    data = {"path": "images", "layout": "csv_classes", "drop": ["unlabelled"]}
    job = bench.job(data=data)
    assert list(STAGE.check(job)) == []
    facts = bench.run(STAGE.plan(job, {})[0], {}).read(DatasetFacts)
    assert sum(facts.images.values()) == 16
    assert facts.dropped == {"unlabelled": tuple(f"round/unknown{k}.png" for k in range(8))}


def test_boxes_of_turned_images_are_doubtful_where_labels_state_no_size(bench: Any) -> None:
    folder = bench.root / "boxes"
    (folder / "labels").mkdir(parents=True)
    (folder / "images").mkdir()
    (folder / "data.yaml").write_text("names: [nut]\n", encoding="utf-8")
    turned = Image.Exif()
    turned[0x0112] = 6
    for k in range(12):
        pixels = np.random.default_rng(k).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"images/{k:02}.jpg", exif=turned if k < 2 else b"")
        (folder / f"labels/{k:02}.txt").write_text("0 .7 .5 .2 .3", encoding="utf-8")

    def notes(**data: Any) -> list[str]:
        job = bench.job(task="detection", data={"path": "boxes", **data})
        bench.told.notes.clear()
        bench.run(STAGE.plan(job, {})[0], {})
        return list(bench.told.notes)

    expected = (
        "2 images are turned upright by their EXIF orientation, and their labels do not state a "
        "size: images/00.jpg, images/01.jpg; if the boxes were drawn on the pixels as stored, "
        "write `data: {repair: [turn-boxes]}`"
    )
    assert notes() == [expected]
    assert notes(repair=["turn-boxes"]) == []


def test_images_that_look_like_one_of_another_split_are_counted_and_named(bench: Any) -> None:
    for label in range(2):
        for k in range(3):
            draw = np.random.default_rng(10 * label + k)
            small = Image.fromarray(draw.integers(0, 256, (6, 8, 3), np.uint8))
            for split, quality in (("train", 95), ("test", 70)):
                other = small if k < 2 or split == "train" else small.rotate(90)
                path = bench.root / "scenes" / split / str(label) / f"{split}{k}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                other.resize((96, 72), Image.Resampling.BICUBIC).save(path, quality=quality)
    job = bench.job(data={"path": "scenes", "val": 0.34})
    facts = bench.run(STAGE.plan(job, {})[0], {}).read(DatasetFacts)
    assert facts.near_copies == 4
    (note,) = [note for note in bench.told.notes if "almost" in note]
    assert note.startswith(
        "4 images look almost like one of another split, so that measured accuracy may be too "
        "high: test/0/test0.jpg like train/0/train0.jpg, test/0/test1.jpg like"
    )
    assert note.endswith("in one split with `data: {group: ...}`, or exclude them")
