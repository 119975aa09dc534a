"""The index stage on labelled boxes: what it stores, refuses, leaves out, repairs and counts."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetl.data.dataset import Dataset, DatasetIndex
from edgetl.data.synthetic.parts import CLASSES
from edgetl.data.synthetic.scenes import make_scene
from edgetl.errors import DataError
from edgetl.runtime.preprocess import fit_image
from edgetl.stages import Job
from edgetl.stages.index import STAGE
from edgetl.stages.view import STAGE as VIEW
from edgetl.store.store import Artifact
from edgetl.types import Split

NAMES = "names: [nut, Zahnr\u00e4der 8]\n"
BOTH = "0 0.5 0.5 0.5 0.5\n1 0.25 0.25 0.5 0.5\n"


def image(seed: int, height: int = 24, width: int = 32, **save: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, save.pop("format", "PNG"), **save)
    return stream.getvalue()


def write(root: Path, files: dict[str, bytes | str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def sound(root: Path) -> Path:
    """Write two images with both classes into each split."""
    write(root, {"data.yaml": NAMES})
    for number, split in enumerate(Split):
        for k in range(2):
            write(
                root,
                {
                    f"images/{split}/{k}.png": image(10 * number + k),
                    f"labels/{split}/{k}.txt": BOTH,
                },
            )
    return root


def make(bench: Any, *, size: int = 32, name: str = "", **data: Any) -> Artifact:
    (node,) = STAGE.plan(job_of(bench, size=size, **data), {})
    made: Artifact = bench.run(node, {}, name)
    return made


def job_of(bench: Any, *, size: int = 32, **data: Any) -> Job:
    job: Job = bench.job(
        task="detection", data={"path": "parts", **data}, input={"size": size, "fit": "letterbox"}
    )
    return job


def test_boxes_image_sizes_and_counts_are_stored(bench: Any, tmp_path: Path) -> None:
    root = sound(tmp_path / "parts")
    many = "".join(f"0 {0.1 + 0.0015 * k:.4f} 0.5 0.1 0.1\n" for k in range(500))
    write(
        root,
        {
            "images/train/long.png": image(50, 1, 4000),
            "labels/train/long.txt": "1 0.5 0.5 0.25 1\n",
            "images/train/empty image.png": image(51),
            "labels/train/empty image.txt": "",
            "images/train/many.png": image(52, 100, 50),
            "labels/train/many.txt": many,
            "notes.md": "hello",
        },
    )
    made, view = bench.viewed(job_of(bench))
    dataset = Dataset.open(view.folder)
    assert dataset.classes == ("nut", "Zahnr\u00e4der 8")
    assert dataset.names(Split.TRAIN) == tuple(
        f"images/train/{name}.png" for name in ("0", "1", "empty image", "long", "many")
    )
    assert dataset.image_sizes(Split.TRAIN).tolist() == [
        [24, 32],
        [24, 32],
        [24, 32],
        [1, 4000],
        [100, 50],
    ]
    first, _, empty, long, full = dataset.truths(Split.TRAIN)
    # Of 32 x 24 pixels: the middle half, and the upper left quarter.
    assert first.boxes.tolist() == [[8, 6, 24, 18], [0, 0, 16, 12]]
    assert first.labels.tolist() == [0, 1]
    assert empty.boxes.shape == (0, 4)
    assert long.boxes.tolist() == [[1500, 0, 2500, 1]]
    assert full.boxes.shape == (500, 4)
    # 506 nuts but 7 wheels: a wheel is the rarest on every image that has one; 2 means no box.
    assert dataset.labels(Split.TRAIN).tolist() == [1, 1, 2, 1, 0]
    facts = made.manifest.facts
    assert facts["images"] == {"train": 5, "val": 2, "test": 2}
    assert facts["boxes"]["train"] == {"nut": 502, "Zahnr\u00e4der 8": 3}
    assert facts["backgrounds"] == {"train": 1, "val": 0, "test": 0}
    assert facts["repaired"] == facts["dropped"] == {}
    # The input is 32 px wide: of `long` a 128th is left, of the boxes on `many` 1.6 px.
    assert view.manifest.facts["too_small"] == {"train": 501, "val": 0, "test": 0}
    assert bench.told.notes == [
        "1 file that is not an image: notes.md",
        "501 of 513 boxes are under 2 px at input 32: raise `input.size`",
    ]
    summary = STAGE.summary(STAGE.facts.model_validate(facts))
    assert summary == "9 images, 513 boxes, 2 classes (train 5, val 2, test 2)"
    assert VIEW.summarise(view) == (
        "9 images at 32 px, letterbox, 0.0 MiB; 501 of 513 boxes too small to be learnt"
    )


def test_rerun_gives_the_same_bytes(bench: Any, tmp_path: Path) -> None:
    sound(tmp_path / "parts")
    one, two = make(bench, name="1"), make(bench, name="2")
    assert set(one.manifest.files) == {"annotations.npz", "index.json"}
    assert one.manifest.files == two.manifest.files
    assert one.manifest.digest == two.manifest.digest


def test_key_changes_with_labels_and_what_is_allowed(bench: Any, tmp_path: Path) -> None:
    root = sound(tmp_path / "parts")

    def key(**data: Any) -> dict[str, Any]:
        fields = {"data": {"path": "parts", **data}}
        (node,) = STAGE.plan(bench.job(task="detection", **fields), {})
        settings: dict[str, Any] = node.settings.model_dump(mode="json")
        return settings

    keys = [
        key(),
        key(repair=["clip-boxes"]),
        key(accept=["background"]),
        key(drop=["bad-boxes"]),
    ]
    write(root, {"labels/train/0.txt": BOTH + "1 0.5 0.5 0.1 0.1\n"})
    keys.append(key())
    write(root, {"data.yaml": NAMES.replace("nut", "bolt")})
    keys.append(key())
    assert len({json.dumps(one) for one in keys}) == 6


def test_image_that_exif_turns_has_its_upright_size(bench: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    root = sound(tmp_path / "parts")
    write(root, {"images/val/0.png": image(70, format="JPEG", exif=exif)})
    dataset = DatasetIndex.read(make(bench).folder)
    assert dataset.image_sizes(Split.VAL).tolist() == [[32, 24], [24, 32]]
    # The middle half of 24 x 32.
    assert dataset.truths(Split.VAL)[0].boxes[0].tolist() == [6, 8, 18, 24]


def test_boxes_of_an_image_that_exif_turns_are_turned_on_request(
    bench: Any, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    root = sound(tmp_path / "parts")
    write(root, {"images/val/0.png": image(70, format="JPEG", exif=exif)})
    artifact = make(bench, repair=["turn-boxes"])
    # At the top left of the stored 24 x 32, half of each side; turned clockwise.
    dataset = DatasetIndex.read(artifact.folder)
    assert dataset.truths(Split.VAL)[0].boxes.tolist() == [[6, 8, 18, 24], [12, 0, 24, 16]]
    assert dataset.truths(Split.VAL)[1].boxes.tolist() == [[8, 6, 24, 18], [0, 0, 16, 12]]
    assert artifact.manifest.facts["repaired"] == {"turn-boxes": 2}


@pytest.mark.parametrize(
    ("orientation", "reason", "remedy"),
    [
        (6, "they match the image before its EXIF orientation is applied", "turn-boxes"),
        (None, "and no EXIF orientation explains it", "swap-sizes"),
    ],
    ids=["exif", "no exif"],
)
def test_exchanged_size_is_blamed_on_exif_only_if_there_is_some(
    bench: Any, tmp_path: Path, orientation: int | None, reason: str, remedy: str
) -> None:
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    labels = (
        "<annotation><filename>{name}.jpg</filename><size><width>{width}</width><height>{height}"
        "</height></size><object><name>nut</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>20"
        "</xmax><ymax>20</ymax></bndbox></object></annotation>"
    )
    for k in range(10):
        upright = (32, 24) if orientation else (24, 32)
        height, width = upright[::-1] if k == 0 else upright
        text = labels.format(name=k, width=width, height=height)
        write(
            tmp_path / "parts",
            {f"{k}.jpg": image(k, format="JPEG", exif=exif), f"{k}.xml": text},
        )
    with pytest.raises(DataError, match=f"1 x image of another size .*\n.*{reason}") as caught:
        make(bench)
    assert caught.value.remedy == (
        "drop them with `data: {drop: [wrong-sizes]}`; repair them with "
        f"`data: {{repair: [{remedy}]}}`"
    )
    repaired = make(bench, repair=[remedy]).manifest.facts["repaired"]
    # Nine other labels state the upright size, so they are of it.
    assert repaired == {remedy: 1}


def test_image_whose_header_hides_its_orientation_is_refused(bench: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    body = exif.tobytes().removeprefix(b"Exif\x00\x00")
    chunk = b"eXIf" + body
    late = struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    plain = image(70)
    root = sound(tmp_path / "parts")
    write(root, {"images/val/0.png": plain[:-12] + late + plain[-12:]})  # before the last chunk
    with pytest.raises(DataError, match=r"'images/val/0\.png': its header states another size"):
        make(bench)


FILES: dict[str, bytes | str] = {
    "images/train/zero.png": image(80), "labels/train/zero.txt": BOTH + "1 0.5 0.5 0.0 0.1\n",
    "images/train/out.png": image(81), "labels/train/out.txt": BOTH + "0 1.5 0.5 0.1 0.1\n",
    "images/train/over.png": image(82), "labels/train/over.txt": "0 0.9 0.5 0.4 0.2\n",
    "images/train/twice.png": image(83), "labels/train/twice.txt": BOTH + BOTH[:18],
    "images/train/line.png": image(84), "labels/train/line.txt": BOTH + "\nfive\n",
    "images/train/class.png": image(85), "labels/train/class.txt": "7 0.5 0.5 0.5 0.5\n",
    "images/train/bare.png": image(86),
    "labels/train/stray.txt": BOTH,
    "images/train/torn.png": b"no image", "labels/train/torn.txt": BOTH,
}  # fmt: skip


def test_everything_that_is_wrong_is_in_one_report(bench: Any, tmp_path: Path) -> None:
    write(sound(tmp_path / "parts"), FILES)
    with pytest.raises(DataError, match="parts' cannot be used as they are") as caught:
        make(bench)
    for part in (
        "1 x box without area:\n    labels/train/zero.txt:3: Zahnr\u00e4der 8 at 16 10.8 16 13.2",
        "1 x box outside of its image:\n    labels/train/out.txt:3: nut at 46.4 10.8 49.6 13.2 of",
        "1 x box that reaches beyond its image:\n    labels/train/over.txt:1: nut at 22.4 9.6 35.2",
        "1 x box that repeats another:\n    labels/train/twice.txt:3 = labels/train/twice.txt:1",
        "2 x broken label line:\n    labels/train/class.txt:1: there is no class 7",
        "    labels/train/line.txt:4: has 1 column; expected class, centre x",
        "1 x image without labels:\n    images/train/bare.png",
        "1 x labels without an image:\n    labels/train/stray.txt",
        "1 x unreadable image:\n    cannot read image 'images/train/torn.png'",
    ):
        assert part in caught.value.message
    assert caught.value.remedy == (
        "drop them with `data: {drop: [bad-boxes, bad-labels, repeated-boxes, "
        "stray-labels, unlabelled, unreadable]}`; repair them with `data: {repair: "
        "[clip-boxes]}`; if intended, write `data: {accept: [background]}`"
    )


def test_what_the_recipe_allows_is_left_out_repaired_and_counted(
    bench: Any, tmp_path: Path
) -> None:
    write(sound(tmp_path / "parts"), FILES)
    made = make(
        bench,
        drop=["bad-boxes", "bad-labels", "repeated-boxes", "stray-labels", "unreadable"],
        repair=["clip-boxes"],
        accept=["background"],
    )
    facts = made.manifest.facts
    assert facts["dropped"] == {
        "bad-boxes": ["labels/train/out.txt:3", "labels/train/zero.txt:3"],
        "bad-labels": ["images/train/class.png", "images/train/line.png"],
        "repeated-boxes": ["labels/train/twice.txt:3"],
        "stray-labels": ["labels/train/stray.txt"],
        "unreadable": ["images/train/torn.png"],
    }
    assert facts["repaired"] == {"clip-boxes": 1}
    assert facts["backgrounds"]["train"] == 1
    assert STAGE.summary(STAGE.facts.model_validate(facts)).endswith(
        "1 unreadable dropped; 1 stray-labels dropped; 2 bad-labels dropped; 2 bad-boxes dropped; "
        "1 repeated-boxes dropped; 1 repaired by clip-boxes"
    )
    dataset = DatasetIndex.read(made.folder)
    names = [item.name for item in dataset.items[Split.TRAIN]]
    truths = dict(zip(names, dataset.truths(Split.TRAIN), strict=True))
    assert truths["images/train/bare.png"].boxes.shape == (0, 4)
    over = truths["images/train/over.png"].boxes
    np.testing.assert_allclose(over, [[22.4, 9.6, 32, 14.4]], rtol=1e-6)
    assert len(truths["images/train/zero.png"].boxes) == 2


def test_one_class_is_enough_and_none_is_refused(bench: Any, tmp_path: Path) -> None:
    root = tmp_path / "parts"
    for k in range(6):
        write(root, {f"images/{k}.png": image(k), f"labels/{k}.txt": "0 0.5 0.5 0.5 0.5\n"})
    write(root, {"data.yaml": "names: [nut]\n"})
    facts = make(bench, val=0.2, test=0.2).manifest.facts
    assert (
        STAGE.summary(STAGE.facts.model_validate(facts))
        == "6 images, 6 boxes, 1 class (train 4, val 1, test 1)"
    )


def test_classes_that_a_split_lacks_are_refused_or_accepted(bench: Any, tmp_path: Path) -> None:
    root = sound(tmp_path / "parts")
    for k in range(2):
        write(root, {f"labels/val/{k}.txt": BOTH[:18]})
    write(root, {"data.yaml": "names: [nut, gear, bolt]\n"})
    with pytest.raises(DataError, match=r"1 x class without boxes:\n    bolt") as caught:
        make(bench)
    assert "class that a split lacks:\n    gear (4 images): none in val" in caught.value.message
    assert "`data: {accept: [missing-classes]}`" in caught.value.remedy
    assert caught.value.remedy.startswith("drop them with `data: {drop: [empty-classes]")
    with pytest.raises(DataError, match=r"1 x class without boxes:\n    bolt\n  drop") as caught:
        make(bench, accept=["missing-classes"])
    assert caught.value.remedy == "drop them with `data: {drop: [empty-classes]}`"
    both: dict[str, Any] = {"accept": ["missing-classes"], "drop": ["empty-classes"]}
    assert DatasetIndex.read(make(bench, **both).folder).classes == ("nut", "gear")
    write(root, {"labels/val/0.txt": BOTH})
    gone = DatasetIndex.read(make(bench, drop=["empty-classes"]).folder)
    assert gone.classes == ("nut", "gear")


def test_equal_images_with_different_boxes_keep_one_copy(bench: Any, tmp_path: Path) -> None:
    root = sound(tmp_path / "parts")
    write(root, {"images/train/copy.png": image(0), "labels/train/copy.txt": BOTH})
    assert make(bench).manifest.facts["duplicates"] == 1
    moved = BOTH.replace("0.25 0.25", "0.30 0.30")
    write(root, {"labels/train/copy.txt": moved})
    what = r"equal images with different boxes:\n    images/train/0\.png = images/train/copy\.png"
    with pytest.raises(DataError, match=what):
        make(bench)
    facts = make(bench, drop=["duplicates"]).manifest.facts
    assert facts["dropped"] == {"duplicates": ["images/train/copy.png"]}
    write(root, {"labels/train/copy.txt": BOTH[:18]})
    with pytest.raises(DataError, match="equal images with different labels"):
        make(bench)


def test_images_without_splits_are_divided_by_their_rarest_class(
    bench: Any, tmp_path: Path
) -> None:
    root = tmp_path / "parts"
    write(root, {"data.yaml": NAMES})
    for k in range(50):
        # Ten of fifty images show both classes, and every fifth of the others nothing.
        text = BOTH if k < 10 else "" if k % 5 == 0 else BOTH[:18]
        write(root, {f"images/{k}.png": image(k), f"labels/{k}.txt": text})
    facts = make(bench, val=0.2, test=0.2).manifest.facts
    wheels = {split: counts["Zahnr\u00e4der 8"] for split, counts in facts["boxes"].items()}
    assert wheels == {"train": 6, "val": 2, "test": 2}
    assert facts["backgrounds"] == {"train": 4, "val": 2, "test": 2}
    assert facts["images"] == {"train": 30, "val": 10, "test": 10}


def test_drawn_scenes_need_no_files(bench: Any) -> None:
    drawn: dict[str, Any] = {"path": None, "synthetic": {"images": 120, "seed": 3}}
    made, view = bench.viewed(job_of(bench, size=64, **drawn))
    dataset = Dataset.open(view.folder)
    assert dataset.classes == CLASSES
    assert sum(made.manifest.facts["backgrounds"].values()) == 6
    for split in Split:
        assert min(made.manifest.facts["boxes"][split].values()) > 0
        row = len(dataset.names(split)) // 2
        scene = make_scene(int(dataset.names(split)[row]), 3)
        truth = dataset.truths(split)[row]
        np.testing.assert_array_equal(truth.boxes, scene.boxes)
        np.testing.assert_array_equal(truth.labels, scene.labels)
        expected = fit_image(scene.pixels, dataset.preprocess)
        np.testing.assert_array_equal(dataset.images(split)[row], expected)


def test_planned_number_of_images_is_what_the_split_gets(bench: Any, tmp_path: Path) -> None:
    job = bench.job(task="detection", data={"synthetic": {"images": 120}})
    assert list(STAGE.check(job)) == []
    made = make(bench, path=None, synthetic={"images": 120})
    train = made.manifest.facts["images"]["train"]
    wanted = job.calibration.model_copy(update={"count": train + 1})
    (problem,) = STAGE.check(replace(job, calibration=wanted))
    assert f"train split, which has {train}" in problem.what
    assert tmp_path.is_dir()


def test_planning_boxes_imports_neither_numpy_nor_pillow(tmp_path: Path) -> None:
    root = sound(tmp_path / "parts")
    code = f"""
import sys
from pathlib import Path
from edgetl.config.recipe import SyntheticData
from edgetl.data.image_sets import open_images
from edgetl.tasks import TASKS
import edgetl.stages.index
for path in (Path({str(root)!r}), None):
    with open_images(path, SyntheticData(), (), TASKS.load("detection").data) as images:
        images.digest(lambda path: "0")
print([name for name in ("numpy", "PIL", "pycocotools", "torch") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
