from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetl.data.synthetic.part_images import make_part_image, write_part_folder
from edgetl.data.synthetic.parts import CLASSES, VERSION, class_of
from edgetl.data.synthetic.rng import TURN, Rng, turn
from edgetl.data.synthetic.shapes import OUTLINES


def test_every_machine_renders_the_same_bytes() -> None:
    """Raise `parts.VERSION` with this digest, or stored datasets keep the old pixels."""
    digest = hashlib.sha256()
    for index in range(24):
        digest.update(make_part_image(index, 0).pixels.tobytes())
    assert (VERSION, digest.hexdigest()) == (
        1,
        "ad5ea031b97efdd1e57fbd697a07d81d8c3b51f40833a91431ff042a95e14291",
    )


@pytest.mark.parametrize("size", [64, 160])
def test_boxes_are_in_the_image_and_contain_the_part(size: int) -> None:
    for index in range(60):
        image = make_part_image(index, 1, size=size)
        assert image.pixels.shape == (size, size, 3)
        assert CLASSES[image.label] == class_of(index)
        assert image.box_labels.tolist() == [image.label] * len(image.boxes)
        assert 1 <= len(image.boxes) <= 2
        assert (image.boxes >= 0).all()
        assert (image.boxes <= size).all()
        width, height = (image.boxes[:, 2:] - image.boxes[:, :2]).T
        assert (np.maximum(width, height) > 0.3 * size).all()


def test_images_differ_by_index_and_seed() -> None:
    images = [
        make_part_image(index, seed).pixels.tobytes() for index in range(8) for seed in range(3)
    ]
    assert len(set(images)) == 24


def test_classes_alternate() -> None:
    counts = Counter(make_part_image(index, 0, size=32).label for index in range(12))
    assert counts == dict.fromkeys(range(6), 2)


def test_parts_contrast_with_the_background() -> None:
    """The image changes most at the edges of the part, so there is something to learn."""
    for index in range(30):
        image = make_part_image(index, 2)
        grey = image.pixels.astype(np.float64).mean(2)
        left, top, right, bottom = image.boxes[-1].astype(int)
        inside = grey[top:bottom, left:right]
        assert inside.std() > 4.0


def test_written_folder_has_one_folder_per_class(tmp_path: Path) -> None:
    write_part_folder(tmp_path, 7, 0)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg"))
    assert files == [
        "bracket/000000.jpg",
        "bracket/000006.jpg",
        "gear/000001.jpg",
        "nut/000002.jpg",
        "screw/000003.jpg",
        "spring/000004.jpg",
        "washer/000005.jpg",
    ]
    with Image.open(tmp_path / files[0]) as image:
        assert image.size == (160, 160)


@pytest.mark.parametrize("name", CLASSES)
def test_outline_is_in_its_unit_square(name: str) -> None:
    side = np.linspace(-1.5, 1.5, 151, dtype=np.float32)
    u, v = np.meshgrid(side, side)
    for index in range(20):
        shape = OUTLINES[name](u, v, Rng(0, index))
        assert shape.distance.dtype == np.float32
        inside = shape.distance < 0
        assert 0.02 < inside.mean() < 0.5
        assert np.abs(u[inside]).max() <= 1.0
        assert np.abs(v[inside]).max() <= 1.0


def test_outlines_and_classes_are_the_same_set() -> None:
    assert tuple(sorted(OUTLINES)) == CLASSES


def test_random_stream_is_stable() -> None:
    """Raw PCG64 numbers of seed [3, 5]; numpy guarantees them to be stable."""
    rng = Rng(3, 5)
    raw = np.random.PCG64(np.random.SeedSequence([3, 5])).random_raw(3)
    assert rng.unit() == (int(raw[0]) >> 11) / 2**53
    assert rng.octets(9)[:8].tobytes() == int(raw[1]).to_bytes(8, "little")
    assert 0 <= rng.below(6) < 6
    assert -2.0 <= rng.between(-2.0, -1.0) < -1.0


def test_turns_are_rounded_to_12_bits() -> None:
    assert turn(0) == (1.0, 0.0)
    assert turn(TURN // 4) == (0.0, 1.0)
    # cos 30 degrees is 0.866; the nearest step, 85 of 1024, has the cosine 0.8670 = 3551 / 4096
    assert turn(85) == (3551 / 4096, 2041 / 4096)
    assert turn(TURN + 85) == turn(85)
