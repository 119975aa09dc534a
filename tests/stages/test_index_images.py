"""Images that show nothing, and sets of 16-bit images with different depths, are refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from edgetl.cli import edgetl
from edgetl.errors import DataError
from edgetl.facts.dataset import DatasetFacts
from edgetl.stages.index import STAGE
from edgetl.types import Role


def picture(seed: int, size: tuple[int, int] = (20, 30)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write eight images of each of two classes."""
    for number, label in enumerate(("gear", "nut")):
        (tmp_path / "images" / label).mkdir(parents=True)
        for k in range(8):
            picture(100 * number + k).save(tmp_path / f"images/{label}/{k}.png")
    return tmp_path / "images"


def index(bench: Any, **data: Any) -> DatasetFacts:
    job = bench.job(data={"path": "images", **data})
    facts: DatasetFacts = bench.run(STAGE.plan(job, {})[0], {}).read(DatasetFacts)
    return facts


def problem(bench: Any, **data: Any) -> str:
    """Return what a plan says of the data, which a run says in the same words."""
    problems = STAGE.inspect(bench.job(data={"path": "images", **data}), bench.told).problems
    with pytest.raises(DataError, match=r"cannot be used as they are") as caught:
        index(bench, **data)
    assert [each.what for each in problems] == [str(caught.value)]
    return str(caught.value)


def white_shape() -> Image.Image:
    """Return a white square on a transparent background, as icons often are."""
    image = Image.new("RGBA", (20, 30), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (5, 5, 15, 15))
    return image


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image.new("RGB", (1, 1)), "it has 1 x 1 pixels"),
        (Image.new("RGB", (300, 3)), "it has 300 x 3 pixels"),
        (Image.new("RGBA", (20, 30), (9, 9, 9, 0)), "every pixel is transparent"),
        (Image.new("LA", (20, 30), (9, 0)), "every pixel is transparent"),
        (white_shape(), "it is white on a transparent background, which is decoded to white"),
    ],
    ids=["1 x 1", "strip", "transparent", "transparent grey", "white icon"],
)
def test_image_that_shows_nothing_is_refused_or_dropped(
    bench: Any, root: Path, image: Image.Image, reason: str
) -> None:
    image.save(root / "gear/a.png")
    message = problem(bench)
    assert f"1 x unreadable image:\n    image 'gear/a.png' shows nothing: {reason}\n" in message
    assert message.endswith("drop them with `data: {drop: [unreadable]}`")
    facts = index(bench, drop=["unreadable"])
    assert facts.dropped == {"unreadable": ("gear/a.png",)}
    assert sum(facts.images.values()) == 16


@pytest.mark.parametrize(
    "image",
    [
        picture(5, (1, 4000)),
        picture(5, (8, 8)),
        Image.new("RGBA", (20, 30), (9, 9, 9, 255)),
        Image.new("RGBA", (20, 30), (9, 9, 9, 40)),
    ],
    ids=["long", "8 x 8", "opaque", "faint"],
)
def test_unusual_image_that_shows_something_is_taken(
    bench: Any, root: Path, image: Image.Image
) -> None:
    image.save(root / "gear/a.png")
    assert sum(index(bench).images.values()) == 17


def test_set_of_tiny_images_is_taken(bench: Any, tmp_path: Path) -> None:
    for number, label in enumerate(("gear", "nut")):
        (tmp_path / "images" / label).mkdir(parents=True)
        for k in range(8):
            picture(100 * number + k, (6, 6)).save(tmp_path / f"images/{label}/{k}.png")
    assert sum(index(bench).images.values()) == 16


def test_tiny_image_of_another_role_is_refused(bench: Any, root: Path, tmp_path: Path) -> None:
    (tmp_path / "camera").mkdir()
    for k in range(5):
        picture(1000 + k, (20, 30) if k else (1, 1)).save(tmp_path / f"camera/{k}.png")
    assert root.is_dir()
    job = bench.job(data={"path": "images"}, unlabelled={"path": "camera"})
    (problem,) = STAGE.inspect(job, bench.told).problems
    assert problem.where == "unlabelled.path"
    assert "image '0.png' shows nothing: it has 1 x 1 pixels" in problem.what


def test_init_names_tiny_images(root: Path) -> None:
    picture(77, (1, 1)).save(root / "gear/a.png")
    output = CliRunner().invoke(edgetl, ["init", str(root)]).output
    assert (
        "1 image is too small to show anything: gear/a.png (1 x 1); drop such images with "
        "`data: {drop: [unreadable]}`\n" in output
    )


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_image_of_one_colour_is_named(bench: Any, root: Path, suffix: str) -> None:
    Image.new("RGB", (200, 300)).save(root / f"gear/black.{suffix}")
    (overview,) = STAGE.inspect(bench.job(data={"path": "images"}), bench.told).overviews
    (note,) = overview.notes
    assert note == (
        f"1 image is of a single colour: gear/black.{suffix}; exclude what shows nothing with "
        "`data: {exclude: [...]}`"
    )


def save_deep(path: Path, seed: int, highest: int) -> None:
    """Save grey levels of 16 bits with this highest one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, highest, (20, 30)).astype(np.uint16)
    values[0, 0] = highest
    Image.fromarray(values).save(path)


def save_deep_colours(path: Path, seed: int, highest: int) -> None:
    """Save a PNG with 16 bits per colour, which Pillow does not write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, highest, (20, 30, 3)).astype(">u2")
    values[0, 0] = highest
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 30, 20, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in values))),
        (b"IEND", b""),
    )
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in parts
        )
    )


@pytest.mark.parametrize("save", [save_deep, save_deep_colours], ids=["grey", "colours"])
def test_class_with_fewer_bits_than_the_other_is_refused(
    bench: Any, tmp_path: Path, save: Callable[[Path, int, int], None]
) -> None:
    for k in range(8):
        save(tmp_path / f"images/gear/{k}.png", k, 4095)
        save(tmp_path / f"images/nut/{k}.png", 100 + k, 65535)
    message = problem(bench)
    assert (
        "1 x class of 16-bit images with fewer bits than the others, so that it is decoded "
        "darker:\n    gear: at most 4,095 in 8 images, 12 instead of 16 bits\n" in message
    )
    assert "multiply the values of these images (gear by 16), so that all use the same" in message
    assert message.endswith("if intended, write `data: {accept: [unused-bits]}`")
    assert sum(index(bench, accept=["unused-bits"]).images.values()) == 16


def test_split_with_fewer_bits_than_the_others_is_refused(bench: Any, tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "val", "test")):
        for label in ("gear", "nut"):
            for k in range(5):
                where = tmp_path / f"images/{split}/{label}/{k}.png"
                save_deep(
                    where, 20 * seed + 10 * (label == "nut") + k, 1000 if split == "test" else 60000
                )
    assert "2 x folder of 16-bit images with fewer bits than the others" in problem(bench)


def test_unlabelled_images_with_few_bits_are_noted(bench: Any, root: Path, tmp_path: Path) -> None:
    for k in range(5):
        save_deep(tmp_path / f"camera/{k}.png", k, 4095)
    assert root.is_dir()
    job = bench.job(data={"path": "images"}, unlabelled={"path": "camera"})
    _, unlabelled = STAGE.inspect(job, bench.told).overviews
    assert unlabelled.facts.role is Role.UNLABELLED
    (note,) = unlabelled.notes
    assert note.startswith("5 x 16-bit image of a set that uses only 12 bits")


def test_colours_with_all_bits_are_taken(bench: Any, tmp_path: Path) -> None:
    for label in ("gear", "nut"):
        for k in range(5):
            save_deep_colours(tmp_path / f"images/{label}/{k}.png", k + 9 * (label == "nut"), 65535)
    assert sum(index(bench).images.values()) == 10


@pytest.mark.parametrize(
    ("form", "note"),
    [
        ("grey.png", "the colour alone tells {}: 'gear' by colours, 'nut' by grey images; a"),
        ("colours.jpg", "the file format alone tells {}: 'gear' by PNG, 'nut' by JPEG; a"),
        ("large.png", "the image size alone tells {}: 'gear' by 30 x 20, 'nut' by 60 x 40; a"),
    ],
    ids=["grey", "format", "size"],
)
def test_class_that_something_besides_its_content_tells_is_remarked(
    bench: Any, root: Path, form: str, note: str
) -> None:
    kind, suffix = form.split(".")
    for k in range(8):
        (root / f"nut/{k}.png").unlink()
        image = picture(500 + k, (40, 60) if kind == "large" else (20, 30))
        image.convert("L" if kind == "grey" else "RGB").save(root / f"nut/{k}.{suffix}")
    (overview,) = STAGE.inspect(bench.job(data={"path": "images"}), bench.told).overviews
    (only,) = overview.notes
    assert only.startswith(note.format("classes from the others"))


@pytest.mark.parametrize("suffix", ["tif", "gif"])
def test_files_with_several_frames_are_named(bench: Any, root: Path, suffix: str) -> None:
    frames = [picture(900 + k) for k in range(3)]
    frames[0].save(root / f"gear/stack.{suffix}", save_all=True, append_images=frames[1:])
    (overview,) = STAGE.inspect(bench.job(data={"path": "images"}), bench.told).overviews
    (note,) = overview.notes
    assert note == (
        "1 file has several frames or pages, of which only the first is read: "
        f"gear/stack.{suffix}; save the others as images of their own to use them"
    )


def test_boxes_with_fewer_bits_are_named_by_their_series(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/classes.txt").write_text("nut\nbolt\n")
    for k in range(12):
        name = f"{('left', 'right')[k % 2]}_{k:02}"
        save_deep(tmp_path / f"images/{name}.png", k, 4095 if k % 2 else 60000)
        (tmp_path / f"images/{name}.txt").write_text(f"{k % 2} .5 .5 .5 .5\n")
    teacher = {"family": "yolox_nano", "weights": "none"}
    job = bench.job(task="detection", data={"path": "images"}, teacher=teacher)
    (problem,) = STAGE.inspect(job, bench.told).problems
    assert "1 x series of file names of 16-bit images with fewer bits" in problem.what
    assert "right_: at most 4,095 in 6 images, 12 instead of 16 bits" in problem.what
