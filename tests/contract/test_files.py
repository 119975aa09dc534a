"""Every target, calibration recipe and ready-made recipe that ships can be used as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgetl.config.board import FEATURES, Board, Feature
from edgetl.config.load import known_files, load_calibration, load_target
from edgetl.config.target import Target
from edgetl.devices import check_device
from edgetl.errors import ConfigError
from edgetl.exporters import EXPORTERS
from edgetl.pipeline.job import load_job
from edgetl.pipeline.planner import all_stages
from edgetl.runtime.engines import packages
from edgetl.store.store import Store
from edgetl.types import Precision

_TARGETS = sorted(known_files("targets"))
_BOARDS = [name for name in _TARGETS if name != "host"]


def _board(name: str) -> tuple[Target, Board]:
    target = load_target(name)
    assert target.board is not None
    return target, target.board


def test_the_boards_of_our_users_ship() -> None:
    assert {
        "host", "jetson-agx-orin", "jetson-nano", "jetson-orin-nano", "n100", "rpi-zero2w",
        "rpi3b-plus", "rpi4", "rpi5", "x86-64",
    } <= set(_TARGETS)  # fmt: skip


@pytest.mark.parametrize("name", _TARGETS)
def test_target_names_plugins_that_exist(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    for kind, _ in target.pairs():
        EXPORTERS.check(kind)
    if target.device is not None:
        assert check_device(target.device) is None


@pytest.mark.parametrize("name", _BOARDS)
def test_every_offered_format_has_an_engine_on_every_system(name: str) -> None:
    target, board = _board(name)
    for system in board.systems:
        stated = set(system.engines)
        for engine in target.format_providers():
            assert stated & set(packages(*engine)), f"{system.os}: {engine}"
        needed = {name for engine in target.format_providers() for name in packages(*engine)}
        assert stated <= needed, f"{system.os}: an engine that nothing offered needs"


@pytest.mark.parametrize("name", _BOARDS)
def test_features_agree_with_processor_and_candidates(name: str) -> None:
    target, board = _board(name)
    assert set(board.features) <= set(FEATURES[board.architecture])
    # Armv8.0 cores have none, those of Armv8.2 dot products, and no 8-bit matrices before Armv8.6.
    of_core = {
        "Cortex-A53": set(), "Cortex-A57": set(), "Cortex-A72": set(),
        "Cortex-A76": {Feature.DOTPROD}, "Cortex-A78AE": {Feature.DOTPROD},
        "x86-64-v3": {Feature.AVX2}, "Gracemont": {Feature.AVX2, Feature.VNNI},
    }  # fmt: skip
    # Of any other core the file alone says what it can do.
    assert set(board.features) == of_core.get(board.processor, set(board.features))
    if Precision.INT8 in target.candidates.get("openvino", ()):
        assert {Feature.DOTPROD, Feature.AVX2} & set(board.features)


@pytest.mark.parametrize("name", _BOARDS)
def test_core_proves_itself_by_the_part_number_of_arm(name: str) -> None:
    _, board = _board(name)
    parts = {
        "Cortex-A53": "0xd03", "Cortex-A57": "0xd07", "Cortex-A72": "0xd08",
        "Cortex-A76": "0xd0b", "Cortex-A78AE": "0xd42",
    }  # fmt: skip
    if board.architecture == "aarch64":
        assert board.identity.cpu_part
        assert all(re.fullmatch("0x[0-9a-f]{3}", part) for part in board.identity.cpu_part)
        known = parts.get(board.processor, board.identity.cpu_part[0])
        assert board.identity.cpu_part == (known,)
        assert board.identity.device_tree_model


@pytest.mark.parametrize("name", _BOARDS)
def test_limits_are_present_and_fit_the_board(name: str) -> None:
    target, board = _board(name)
    limits = target.limits
    assert limits.better_than_guessing
    assert limits.drop_pp is not None
    assert limits.p95_ms is not None
    assert limits.size_mib is not None
    assert limits.memory_mib is not None
    assert limits.memory_mib <= board.memory_mib / 2
    assert limits.size_mib <= limits.memory_mib / 2
    assert target.threads <= board.cores


@pytest.mark.parametrize("name", _BOARDS)
def test_no_board_is_reached_before_its_owner_says_how(name: str) -> None:
    assert load_target(name).device is None


@pytest.mark.parametrize("name", _BOARDS)
def test_file_says_how_to_reach_the_board(name: str) -> None:
    text = known_files("targets")[name].read_text(encoding="utf-8")
    assert "#   device: ssh://" in text
    (line,) = [line for line in text.splitlines() if line.startswith("#   device: ")]
    assert check_device(line.removeprefix("#   device: ")) is None


@pytest.mark.parametrize("name", sorted(known_files("calibration")))
def test_calibration_recipe_loads(name: str) -> None:
    assert load_calibration(name).name == name


@pytest.mark.parametrize("name", sorted(known_files("recipes")))
def test_ready_made_recipe_passes_every_check(name: str, tmp_path: Path) -> None:
    job = load_job(name, (), Store(tmp_path), all_stages())
    assert job.recipe.name == name


@pytest.mark.parametrize("name", ["jetson-agx-orin", "jetson-orin-nano"])
def test_gpu_of_a_jetson_is_turned_on_as_its_file_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = known_files("targets")[name].read_text(encoding="utf-8")
    told = [line for line in text.splitlines() if line.startswith("  #   onnx@")]
    assert len(told) == 2
    for line in told:
        text = text.replace(line, line.replace("#   ", ""))
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"onnx@cuda: .*add the version of onnxruntime-gpu"):
        load_target(name)
    text = text.replace('onnxruntime: "1.23.2"', 'onnxruntime-gpu: "1.23.0"')
    (tmp_path / "targets" / f"{name}.yaml").write_text(text, encoding="utf-8")
    assert [candidate.name for candidate in load_target(name).variants()][:5] == [
        "onnx fp32",
        "onnx int8",
        "onnx fp32 cuda",
        "onnx fp16 cuda",
        "onnx fp16 tensorrt",
    ]
