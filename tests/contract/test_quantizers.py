from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.config.calibration import Int8Table, RangeTable
from edgetl.exporters import EXPORTERS
from edgetl.hashing import digest_folder
from edgetl.quantizers import CALIBRATED, QUANTIZERS, for_format
from edgetl.runtime.engines import open_session
from edgetl.types import Precision

NAMES = QUANTIZERS.names()
PAIRS = [(name, each) for name in NAMES for each in sorted(QUANTIZERS.load(name).precisions)]
ESTIMATED = [
    (name, estimator)
    for name in NAMES
    for estimator in sorted(QUANTIZERS.load(name).estimators - {"minmax"})
]

# Largest error as a share of the range of an output. fp16 keeps 11 bits of each weight, w8a16 the
# top 8; int8 adds half a step of 1/255 in each of ten layers, and up to a step where they add up.
LARGEST_ERROR = {Precision.FP16: 0.01, Precision.W8A16: 0.03, Precision.INT8: 0.10}

Quantized = Callable[..., Path]
Again = Callable[[str], tuple[Path, tuple[str, str]]]


@pytest.fixture(scope="module")
def quantized(
    tiny: Any, exported: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Quantized:
    folders: dict[tuple[str, Precision, str], Path] = {}

    def quantize(name: str, precision: Precision, estimator: str = "minmax") -> Path:
        quantizer = QUANTIZERS.load(name)
        if any(find_spec(module) is None for module in quantizer.requires):
            pytest.skip(f"edgetl[{QUANTIZERS.extra_of(name)}] is not installed")
        key = (name, precision, estimator)
        if key not in folders:
            out = tmp_path_factory.mktemp("quantized")
            model = exported(quantizer.reads).folder / EXPORTERS.load(quantizer.reads).file
            images = tiny.images if precision in CALIBRATED else tiny.images[:0]
            quantizer.quantize(
                model,
                {"image": images},
                precision,
                Int8Table(range=RangeTable(estimator=estimator)),
                out,
            )
            folders[key] = out
        return folders[key]

    return quantize


@pytest.fixture
def again(
    tiny: Any, exported: Callable[[str], Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Again:
    """Return a function that quantizes again; it returns the folder and the captured output."""

    def quantize(name: str) -> tuple[Path, tuple[str, str]]:
        quantizer = QUANTIZERS.load(name)
        model = exported(quantizer.reads).folder / EXPORTERS.load(quantizer.reads).file
        quantizer.quantize(model, {"image": tiny.images}, Precision.INT8, Int8Table(), tmp_path)
        return tmp_path, capfd.readouterr()

    return quantize


def predictions(name: str, folder: Path, images: Any) -> dict[str, Any]:
    reads = QUANTIZERS.load(name).reads
    session = open_session(reads, folder / EXPORTERS.load(reads).file, 1)
    rows = [session.run({"image": image[np.newaxis]}) for image in images]
    return {tensor: np.concatenate([row[tensor] for row in rows]) for tensor in rows[0]}


@pytest.mark.parametrize("name", NAMES)
def test_quantizer_reads_a_known_format_alone_and_lists_what_it_needs(name: str) -> None:
    quantizer = QUANTIZERS.load(name)

    assert quantizer.reads in EXPORTERS.names()
    assert for_format(quantizer.reads) == name, "one quantizer per format"
    assert Precision.FP32 not in quantizer.precisions
    assert "minmax" in quantizer.estimators
    assert QUANTIZERS.stamp(name)
    assert QUANTIZERS.extra_of(name) or not quantizer.requires
    assert all(version(tool) for tool in quantizer.tools)


def test_format_without_a_quantizer_has_none() -> None:
    assert for_format("punch-card") is None


@pytest.mark.parametrize(("name", "precision"), PAIRS)
def test_quantized_file_keeps_names_and_stays_within_its_error(
    name: str, precision: Precision, tiny: Any, exported: Callable[[str], Any], quantized: Quantized
) -> None:
    tensors = exported(QUANTIZERS.load(name).reads).tensors

    actual = predictions(name, quantized(name, precision), tiny.images)

    assert set(actual) == set(tensors.values())
    for output, tensor in tensors.items():
        expected = tiny.outputs[output]
        assert actual[tensor].shape == expected.shape
        share = np.abs(actual[tensor] - expected).max() / np.ptp(expected)
        assert share < LARGEST_ERROR[precision], output


@pytest.mark.parametrize(("name", "estimator"), ESTIMATED)
def test_every_estimator_gives_a_file_within_its_error(
    name: str, estimator: str, tiny: Any, exported: Callable[[str], Any], quantized: Quantized
) -> None:
    tensor = exported(QUANTIZERS.load(name).reads).tensors["logits"]

    actual = predictions(name, quantized(name, Precision.INT8, estimator), tiny.images)[tensor]

    expected = tiny.outputs["logits"]
    # Clipping the tails of a handful of images costs more than rounding does.
    assert np.sqrt(np.mean((actual - expected) ** 2)) < 0.10 * np.ptp(expected)


@pytest.mark.parametrize("name", NAMES)
def test_int8_repeats_byte_for_byte_without_paths_and_prints_nothing(
    name: str, exported: Callable[[str], Any], quantized: Quantized, again: Again
) -> None:
    reads = QUANTIZERS.load(name).reads

    first, (second, printed) = quantized(name, Precision.INT8), again(name)

    assert digest_folder(first) == digest_folder(second)
    assert set(digest_folder(first)) == set(EXPORTERS.load(reads).files)
    assert printed == ("", "")
    for path in first.iterdir():
        assert str(exported(reads).folder).encode() not in path.read_bytes()
