"""The search compares int8 files on images that did not calibrate them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.config.calibration import FloatTable, Int8Table, RangeTable
from edgetl.exporters import EXPORTERS
from edgetl.nn.layers import RawPixels
from edgetl.quantizers import QUANTIZERS
from edgetl.quantizers._graph import Operation
from edgetl.quantizers._samples import Feed, Samples
from edgetl.quantizers._search import ESTIMATORS, ChannelNoise, output_error, search
from edgetl.runtime.engines import open_session
from edgetl.types import Facts, Precision

NAMES = QUANTIZERS.names()
BEST = RangeTable(estimator="best")
FloatFile = Callable[[str], Path]


class Stretched(nn.Module):
    """A depthwise convolution with one input channel a thousand times as wide as the others.

    Its weights undo that, so that the float output depends on all channels alike.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, 2, 1, groups=8)
        self.middle = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 3, 1)
        with torch.no_grad():
            self.stem.weight[0] *= 1000
            self.depthwise.weight[0] /= 1000
            # Outputs that cover 0 to 1.
            self.last.weight *= 100

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes `(N, 16, 2)` and scores `(N, 16, 1)`."""
        features = nn.functional.silu(self.stem(image))
        features = nn.functional.silu(self.middle(nn.functional.silu(self.depthwise(features))))
        outputs = torch.sigmoid(self.last(features)).flatten(2).permute(0, 2, 1)
        return outputs[..., :2], outputs[..., 2:]


@pytest.fixture(scope="module")
def stretched(tmp_path_factory: pytest.TempPathFactory) -> FloatFile:
    files: dict[str, Path] = {}

    def export(name: str) -> Path:
        exporter = EXPORTERS.load(name)
        if any(find_spec(module) is None for module in exporter.requires):
            pytest.skip(f"edgetl[{EXPORTERS.extra_of(name)}] is not installed")
        if name not in files:
            torch.manual_seed(0)
            module = RawPixels(Stretched(), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)).eval()
            folder = tmp_path_factory.mktemp(f"stretched-{name}")
            exporter.export(
                module, {"image": torch.zeros(1, 16, 16, 3)}, ("boxes", "scores"), folder
            )
            files[name] = folder / exporter.file
        return files[name]

    return export


@pytest.fixture(scope="module")
def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), dtype=np.uint8)


def quantize(
    name: str, file: Path, images: NDArray[np.uint8], out: Path, settings: Int8Table
) -> tuple[Facts, float]:
    """Return the quantizer's facts and the file's error on the first image."""
    out.mkdir()
    quantizer = QUANTIZERS.load(name)
    facts = quantizer.quantize(file, {"image": images}, Precision.INT8, settings, out)
    before, after = (
        open_session(quantizer.reads, each, 1).run({"image": images[:1]})
        for each in (file, out / file.name)
    )
    return facts, output_error(before, after)


@pytest.mark.parametrize("name", NAMES)
def test_keeping_the_convolutions_of_a_stretched_channel_in_float_restores_the_output(
    name: str, stretched: FloatFile, noise: NDArray[np.uint8], tmp_path: Path
) -> None:
    file = stretched(QUANTIZERS.load(name).reads)

    settings = Int8Table(float_layers=FloatTable(tail=True, convolutions=2))

    _, all_int8 = quantize(name, file, noise, tmp_path / "all", Int8Table())
    facts, kept = quantize(name, file, noise, tmp_path / "kept", settings)

    assert kept < all_int8 / 4
    rows = facts["convolutions"]
    # The stem writes the stretched tensor, the depthwise convolution reads it.
    assert max(row["noise"] for row in rows[:2]) > 0.5
    assert rows[0]["error"] == max(row["error"] for row in rows)
    # The last convolution is in the tail and is not tried.
    assert len(rows) == 3
    assert facts["tail"]
    assert facts["held_out"] == 4


def test_best_takes_the_estimator_with_the_smallest_error_and_reports_all(
    stretched: FloatFile, noise: NDArray[np.uint8], tmp_path: Path
) -> None:
    settings, out = Int8Table(range=BEST), tmp_path / "out"

    facts, _ = quantize("onnxruntime", stretched("onnx"), noise, out, settings)

    rows = facts["estimators"]
    assert [(row["estimator"], row["percentile"]) for row in rows] == [
        ("minmax", 99.99),
        ("mse", 99.99),
        ("percentile", 99.99),
        ("percentile", 99.9),
    ]
    best = min(rows, key=lambda row: row["error"])
    assert facts["range"] == {key: best[key] for key in ("estimator", "percentile")}


class RecordingBackend:
    """A quantization backend that copies one file and records its arguments."""

    reads = "onnx"
    channel_axis = 1
    operations = (Operation("conv", "Conv", ("image",), ("output",)),)
    outputs = ("output",)

    def __init__(self, model: Path, *, writes: Path | None = None) -> None:
        self.model = model
        self.writes = writes or model
        self.calls: list[tuple[Samples, RangeTable, frozenset[str]]] = []

    def observe(self, feed: Feed) -> Iterator[tuple[str, NDArray[np.float32]]]:
        yield "image", feed["image"].transpose(0, 3, 1, 2)

    def write(
        self, samples: Samples, settings: RangeTable, left: frozenset[str], out: Path
    ) -> Path:
        self.calls.append((samples, settings, left))
        return Path(shutil.copy(self.writes, out))


def test_held_out_images_do_not_calibrate(
    stretched: FloatFile, noise: NDArray[np.uint8], tmp_path: Path
) -> None:
    file = stretched("onnx")
    quantize("onnxruntime", file, noise, tmp_path / "harmed", Int8Table())
    backend = RecordingBackend(file, writes=tmp_path / "harmed" / file.name)

    result = search(backend, {"image": noise[:8]}, Int8Table(range=BEST))

    # The first and the fifth of eight are held out.
    for calibration, _, _ in backend.calls:
        np.testing.assert_array_equal(calibration["image"], noise[[1, 2, 3, 5, 6, 7]])
    assert [settings for _, settings, _ in backend.calls] == list(ESTIMATORS)
    assert result.facts["held_out"] == 2
    # On equal errors the first one wins.
    assert result.range == ESTIMATORS[0]


def test_harmless_estimator_ends_the_search(
    float_file: FloatFile, images: NDArray[np.uint8]
) -> None:
    backend = RecordingBackend(float_file("onnx"))

    result = search(backend, {"image": images}, Int8Table(range=BEST))

    assert [settings for _, settings, _ in backend.calls] == [ESTIMATORS[0]]
    assert result.range == ESTIMATORS[0]
    assert [(row["estimator"], row["error"]) for row in result.facts["estimators"]] == [
        ("minmax", 0.0)
    ]


def test_without_a_choice_nothing_is_tried(
    float_file: FloatFile, images: NDArray[np.uint8]
) -> None:
    backend = RecordingBackend(float_file("onnx"))

    result = search(backend, {"image": images}, Int8Table(float_layers=FloatTable(tail=True)))

    assert backend.calls == []
    assert (result.range, result.left) == (RangeTable(), frozenset({"conv"}))


def test_no_convolution_stays_in_float_where_int8_changes_nothing(
    float_file: FloatFile, images: NDArray[np.uint8]
) -> None:
    backend = RecordingBackend(float_file("onnx"))

    result = search(backend, {"image": images}, Int8Table(float_layers=FloatTable(convolutions=1)))

    # One trial with everything in int8, whose outputs equal the float file's: it is a copy.
    assert [left for _, _, left in backend.calls] == [frozenset()]
    assert (result.facts["convolutions"], result.left) == ([], frozenset())


def test_error_is_relative_power_and_the_mean_over_outputs() -> None:
    before = {"boxes": np.array([3.0, 4.0], np.float32), "scores": np.array([2.0], np.float32)}
    after = {"boxes": np.array([3.0, 3.0], np.float32), "scores": np.array([1.0], np.float32)}

    assert output_error(before, before) == 0.0
    # 1 of 25, and 1 of 4.
    assert output_error(before, after) == pytest.approx((0.04 + 0.25) / 2)


def channel_noise(axis: int, *images: NDArray[np.float32]) -> float:
    noise = ChannelNoise(axis)
    for values in images:
        noise.add(values)
    return noise.share()


def test_channel_in_a_range_widened_by_another_is_lost_in_noise() -> None:
    alike = np.array([[[0.0, 10.0]], [[0.0, 10.0]]], np.float32)[np.newaxis]
    stretched = np.array([[[0.0, 10.0]], [[0.0, 0.001]]], np.float32)[np.newaxis]

    assert channel_noise(1, alike) < 1e-5
    # The second channel lies within one step of 10/255.
    assert channel_noise(1, stretched) == pytest.approx(0.5, abs=0.01)
    assert channel_noise(-1, stretched.transpose(0, 2, 3, 1)) == channel_noise(1, stretched)


def test_noise_after_global_pooling_is_measured_over_images() -> None:
    # One position each: 0, 100, 200 in one channel, 0, 1, 2 in the other, steps of 200/255.
    images = [np.array([100.0 * i, 1.0 * i], np.float32).reshape(1, 2, 1, 1) for i in range(3)]
    step = (200 / 255) ** 2 / 12
    shares = [step / (step + variance) for variance in (20_000 / 3, 2 / 3)]
    assert channel_noise(1, *images) == pytest.approx(sum(shares) / 2)
