from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.runtime.preprocess import FITS, Preprocess, fit_image


def solid(*colour: int, height: int = 2, width: int = 3) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


def test_stretch_averages_when_downscaling() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, 1::2] = 100
    fitted = fit_image(image, Preprocess(1, 2, "stretch", "area", 0))
    np.testing.assert_array_equal(fitted, solid(50, 50, 50, height=1, width=2))


@pytest.mark.parametrize(
    ("height", "width", "inner"),
    [
        # 2 * 8 / 4 = 4 rows, 4 left over, 2 above
        pytest.param(2, 4, (slice(2, 6), slice(0, 8)), id="wide"),
        pytest.param(4, 2, (slice(0, 8), slice(2, 6)), id="high"),
        # 5 * 8 / 16 = 2.5, half upwards 3; 5 left over, 2 above and 3 below
        pytest.param(5, 16, (slice(2, 5), slice(0, 8)), id="half a row"),
        pytest.param(8, 8, (slice(0, 8), slice(0, 8)), id="the very size"),
        # 1 * 8 / 4000 rounds to 0, but one row stays; 7 left over, 3 above
        pytest.param(1, 4000, (slice(3, 4), slice(0, 8)), id="a line"),
        pytest.param(1, 1, (slice(0, 8), slice(0, 8)), id="a single pixel"),
    ],
)
def test_letterbox_centres_and_rounds_as_documented(
    height: int, width: int, inner: tuple[slice, slice]
) -> None:
    expected = solid(9, 9, 9, height=8, width=8)
    expected[inner] = 200
    image = solid(200, 200, 200, height=height, width=width)
    fitted = fit_image(image, Preprocess(8, 8, "letterbox", "bilinear", 9))
    np.testing.assert_array_equal(fitted, expected)


def test_crop_cuts_the_centre() -> None:
    image = np.zeros((2, 7, 3), np.uint8)
    image[:, 2:4] = 250  # (7 - 2) / 2 = 2 columns are lost at the left, 3 at the right
    fitted = fit_image(image, Preprocess(4, 4, "crop", "bicubic", 0))
    np.testing.assert_array_equal(fitted, solid(250, 250, 250, height=4, width=4))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "area"])
@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (1, 1), (3, 5)])
def test_every_shape_fits(fit: str, resample: str, shape: tuple[int, int]) -> None:
    fitted = fit_image(
        solid(5, 6, 7, height=shape[0], width=shape[1]), Preprocess(24, 16, fit, resample, 6)
    )
    assert fitted.shape == (24, 16, 3)
    assert fitted.dtype == np.uint8


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        pytest.param(
            (8, 8, "squeeze", "area", 0), "unknown fit 'squeeze'; known: letterbox", id="fit"
        ),
        pytest.param((8, 8, "crop", "nearest", 0), "unknown filter 'nearest'", id="filter"),
        pytest.param((0, 8, "crop", "area", 0), "input 0 x 8 with pad 0", id="size"),
        pytest.param((8, 8, "crop", "area", 256), "with pad 256", id="pad"),
    ],
)
def test_preprocess_refuses_unknown_or_out_of_range_settings(
    arguments: tuple[int, int, str, str, int], what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        Preprocess(*arguments)


def test_fit_refuses_an_array_that_is_not_an_rgb_image() -> None:
    with pytest.raises(ValueError, match=r"image must be uint8 \(h, w, 3\), got uint8 \(4, 4\)"):
        fit_image(np.zeros((4, 4), np.uint8), Preprocess(8, 8, "crop", "area", 0))


def test_preprocess_imports_numpy_and_pillow_only() -> None:
    code = (
        "import sys; import edgetl.runtime.preprocess; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & "
        "{'torch', 'pydantic', 'yaml', 'click', 'rich', 'onnxruntime'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
