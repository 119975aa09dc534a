"""Images that look almost like one of another split."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from edgetl.data.near_copies import Sketch, near_copies, sketch
from edgetl.types import Split


def scene(seed: int) -> Image.Image:
    """Return a smooth picture, as a photograph is one."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(pixels).resize((96, 72), Image.Resampling.BICUBIC)


def saved_again(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=60)
    return Image.open(stream).convert("RGB")


def part_on_a_belt(at: int) -> Image.Image:
    """Return the same background with a bright part at another place."""
    image = scene(7)
    image.paste((250, 250, 250), (at, 20, at + 20, 40))
    return image


def found(**images: Image.Image) -> list[tuple[str, str]]:
    sketches = {name: one for name, image in images.items() if (one := sketch(image))}
    splits = {name: Split(name.partition("_")[0]) for name in images}
    return near_copies(sketches, splits, {})


@pytest.mark.parametrize(
    "change",
    [
        saved_again,
        lambda image: image.resize((64, 48)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.01),
        lambda image: image.convert("L"),
    ],
    ids=["saved again", "scaled", "brighter", "grey"],
)
def test_changed_copy_in_another_split_is_named(
    change: Callable[[Image.Image], Image.Image],
) -> None:
    images = {f"train_{k}": scene(k) for k in range(6)}
    assert found(**images, test_a=change(scene(3)), test_b=scene(11)) == [("test_a", "train_3")]


def test_copies_in_one_split_are_no_leak() -> None:
    assert found(train_a=scene(1), train_b=saved_again(scene(1)), test_c=scene(2)) == []


def test_val_and_test_are_compared_too() -> None:
    assert found(val_a=scene(1), test_b=saved_again(scene(1))) == [("val_a", "test_b")]


def test_another_object_before_the_same_background_is_no_copy() -> None:
    assert found(train_a=part_on_a_belt(10), test_b=part_on_a_belt(50)) == []


def test_images_without_a_picture_have_no_sketch() -> None:
    noise = np.random.default_rng(0).integers(120, 124, (72, 96, 3), np.uint8)
    assert sketch(Image.fromarray(noise)) is None


def test_copies_that_are_known_by_their_names_are_not_named_again() -> None:
    both = {"train_a": scene(1), "test_b": saved_again(scene(1))}
    sketches: dict[str, Sketch] = {name: one for name in both if (one := sketch(both[name]))}
    splits = {"train_a": Split.TRAIN, "test_b": Split.TEST}
    assert near_copies(sketches, splits, {"train_a": "a", "test_b": "a"}) == []
    assert near_copies(sketches, splits, {"train_a": "a", "test_b": "b"}) == [("test_b", "train_a")]


def test_bits_tell_whether_the_right_neighbour_is_brighter() -> None:
    # 17 x 16 pixels need no scaling; each row rises by 10 and falls by 10 in turn.
    levels = np.tile(np.array([100, 110] * 8 + [100], np.uint8), (16, 1))
    made = sketch(Image.fromarray(levels))
    assert made is None  # a spread of 5 levels shows too little
    made = sketch(Image.fromarray(3 * (levels - 90)))
    assert made is not None
    assert made.bits == int("10" * 128, 2)
    assert made.levels[:3] == bytes([30, 60, 30])
