from __future__ import annotations

import errno
import io
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgetl.runtime.errors import ImageError
from edgetl.runtime.image_file import read_fitted, read_image
from edgetl.runtime.preprocess import FITS, Preprocess, fit_image


def encoded(image: Image.Image, suffix: str, **options: object) -> io.BytesIO:
    stream = io.BytesIO()
    image.save(stream, suffix, **options)
    stream.seek(0)
    return stream


def png(
    width: int, height: int, *, depth: int, colour: int, rows: bytes, extra: bytes = b""
) -> bytes:
    """Encode a PNG of a kind that Pillow reads but cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def solid(*colour: int, height: int = 2, width: int = 3) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


# A 2 x 3 image of six different pixels, so that every rotation and reflection is visible.
MARKED = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        pytest.param(1, MARKED, id="upright"),
        pytest.param(2, MARKED[:, ::-1], id="mirrored"),
        pytest.param(3, MARKED[::-1, ::-1], id="half turn"),
        pytest.param(4, MARKED[::-1], id="upside down mirrored"),
        pytest.param(5, MARKED.T, id="transposed"),
        pytest.param(6, np.rot90(MARKED, -1), id="camera turned left"),
        pytest.param(7, MARKED[::-1, ::-1].T, id="transverse"),
        pytest.param(8, np.rot90(MARKED, 1), id="camera turned right"),
    ],
)
@pytest.mark.parametrize("suffix", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(
    orientation: int, upright: NDArray[np.uint8], suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "WEBP" else {}
    image = read_image(encoded(Image.fromarray(MARKED), suffix, exif=exif, **options))
    np.testing.assert_array_equal(image, np.repeat(upright[:, :, None], 3, axis=2))


def test_jpeg_of_a_rotated_camera_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = read_image(encoded(Image.new("L", (30, 20), 90), "JPEG", exif=exif))
    assert image.shape == (30, 20, 3)


@pytest.mark.parametrize(
    ("mode", "pixel", "suffix", "expected"),
    [
        pytest.param("1", 1, "PNG", (255, 255, 255), id="1 bit"),
        pytest.param("L", 77, "PNG", (77, 77, 77), id="grey"),
        pytest.param("LA", (100, 0), "PNG", (255, 255, 255), id="grey, wholly transparent"),
        # (100 * 51 + 255 * 204) / 255 = 224
        pytest.param("LA", (100, 51), "PNG", (224, 224, 224), id="grey, mostly transparent"),
        # (10 * 128 + 255 * 127) / 255 = 132.02, (20 ...) = 137.04, (30 ...) = 142.06
        pytest.param("RGBA", (10, 20, 30, 128), "PNG", (132, 137, 142), id="half transparent"),
        pytest.param("CMYK", (255, 0, 0, 0), "TIFF", (0, 255, 255), id="cyan in a TIFF"),
        # 255 - 128 = 127 of red is left, and a third of the light by black: 127 * 170 / 255
        pytest.param("CMYK", (128, 0, 0, 85), "TIFF", (85, 170, 170), id="cyan under black"),
    ],
)
def test_colour_modes_become_rgb(
    mode: str, pixel: tuple[int, ...], suffix: str, expected: tuple[int, int, int]
) -> None:
    image = read_image(encoded(Image.new(mode, (3, 2), pixel), suffix))
    np.testing.assert_array_equal(image, solid(*expected))


def test_cmyk_jpeg_as_written_by_adobe_is_not_inverted() -> None:
    stream = encoded(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100)
    assert b"Adobe" in stream.getvalue()
    red, green, blue = read_image(stream)[8, 8].tolist()
    assert red < 5
    assert green > 250
    assert blue > 250


def test_palette_with_transparency_is_blended() -> None:
    image = Image.new("P", (3, 2), 1)
    image.putpalette([200, 0, 0, 0, 60, 90])
    opaque = read_image(encoded(image, "PNG"))
    clear = read_image(encoded(image, "PNG", transparency=1))
    np.testing.assert_array_equal(opaque, solid(0, 60, 90))
    np.testing.assert_array_equal(clear, solid(255, 255, 255))


def test_grey_png_with_a_transparent_level_is_blended() -> None:
    grey = Image.fromarray(np.array([[7, 8]], np.uint8))
    image = read_image(encoded(grey, "PNG", transparency=7))
    assert image[0, :, 0].tolist() == [255, 8]


@pytest.mark.parametrize("suffix", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_the_high_byte(suffix: str) -> None:
    values = np.array([[0, 255, 256, 511, 32768, 65535]], np.uint16)
    image = read_image(encoded(Image.fromarray(values), suffix))
    assert image[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert (image[:, :, 0] == image[:, :, 2]).all()


def test_16_bit_colour_and_16_bit_grey_agree() -> None:
    values = [0, 255, 256, 511, 32768, 65535]
    row = b"\0" + b"".join(struct.pack(">HHH", value, value, value) for value in values)
    image = read_image(io.BytesIO(png(6, 1, depth=16, colour=2, rows=row)))
    assert image[0, :, 1].tolist() == [0, 0, 1, 1, 128, 255]


def test_16_bit_grey_with_alpha_is_blended() -> None:
    row = b"\0" + struct.pack(">HHHH", 0x6400, 0xFFFF, 0x6400, 0)
    image = read_image(io.BytesIO(png(2, 1, depth=16, colour=4, rows=row)))
    assert image[0, :, 0].tolist() == [100, 255]


@pytest.mark.parametrize(
    ("colour", "row", "key"),
    [
        pytest.param(0, struct.pack(">HH", 0x0A01, 0x0A02), struct.pack(">H", 0x0A01), id="grey"),
        pytest.param(
            2,
            struct.pack(">6H", *[0x0A01] * 3, *[0x0B02] * 3),
            struct.pack(">3H", *[0x0A01] * 3),
            id="colour",
        ),
    ],
)
def test_16_bit_transparent_level_is_refused(colour: int, row: bytes, key: bytes) -> None:
    body = b"tRNS" + key
    extra = struct.pack(">I", len(key)) + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(ImageError, match=r"16-bit images with a transparent level"):
        read_image(io.BytesIO(png(2, 1, depth=16, colour=colour, rows=b"\0" + row, extra=extra)))


def test_white_is_zero_tiff_is_not_a_negative() -> None:
    values = np.array([[0, 0xFF00]], np.uint16)
    stream = encoded(Image.fromarray(values), "TIFF", tiffinfo={262: 0})
    assert read_image(stream)[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        pytest.param("F", "float pixels have no defined range", id="float"),
        pytest.param("I", "32-bit or signed integer pixels have no defined range", id="integer"),
    ],
)
def test_pixels_without_a_range_are_refused(mode: str, what: str) -> None:
    with pytest.raises(ImageError, match=what):
        read_image(encoded(Image.new(mode, (3, 2)), "TIFF"))


def test_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("#ff0000", "#0000ff")]
    stream = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(stream), solid(255, 0, 0))


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_truncated_image_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    content = encoded(Image.fromarray(noise), suffix).getvalue()
    path = tmp_path / "cut.img"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=r"cannot read image '.*cut\.img': ") as caught:
        read_image(path)
    assert caught.value.exit_code == 3


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_damaged_image_is_read_or_raises_image_error(suffix: str) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (24, 24, 3), np.uint8)
    content = encoded(Image.fromarray(noise), suffix).getvalue()
    for _ in range(150):
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[rng.integers(0, min(200, len(damaged)), 3)] = rng.integers(0, 256, 3)
        try:
            image = read_image(io.BytesIO(damaged.tobytes()))
        except ImageError:
            continue
        assert image.dtype == np.uint8
        assert image.shape[2] == 3


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"hello, world", "not an image in a format that Pillow reads", id="text"),
    ],
)
def test_file_that_is_not_an_image_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"a\.jpg': {what}"):
        read_image(path)
    with pytest.raises(ImageError, match=rf"in the zip': {what}"):
        read_image(io.BytesIO(content), name="a.jpg in the zip")


def test_missing_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg': no such file") as caught:
        read_image(tmp_path / "gone.jpg")
    assert caught.value.remedy == "check the path"


def test_folder_instead_of_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot read image '.*': it is a folder") as caught:
        read_image(tmp_path)
    assert caught.value.remedy == f"pass the images in it, for example {tmp_path / '*.jpg'}"


@pytest.mark.parametrize("side", [9_500, 60_000], ids=["too large", "a bomb"])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_image_with_too_many_pixels_is_refused(side: int) -> None:
    with pytest.raises(ImageError, match=r"pixels"):
        read_image(io.BytesIO(png(side, side, depth=8, colour=0, rows=b"")))


_NOISE: NDArray[np.uint8] = np.random.default_rng(3).integers(0, 256, (90, 61, 4), np.uint8)


def _write_all(folder: Path) -> list[Path]:
    """Write an image of every kind that is decoded in its own way."""
    rgba = Image.fromarray(_NOISE)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    images: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "rgb.png": (rgba.convert("RGB"), {}),
        "rotated.png": (rgba.convert("RGB"), {"exif": rotated}),
        "grey.png": (rgba.convert("L"), {}),
        "rotated-grey.png": (rgba.convert("L"), {"exif": rotated}),
        "bilevel.png": (rgba.convert("1"), {}),
        "palette.png": (rgba.convert("RGB").quantize(7), {}),
        "palette-key.png": (rgba.convert("RGB").quantize(7), {"transparency": 2}),
        "alpha.png": (rgba, {}),
        "rotated-alpha.png": (rgba, {"exif": rotated}),
        "grey-alpha.png": (rgba.convert("LA"), {}),
        "cmyk.tif": (rgba.convert("CMYK"), {}),
        "deep.png": (Image.fromarray(_NOISE.view("<u2")[:, :, 0]), {}),
    }
    for name, (image, options) in images.items():
        image.save(folder / name, **options)
    return [folder / name for name in images]


@pytest.mark.parametrize("fit", FITS)
def test_fitted_image_is_the_same_as_read_and_then_fitted(tmp_path: Path, fit: str) -> None:
    preprocess = Preprocess(16, 24, fit, "bilinear", 9)
    for path in _write_all(tmp_path):
        image = read_image(path)
        pixels, size = read_fitted(path, preprocess)
        assert size == image.shape[:2], path.name
        assert np.array_equal(pixels, fit_image(image, preprocess)), path.name


def test_image_of_several_strips_is_the_same_as_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = _write_all(tmp_path)
    wholes = [read_image(path) for path in paths]
    # Seven rows of 61 pixels, four of 90: the last strip is shorter.
    monkeypatch.setattr("edgetl.runtime.image_file._STRIP_PIXELS", 430)
    for path, whole in zip(paths, wholes, strict=True):
        assert np.array_equal(read_image(path), whole), path.name
    assert not whole.flags.writeable


_PEAK = """
import re, sys, pathlib
import numpy as np
from PIL import Image, ImageOps
from edgetl.runtime.image_file import read_fitted, read_image
from edgetl.runtime.preprocess import Preprocess
path = pathlib.Path(sys.argv[1])
{code}
print(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""
_FITTED = "read_fitted(path, Preprocess(224, 224, 'letterbox', 'bilinear', 0))"


@pytest.mark.parametrize(
    ("orientation", "code", "by_hand"),
    [
        pytest.param(1, _FITTED, "Image.open(path).resize((224, 168))", id="fitted"),
        pytest.param(
            6,
            _FITTED,
            "ImageOps.exif_transpose(Image.open(path)).resize((168, 224))",
            id="rotated and fitted",
        ),
        pytest.param(
            1, "read_image(path)", "np.asarray(Image.open(path).convert('RGB'))", id="array"
        ),
    ],
)
def test_48_megapixels_take_no_more_memory_than_with_pillow_by_hand(
    tmp_path: Path, orientation: int, code: str, by_hand: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "large.jpg"
    Image.new("RGB", (8000, 6000), (9, 200, 70)).save(path, exif=exif)
    peaks = [_peak_kib(each, path) for each in (code, by_hand)]
    assert peaks[0] < peaks[1] + 4096


def _peak_kib(code: str, path: Path) -> int:
    command = [sys.executable, "-c", _PEAK.format(code=code), str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("code", [_FITTED, "read_image(path)"], ids=["fitted", "array"])
def test_image_that_does_not_fit_into_memory_is_refused_by_name(tmp_path: Path, code: str) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (8000, 6000)).save(path, compress_level=1)
    limited = (
        "import resource\n"
        "used = int(pathlib.Path('/proc/self/statm').read_text().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20), -1))\n"
        f"{code}"
    )
    command = [sys.executable, "-c", _PEAK.format(code=limited), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert re.search(
        r"ImageError: cannot read image '.*large\.png': there is not enough memory for its pixels\n"
        r"  stop other programs, or scale it down on another machine\n$",
        done.stderr,
    )


def test_file_that_the_system_refuses_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)

    def refuse(source: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(source))

    # Tests may run as root, who reads any file.
    monkeypatch.setattr(Image, "open", refuse)
    message = r"^cannot read image '.*a\.png': Permission denied"
    with pytest.raises(ImageError, match=message) as caught:
        read_image(path)
    assert caught.value.remedy == "check the path, and the owner and mode of file and folders"


def test_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 300}.jpg"
    with pytest.raises(ImageError, match=r"x\.jpg': File name too long\n  check the path"):
        read_image(path)
