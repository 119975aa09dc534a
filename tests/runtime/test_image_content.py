"""Files that Pillow does not read are named; a JPEG that only lacks its end marker is read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetl.runtime.errors import ImageError
from edgetl.runtime.image_content import complete_jpeg
from edgetl.runtime.image_file import read_image

_NOISE = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


def jpeg(**options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(_NOISE).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"quality": 20}, {"restart_marker_blocks": 4}]
)
@pytest.mark.parametrize("ending", [b"", b"\xff", b"\0\0\0"], ids=["none", "half", "padded"])
def test_jpeg_without_end_marker_has_the_same_pixels(
    tmp_path: Path, options: dict[str, Any], ending: bytes
) -> None:
    whole = jpeg(**options)
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:-2] + ending)

    expected = read_image(io.BytesIO(whole))

    np.testing.assert_array_equal(read_image(path), expected)
    np.testing.assert_array_equal(read_image(io.BytesIO(path.read_bytes())), expected)


@pytest.mark.parametrize("missing", [6, 50, 0.1, 0.5, 0.9], ids=str)
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_jpeg_without_some_of_its_data_is_refused(missing: float, options: dict[str, Any]) -> None:
    whole = jpeg(**options)
    count = missing if missing >= 1 else missing * len(whole)

    with pytest.raises(ImageError, match=r"'a': damaged or truncated"):
        read_image(io.BytesIO(whole[: -int(count)]), name="a")


def test_progressive_jpeg_without_end_marker_is_refused() -> None:
    # Nothing tells whether a further scan, which sharpens the pixels, is missing.
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_image(io.BytesIO(jpeg(progressive=True)[:-2]))


def test_what_is_whole_or_no_jpeg_is_not_completed() -> None:
    assert complete_jpeg(jpeg()) is None
    assert complete_jpeg(jpeg() + b"\0\0") is None
    assert complete_jpeg(b"\xff\xd8 nothing") is None
    assert complete_jpeg(b"GIF89a") is None


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC image, as phones store them", "heif-convert"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "a HEIC image, as phones store them", "heif-convert"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "a raw image of a camera", "save it again"),
        (b"\xff\x0a\xfa\x7f\x01", "a JPEG XL image", "save it again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "a web page, not the image", "download the image itself"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a drawing in SVG", "render it as PNG"),
        (b"%PDF-1.7\n", "a PDF", "save its pages as PNG"),
        (b"\xef\xbb\xbf\r\n\t <HTML>", "a web page, not the image", "download the image itself"),
        (b"X<html>", "not an image in a format that Pillow reads", "save it again"),
        (b"hello, world", "not an image in a format that Pillow reads", "save it again"),
    ],
    ids=[
        "heic",
        "heif",
        "raw",
        "jxl",
        "lfs",
        "page",
        "svg",
        "pdf",
        "marked page",
        "no page",
        "text",
    ],
)
def test_file_that_pillow_does_not_read_is_named_with_its_remedy(
    tmp_path: Path, content: bytes, what: str, remedy: str
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)

    with pytest.raises(ImageError, match=rf"cannot read image '\S+a\.jpg': {what}") as caught:
        read_image(path)

    assert remedy in caught.value.remedy
