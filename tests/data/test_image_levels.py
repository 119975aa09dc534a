"""A set of 16-bit images that would be decoded to almost black is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edgetl.config.recipe import Accept
from edgetl.data.findings import refuse
from edgetl.data.image_levels import find_unused_bits
from edgetl.data.image_size import highest_level
from edgetl.errors import DataError


def encoded(values: np.ndarray, kind: str) -> io.BytesIO:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind)
    stream.seek(0)
    return stream


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_highest_level_of_a_deep_image_is_read(kind: str) -> None:
    values = np.arange(0, 4096, 64, dtype=np.uint16).reshape(8, 8)
    assert highest_level(encoded(values, kind)) == 4032


@pytest.mark.parametrize(
    "stream",
    [
        encoded(np.zeros((4, 4), np.uint8), "PNG"),
        encoded(np.zeros((4, 4, 3), np.uint8), "TIFF"),
        encoded(np.zeros((4, 4), np.float32), "TIFF"),
        io.BytesIO(b"no image"),
    ],
    ids=["grey", "colours", "float", "text"],
)
def test_other_images_have_none(stream: io.BytesIO) -> None:
    assert highest_level(stream) is None


def test_set_of_12_bits_is_refused_with_the_factor() -> None:
    findings = find_unused_bits({"b.tif": 4095, "a.tif": 900}, {}, ())
    with pytest.raises(
        DataError,
        match=r"2 x 16-bit image of a set that uses only 12 bits, so that it is decoded to less "
        r"than 16 of 256 levels:\n    a\.tif: at most 900\n    b\.tif: at most 4,095\n",
    ) as caught:
        refuse(findings, "images")
    assert caught.value.remedy == (
        "multiply all values by 16 and save them again, or save them with 8 bits; do the same on "
        "the device; if intended, write `data: {accept: [unused-bits]}`"
    )


@pytest.mark.parametrize(
    ("levels", "accept"),
    [
        ({"a.tif": 4095, "b.tif": 16384}, ()),
        ({}, ()),
        ({"a.tif": 4095}, (Accept.UNUSED_BITS,)),
    ],
    ids=["one is bright", "none is deep", "accepted"],
)
def test_other_sets_are_taken(levels: dict[str, int], accept: tuple[Accept, ...]) -> None:
    assert find_unused_bits(levels, {}, accept) == []


def test_one_bright_image_does_not_hide_that_the_set_has_12_bits() -> None:
    levels = {f"{k:02}.tif": 4095 for k in range(20)} | {"hot.tif": 65535}
    (finding,) = find_unused_bits(levels, {}, ())
    assert finding.title.startswith(
        "16-bit image of a set that, but for 1 of 21, uses only 12 bits, so that"
    )
    assert len(finding.examples) == 20
    assert "multiply all values but those of hot.tif, which are brighter, by 16" in finding.advice


@pytest.mark.parametrize(
    ("dark", "title"),
    [
        ({f"a/{k}.tif": 4000 + k for k in range(4)}, "folder"),
        ({f"b/left_{k}.tif": 4000 + k for k in range(4)}, "series of file names"),
        (
            {f"b/{name}.tif": 4095 for name in ("ad", "be", "cf", "dg")},
            "group that ends at one level",
        ),
    ],
)
def test_part_with_fewer_bits_is_found_by(dark: dict[str, int], title: str) -> None:
    bright = {f"b/right_{k}.tif": 60000 + k for k in range(9)}
    (finding,) = find_unused_bits(dark | bright, {}, ())
    assert finding.title == (
        f"{title} of 16-bit images with fewer bits than the others, so that it is decoded darker"
    )
    (example,) = finding.examples
    assert "in 4 images, 12 instead of 16 bits" in example


@pytest.mark.parametrize(
    "dark",
    [
        {f"a/{k}.tif": 4000 for k in range(3)},
        {f"a/{k}.tif": 17000 if k else 900 for k in range(5)},
        {f"b/{name}.tif": 4000 + k for k, name in enumerate(("ad", "be", "cf", "dg"))},
    ],
    ids=["few", "one is bright", "no part of their own"],
)
def test_dark_images_of_a_bright_set_are_taken(dark: dict[str, int]) -> None:
    bright = {f"b/right_{k}.tif": 60000 + k for k in range(9)}
    assert find_unused_bits(dark | bright, {}, ()) == []
