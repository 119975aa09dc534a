"""Labelled data that cannot be used as they are: refused in one report, or dropped as requested."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Done = subprocess.CompletedProcess[str]
Edgetl = Callable[..., Done]
Digests = Callable[[Path], dict[str, str]]


def _refused(done: Done) -> str:
    """Return what a refusal for wrong data said, in one paragraph."""
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("edgetl: ")
    assert "\n\n" not in done.stderr
    assert "[" not in done.stdout  # no stage has come to its end
    return done.stderr


def _split(project: Path) -> None:
    """Give the images a train/ val/ test/ of their own: 5, 2 and 3 of each class."""
    for folder in sorted(project.glob("images/*")):
        for number, image in enumerate(sorted(folder.iterdir())):
            split = "train" if number < 5 else "val" if number < 7 else "test"
            place = project / "divided" / split / folder.name / image.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(image, place)
    shutil.rmtree(project / "images")
    (project / "divided").rename(project / "images")


def _first(project: Path, folder: str) -> Path:
    return min((project / "images" / folder).iterdir())


def _text_as_image(project: Path) -> None:
    (project / "images" / "gear" / "torn.jpg").write_text("no image")


def _cut_image(project: Path) -> None:
    image = _first(project, "gear")
    image.write_bytes(image.read_bytes()[:-200])


def _dangling_link(project: Path) -> None:
    (project / "images" / "gear" / "gone.png").symlink_to("nowhere.png")


def _empty_class(project: Path) -> None:
    (project / "images" / "cog").mkdir()


def _case(project: Path) -> None:
    (project / "images" / "Gear").mkdir()
    _first(project, "gear").rename(project / "images" / "Gear" / "other.png")


def _across_splits(project: Path) -> None:
    _split(project)
    shutil.copy(_first(project, "train/gear"), project / "images" / "test" / "gear" / "copy.png")


def _other_label(project: Path) -> None:
    shutil.copy(_first(project, "gear"), project / "images" / "nut" / "copy.png")


def _loose_image(project: Path) -> None:
    shutil.copy(_first(project, "gear"), project / "images" / "loose.png")


def _one_class(project: Path) -> None:
    for folder in list(project.glob("images/*"))[1:]:
        shutil.rmtree(folder)


def _unprintable_class(project: Path) -> None:
    (project / "images" / "gear").rename(project / "images" / "ge\nar")


def _class_that_is_no_text(project: Path) -> None:
    (project / "images" / "gear").rename(project / "images" / os.fsdecode(b"ge\xffar"))


@pytest.mark.parametrize(
    ("spoil", "messages"),
    [
        (_text_as_image, ["gear/torn.jpg", "not an image in a format", "drop: [unreadable]"]),
        (_cut_image, ["1 x unreadable image", "damaged or truncated", "drop: [unreadable]"]),
        (_dangling_link, ["gear/gone.png", "No such file", "drop: [unreadable]"]),
        (_empty_class, ["1 x class without images:\n    cog", "drop: [empty-classes]"]),
        (_case, ["class names that differ only in case", "Gear and gear", "fix the folders"]),
        (_across_splits, ["in several splits", "test/gear/copy.png = train/gear/", "[duplicates]"]),
        (_other_label, ["with different labels", " = nut/copy.png", "drop: [duplicates]"]),
        (_unprintable_class, ["characters that cannot be printed", "'ge\\nar'", "fix the"]),
        (_class_that_is_no_text, ["characters that cannot be printed", "'ge\\udcffar'"]),
        (_loose_image, ["image outside of any class folder", "loose.png", "exclude: [...]"]),
        (_one_class, ["at least two are needed", "fix the folders"]),
    ],
)
def test_unusable_data_are_refused_by_name_with_the_remedy(
    project: Path, edgetl: Edgetl, spoil: Callable[[Path], None], messages: list[str]
) -> None:
    spoil(project)
    few = "name: few\nsplit: train\ncount: 2\nsampling: random\n"
    (project / "calibration" / "few.yaml").write_text(few)
    said = _refused(edgetl(project, "run", "recipe.yaml", "--set", "calibration=few"))
    for message in messages:
        assert message in said


def test_all_problems_are_told_at_once(project: Path, edgetl: Edgetl) -> None:
    for spoil in (_text_as_image, _empty_class, _other_label, _case):
        spoil(project)
    # Without the image that is also a nut, the class is not lost.
    _first(project, "gear").rename(project / "images" / "Gear" / "another.png")
    said = _refused(edgetl(project, "run", "recipe.yaml"))
    for kind in ("unreadable image", "class without images", "different labels", "only in case"):
        assert kind in said
    assert "drop: [duplicates, empty-classes, unreadable]" in said


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["data.path=nowhere"], ["/nowhere' does not exist", "set `data: {path: ...}`"]),
        (["data.path=recipe.yaml"], ["is neither a folder nor a zip"]),
        (["data.path=calibration"], ["no labelled images", "one folder per class"]),
        (["data.exclude=['*.gif']"], ["'*.gif'"]),
        (["data.test=val"], ["`data.test: val` tests on val/", "remove `test: val`"]),
        (["data.val=0"], ["`data.val` is 0", "write a fraction"]),
    ],
)
def test_data_that_cannot_be_listed_are_refused_before_anything_runs(
    project: Path, edgetl: Edgetl, words: list[str], messages: list[str]
) -> None:
    said = _refused(edgetl(project, "plan", "recipe.yaml", "--set", *words))
    for message in messages:
        assert message in said
    assert not list(project.glob(".edgetl/artifacts/*"))


def test_damaged_and_outward_zips_are_refused(project: Path, edgetl: Edgetl) -> None:
    archive = Path(shutil.make_archive(str(project / "parts"), "zip", project / "images"))
    whole = archive.read_bytes()
    (project / "torn.zip").write_bytes(whole[: len(whole) // 2])
    said = _refused(edgetl(project, "run", "recipe.yaml", "--set", "data.path=torn.zip"))
    assert "torn.zip' begins like a zip, but its end is missing" in said
    assert "copy or download it again" in said

    middle = len(whole) // 2
    flipped = bytes([whole[middle] ^ 0xFF])
    (project / "flipped.zip").write_bytes(whole[:middle] + flipped + whole[middle + 1 :])
    said = _refused(edgetl(project, "run", "recipe.yaml", "--set", "data.path=flipped.zip"))
    assert "1 x unreadable image" in said

    with zipfile.ZipFile(project / "outward.zip", "w") as packed:
        packed.writestr("../gear/a.png", b"")
    said = _refused(edgetl(project, "run", "recipe.yaml", "--set", "data.path=outward.zip"))
    assert "leads outside" in said


def test_messy_folder_runs_once_it_may_leave_out_what_is_unusable(
    project: Path, edgetl: Edgetl
) -> None:
    """One run over odd but good images and every kind of bad ones, and what it says of them."""
    _text_as_image(project)
    _empty_class(project)
    _other_label(project)
    for number, name in enumerate(("Zahnr\u00e4der \u2116 5.png", os.fsdecode(b"\xfft.png"))):
        image = sorted((project / "images" / "screw").iterdir())[number]
        image.rename(image.with_name(name))
    colours = _write_odd_images(project / "images" / "gear")
    kinds = "[unreadable, empty-classes, duplicates]"
    settings = (
        f"data.drop={kinds}", "student=null", "distill=null", "finetune.epochs=1", "input.size=32",
        "targets=[fp32]",
    )  # fmt: skip
    (project / "targets" / "fp32.yaml").write_text(
        "name: fp32\ndescription: quick\ndevice: null\nthreads: 1\ncandidates: {onnx: [fp32]}\n"
        "limits: {better_than_guessing: false}\n"
    )
    words = [word for setting in settings for word in ("--set", setting)]
    done = edgetl(project, "run", "recipe.yaml", *words)
    assert done.returncode == 5, done.stderr  # no device
    line = done.stdout.splitlines()[0]
    for part in ("1 unreadable dropped", "1 empty-classes dropped", "2 duplicates dropped"):
        assert part in line

    shown = json.loads(edgetl(project, "show", "recipe.yaml", *words, "--json").stdout)
    index, view = shown["index"], project / shown["view"]["folder"]
    assert index["facts"]["dropped"]["unreadable"] == ["gear/torn.jpg"]
    assert index["facts"]["dropped"]["empty-classes"] == ["cog"]
    assert "nut/copy.png" in index["facts"]["dropped"]["duplicates"]
    images = np.load(view / "images.npy")
    splits = json.loads((view / "index.json").read_text("utf-8"))["splits"]
    names = [row[0] for split in ("train", "val", "test") for row in splits[split]]
    for name, (top, bottom) in colours.items():
        pixels = images[names.index(f"gear/{name}")].astype(int)
        assert np.abs(pixels[2:14] - top).max() <= 4, name  # a JPEG is off by as much
        assert np.abs(pixels[18:30] - bottom).max() <= 4, name


def _write_odd_images(folder: Path) -> dict[str, tuple[tuple[int, int, int], ...]]:
    """Write two-coloured 64 x 64 images in every odd mode; return how halves must look."""
    red, blue, dark, light = (200, 40, 40), (40, 40, 200), (50,) * 3, (180,) * 3
    colour = np.full((64, 64, 3), red, np.uint8)
    colour[32:] = blue
    grey = np.full((64, 64), 50, np.uint8)
    grey[32:] = 180
    rgb = Image.fromarray(colour)

    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    rgb.transpose(Image.Transpose.ROTATE_180).save(
        folder / "exif.jpg", exif=upside_down, quality=100, subsampling=0
    )
    Image.fromarray(grey).save(folder / "grey.png")
    rgb.quantize(4).save(folder / "palette.png")
    alpha = np.dstack([colour, np.full((64, 64), 255, np.uint8)])
    alpha[32:, :, 3] = 0
    Image.fromarray(alpha).save(folder / "alpha.png")
    rgb.convert("CMYK").save(folder / "cmyk.jpg", quality=100, subsampling=0)
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "deep.png")
    rgb.save(folder / "animated.gif", save_all=True, append_images=[rgb.rotate(90)])
    return {
        "exif.jpg": (red, blue),
        "grey.png": (dark, light),
        "palette.png": (red, blue),
        "alpha.png": (red, (255, 255, 255)),
        "cmyk.jpg": (red, blue),
        "deep.png": (dark, light),
        "animated.gif": (red, blue),
    }


_DETECTION = """\
name: boxes
task: detection
data: {path: scenes, val: 0.2, test: 0.3, seed: 0}
input: {size: 64}
teacher: {family: yolox_nano, width: 0.25, weights: none}
finetune: {epochs: 1, warmup_epochs: 0}
calibration: tiny
targets: [host]
"""


@pytest.fixture
def scenes(project: Path, edgetl: Edgetl) -> Path:
    """Return a project with 60 drawn scenes in YOLO files and a recipe, `boxes.yaml`."""
    done = edgetl(project, "generate", "scenes", "--task", "detection", "--images", "60")
    assert done.returncode == 0, done.stderr
    (project / "boxes.yaml").write_text(_DETECTION, encoding="utf-8")
    return project


def _spoil_boxes(project: Path) -> None:
    """Put one of each kind of wrong label among sound ones."""
    labels, images = project / "scenes" / "labels", project / "scenes" / "images"
    for name, text in (
        ("000000", "0 0.5 0.5 0.0 0.1\n"),
        ("000001", "0 0.9 0.5 0.4 0.1\n"),
        ("000002", "0 0.5 0.5 0.1\n"),
        ("000003", "9 0.5 0.5 0.1 0.1\n"),
        ("000004", "0 2.0 0.5 0.1 0.1\n"),
    ):
        with (labels / f"{name}.txt").open("a", encoding="utf-8") as file:
            file.write(text)
    (labels / "000005.txt").unlink()
    (images / "000006.jpg").unlink()


def test_wrong_boxes_are_refused_by_name_with_the_remedy(scenes: Path, edgetl: Edgetl) -> None:
    _spoil_boxes(scenes)
    said = _refused(edgetl(scenes, "run", "boxes.yaml"))
    for message in (
        "1 x box without area:\n    labels/000000.txt:",
        "1 x box that reaches beyond its image:\n    labels/000001.txt:",
        "2 x broken label line:\n    labels/000002.txt:",
        "has 4 columns; expected class, centre x",
        "there is no class 9; 6 are named, from 0 to 5",
        "1 x box outside of its image:\n    labels/000004.txt:",
        "1 x image without labels:\n    images/000005.jpg",
        "1 x labels without an image:\n    labels/000006.txt",
        "drop: [bad-boxes, bad-labels, stray-labels, unlabelled]",
        "repair: [clip-boxes]",
        "accept: [background]",
    ):
        assert message in said


def test_boxes_and_folders_are_not_taken_for_each_other(scenes: Path, edgetl: Edgetl) -> None:
    said = _refused(edgetl(scenes, "plan", "boxes.yaml", "--set", "task=classification"))
    assert "have labelled boxes (yolo), but the task is classification" in said
    said = _refused(edgetl(scenes, "plan", "boxes.yaml", "--set", "data.path=images"))
    assert "no labelled boxes" in said
    assert "write `task: classification`" in said
