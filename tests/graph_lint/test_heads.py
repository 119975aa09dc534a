"""The joined form of a head is found, and loses its scores in int8; the split form is neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.config.calibration import Int8Table
from edgetl.graph_lint import lint
from edgetl.graph_lint.findings import Lint
from edgetl.quantizers import QUANTIZERS, for_format
from edgetl.runtime.engines import open_session
from edgetl.types import Precision

FORMATS = ("onnx", "tflite")
HeadFile = Callable[..., Path]


def int8(source: Path, images: NDArray[np.uint8], out: Path) -> Path:
    quantizer = QUANTIZERS.load(str(for_format(source.suffix[1:])))
    quantizer.quantize(source, {"image": images}, Precision.INT8, Int8Table(), out)
    return out / source.name


def scores(file: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the scores of all images, whatever the form, `(N, 64, 3)`."""
    session = open_session(file.suffix[1:], file, 1)
    rows = [session.run({"image": image[np.newaxis]}) for image in images]
    return np.concatenate([list(row.values())[-1][..., -3:] for row in rows])


@pytest.mark.parametrize("name", FORMATS)
def test_joined_head_is_named_with_its_branches_and_its_columns(
    name: str, head_file: HeadFile
) -> None:
    found = lint(head_file(name, joined=True)).findings

    assert {each.place for each in found} == {"output"}
    (join,) = (each for each in found if each.what.lower().startswith("concat"))
    (split,) = (each for each in found if each.what.startswith("output"))
    # Sigmoids times 320 beside sigmoids.
    assert 100 < join.ratio < 1000
    assert sorted(part.reach > 16 for part in join.parts) == [False, True]
    assert split.what.endswith("axis 2")
    assert [part.name for part in split.parts] == ["columns 0 to 3", "columns 4 to 6"]


@pytest.mark.parametrize("name", FORMATS)
def test_split_head_is_clean(name: str, head_file: HeadFile) -> None:
    assert lint(head_file(name, joined=False)) == Lint((), (), ())


@pytest.mark.parametrize("name", FORMATS)
def test_scores_die_in_the_joined_form_and_live_in_the_split_form(
    name: str, head_file: HeadFile, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    errors, distinct = {}, {}
    for joined in (True, False):
        file = head_file(name, joined=joined)
        out = tmp_path / str(joined)
        out.mkdir()
        found = scores(int8(file, images, out), images)
        errors[joined] = float(np.abs(found - scores(file, images)).max())
        distinct[joined] = len(np.unique(found))

    # A step of the joined tensor is at least 200 / 255: it can say 0 or 0.8, nothing between.
    assert distinct[True] <= 3
    assert errors[True] > 0.2
    assert distinct[False] > 50
    assert errors[False] < 0.1


@pytest.mark.parametrize("name", FORMATS)
def test_quantized_file_is_judged_by_its_own_steps(
    name: str, head_file: HeadFile, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    file = int8(head_file(name, joined=True), images, tmp_path)

    found = lint(file).findings

    (join,) = (each for each in found if each.what.lower().startswith("concat"))
    (split,) = (each for each in found if each.what.startswith("output"))
    for each in (join, split):
        assert each.step is not None
        assert 200 / 255 < each.step < 321 / 255
        assert each.ratio > 100


@pytest.mark.parametrize("name", FORMATS)
def test_quantized_split_head_is_clean(
    name: str, head_file: HeadFile, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    assert lint(int8(head_file(name, joined=False), images, tmp_path)).findings == ()


def test_named_image_is_shown_to_the_model(
    head_file: HeadFile, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    from PIL import Image

    Image.fromarray(images[0]).save(tmp_path / "image.png")

    synthetic = lint(head_file("onnx", joined=True)).findings
    shown = lint(head_file("onnx", joined=True), [tmp_path / "image.png"]).findings

    assert shown[0].what == synthetic[0].what
    assert shown[0].parts != synthetic[0].parts
