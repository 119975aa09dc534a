"""Estimates from instruction counts; counting is tested with the devices."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgetl.config.target import Target
from edgetl.devices._instructions import Instructions
from edgetl.devices.emulated import EmulatedDevice
from edgetl.errors import ExitCode, UsageError
from edgetl.estimator import instructions
from edgetl.estimator.instructions import (
    BOARDS,
    LEAST_FACTOR,
    OTHER_ENGINE_FACTOR,
    POINTS,
    Point,
    estimate_by_instructions,
    rate_of,
)
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.errors import ContractError
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.preprocess import Preprocess

COUNTED = Instructions(integer=10, vector=60, dot=20, load=70, store=20, branch=20)


@pytest.fixture(autouse=True)
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, list[str]]]:
    """Return the requests to the counter, which always counts 200 instructions."""
    requests: list[tuple[str, str, list[str]]] = []

    def count(device: EmulatedDevice, engine: str, files: Mapping[str, Path]) -> Instructions:
        requests.append((device.address, engine, list(files)))
        return COUNTED

    monkeypatch.setattr(EmulatedDevice, "count_instructions", count)
    return requests


def a_target(processor: str = "Cortex-A72", **changes: Any) -> Target:
    table: dict[str, Any] = {
        "name": "board",
        "description": "a board",
        "device": None,
        "threads": 1,
        "candidates": {"tflite": ["fp32", "int8"], "onnx": ["fp32"]},
        "board": {
            "soc": "Broadcom BCM2711",
            "processor": processor,
            "cores": 4,
            "architecture": "aarch64",
            "features": [],
            "memory_mib": 1024,
            "systems": [
                {
                    "os": "bookworm",
                    "python": "3.11",
                    "glibc": "2.36",
                    "engines": {"onnxruntime": "1.31.1", "ai-edge-litert": "2.3.0"},
                }
            ],
            "identity": {},
        },
    }
    return Target.model_validate(table | changes)


def a_model(folder: Path, name: str = "model.tflite") -> Path:
    path = folder / name
    path.write_bytes(b"model")
    return path


@pytest.fixture
def two_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """One and four million instructions a second: two in the geometric mean, a factor of two."""
    points = (
        Point("slow", "cortex-a72", published_ms=1000.0, minstructions=1.0, source=""),
        Point("fast", "cortex-a72", published_ms=1000.0, minstructions=4.0, source=""),
        Point("other", "cortex-a76", published_ms=1.0, minstructions=1.0, source=""),
    )
    monkeypatch.setattr(instructions, "POINTS", points)


@pytest.mark.usefixtures("two_points")
def test_time_is_instructions_over_the_mean_rate_and_the_band_is_the_spread(tmp_path: Path) -> None:
    estimate = estimate_by_instructions(a_model(tmp_path), a_target())

    assert estimate.ms == pytest.approx(0.1)  # 200 / 2e6 s
    assert (estimate.low_ms, estimate.high_ms) == pytest.approx((0.05, 0.2))
    assert estimate.method == "instructions"
    assert estimate.basis == (
        "0.0 million instructions of model.tflite on an emulated Cortex-A72, 10% of them dot "
        "products, at 2 million a second (1.5 GHz): 2 published times of LiteRT on a Raspberry Pi "
        "4 Model B Rev 1.2 agree with that within a factor of 2.00; the band is a factor of 2 both "
        "ways; one thread"
    )


@pytest.mark.usefixtures("two_points")
def test_another_engine_widens_the_band_with_a_note(
    tmp_path: Path, requests: list[tuple[str, str, list[str]]]
) -> None:
    estimate = estimate_by_instructions(a_model(tmp_path, "model.onnx"), a_target())

    factor = 2 * OTHER_ENGINE_FACTOR
    assert (estimate.low_ms, estimate.high_ms) == pytest.approx((0.1 / factor, 0.1 * factor))
    assert (
        "onnxruntime is assumed to take as long per instruction, which widens the" in estimate.basis
    )
    assert "the band is a factor of 3 both ways" in estimate.basis
    assert requests == [("emulated:cortex-a72?engine=onnxruntime", "onnx", ["model.onnx"])]


@pytest.mark.usefixtures("two_points")
def test_more_threads_do_not_change_the_estimate(tmp_path: Path) -> None:
    model = a_model(tmp_path)

    estimate = estimate_by_instructions(model, a_target(threads=4))

    assert estimate.basis.endswith("; one thread only, though the target uses 4")
    assert estimate.ms == estimate_by_instructions(model, a_target()).ms


def test_chip_with_a_lower_clock_is_slower(tmp_path: Path) -> None:
    """A Zero 2 W runs its Cortex-A53 at 1.0 GHz, a 3B+ at 1.4 GHz."""
    model, board = a_model(tmp_path), a_target("Cortex-A53")
    assert board.board is not None
    zero = board.board.model_copy(update={"soc": "Broadcom BCM2710A1"})

    slow = estimate_by_instructions(model, board.model_copy(update={"board": zero}))

    assert slow.ms == pytest.approx(1.4 * estimate_by_instructions(model, board).ms)
    assert "(1 GHz)" in slow.basis


def test_folder_is_counted_by_its_contract(
    tmp_path: Path, requests: list[tuple[str, str, list[str]]]
) -> None:
    a_model(tmp_path, "model.xml")
    a_model(tmp_path, "model.bin")
    Contract(
        task="classification",
        labels=("a", "b"),
        format="openvino",
        files=describe_files(tmp_path, ("model.xml", "model.bin")),
        precision="fp32",
        inputs=(ImageInput("image", "image", Preprocess(32, 32, "stretch", "bilinear", 0)),),
        outputs=(OutputSpec("logits", "logits", (1, 2), "logits"),),
    ).save(tmp_path)

    estimate_by_instructions(tmp_path, a_target("Cortex-A76"))

    expected = ["model.xml", "model.bin"]
    assert requests == [("emulated:cortex-a76?engine=openvino", "openvino", expected)]


def test_suffix_of_a_model_may_be_in_upper_case(
    tmp_path: Path, requests: list[tuple[str, str, list[str]]]
) -> None:
    estimate_by_instructions(a_model(tmp_path, "NET.ONNX"), a_target("Cortex-A76"))
    assert requests == [("emulated:cortex-a76?engine=onnxruntime", "onnx", ["NET.ONNX"])]


def test_folder_without_a_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"has no contract\.json"):
        estimate_by_instructions(tmp_path, a_target())


@pytest.mark.parametrize("name", ["model.pt", "model.onnx"], ids=["ending", "missing"])
def test_file_that_is_not_a_model_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".pt":
        path.write_bytes(b"weights")

    with pytest.raises(
        UsageError, match=r"is not a model file; allowed are \.onnx, \.xml, \.tflite"
    ):
        estimate_by_instructions(path, a_target())


@pytest.mark.parametrize("processor", ["Cortex-A57", "Cortex-A78AE", "Gracemont"])
def test_core_without_a_rate_is_refused_with_an_alternative(tmp_path: Path, processor: str) -> None:
    with pytest.raises(
        UsageError, match=f"its processor is '{processor}'; processors with an emulation .*A53"
    ) as e:
        estimate_by_instructions(a_model(tmp_path), a_target(processor))

    assert "edgetl profile --device ssh://user@board" in e.value.remedy
    assert e.value.exit_code is ExitCode.USAGE


def test_target_without_a_board_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"board\.yaml names no board, so the processor") as e:
        estimate_by_instructions(a_model(tmp_path), a_target(board=None))

    assert "edgetl profile --device ssh://user@board" in e.value.remedy


@pytest.mark.parametrize("core", BOARDS)
def test_published_times_are_inside_the_band_of_their_core(core: str) -> None:
    rate = rate_of(core)
    points = [point for point in POINTS if point.core == core]

    assert len(points) == rate.points >= 1
    assert rate.factor >= LEAST_FACTOR
    for point in points:
        predicted_ms = point.minstructions * 1e6 / rate.per_second * 1e3
        assert abs(math.log(predicted_ms / point.published_ms)) <= math.log(rate.factor) + 1e-9
        assert re.match(r"https://\S+, mean of one thread", point.source)


def test_held_out_time_is_predicted() -> None:
    """YOLOX-Nano 416 fp32 on a Raspberry Pi 4, one thread: 227.39 ms; counted 316.3 million.

    https://github.com/NobuoTsukamoto/benchmarks/tree/main/tensorflow/lite/yolox
    """
    predicted_ms = 316.3e6 / rate_of("cortex-a72").per_second * 1e3

    assert predicted_ms == pytest.approx(227.39, rel=0.04)


def test_core_without_points_has_no_rate() -> None:
    with pytest.raises(KeyError, match="cortex-a57"):
        rate_of("cortex-a57")
