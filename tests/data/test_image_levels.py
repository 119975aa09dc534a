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
    findings = find_unused_bits({"b.tif": 4095, "a.tif": 900}, ())
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
    assert find_unused_bits(levels, accept) == []
