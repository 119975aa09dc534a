"""A device is identified as its best-matching target, or the nearest targets are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgetl.boards.identify import identify
from edgetl.config.load import known_files, load_target
from edgetl.config.target import Target
from edgetl.devices import Device
from edgetl.devices._address import parse_address
from edgetl.devices.emulated import EmulatedDevice
from edgetl.devices.ssh import SshDevice
from edgetl.errors import ConfigError, ExitCode, UsageError

_BOARD = SshDevice(parse_address("ssh://pi@board"))
_PACKAGES = dict.fromkeys(
    ("numpy", "pillow", "onnxruntime", "onnxruntime-gpu", "ai-edge-litert", "tflite-runtime",
     "openvino")
)  # fmt: skip
_PI4: dict[str, Any] = {
    "machine": "aarch64",
    "device_tree_model": "Raspberry Pi 4 Model B Rev 1.5",
    "tegra_release": None,
    "cpu_parts": ["0xd08"],
    "model_name": None,
    "flags": ["asimd", "fp"],
    "cores": 4,
    "memory_mib": 3792,
    "python": "3.11.2",
    "glibc": "2.36",
    "packages": _PACKAGES,
}
_N100: dict[str, Any] = _PI4 | {
    "machine": "x86_64",
    "device_tree_model": None,
    "cpu_parts": [],
    "model_name": "Intel(R) N100",
    "flags": ["avx2", "avx_vnni"],
    "memory_mib": 7800,
}


def _all() -> list[Target]:
    return [load_target(name) for name in known_files("targets")]


def _named(facts: dict[str, Any], device: Device = _BOARD) -> str:
    return identify(_all(), device, facts).name


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "rpi4"),
        (
            {"device_tree_model": "Raspberry Pi 3 Model B Plus", "cpu_parts": ["0xd03"]},
            "rpi3b-plus",
        ),
        (
            {
                "device_tree_model": "Raspberry Pi Zero 2 W",
                "cpu_parts": ["0xd03"],
                "memory_mib": 417,
            },
            "rpi-zero2w",
        ),
        (
            {
                "device_tree_model": "Raspberry Pi 5 Model B Rev 1.0",
                "cpu_parts": ["0xd0b"],
                "flags": ["asimddp"],
            },
            "rpi5",
        ),
        (
            {
                "device_tree_model": "NVIDIA Jetson Nano Developer Kit",
                "cpu_parts": ["0xd07"],
                "tegra_release": "# R32 (release), REVISION: 7.1",
            },
            "jetson-nano",
        ),
    ],
)
def test_board_is_identified_by_its_properties(changed: dict[str, Any], name: str) -> None:
    assert _named(_PI4 | changed) == name


def test_pc_is_a_generic_pc_unless_its_model_is_known() -> None:
    assert _named(_N100) == "n100"
    assert _named(_N100 | {"model_name": "AMD Ryzen 5"}) == "x86-64"


def test_packages_do_not_identify_a_machine() -> None:
    assert _named(_PI4 | {"python": "3.8.1"}) == "rpi4"


def test_error_for_an_unknown_machine_names_the_nearest_targets() -> None:
    facts = _PI4 | {"device_tree_model": "Orange Pi 5", "cpu_parts": ["0xd08"]}
    with pytest.raises(ConfigError, match=r"^targets: device 'ssh://pi@board' ") as caught:
        _named(facts)
    assert caught.value.exit_code is ExitCode.CONFIG
    assert caught.value.message.partition("@board' ")[2].startswith(
        "matches no target; nearest: 'rpi4' except for board Orange Pi 5 (expected Raspberry Pi 4 "
        "Model B); 'rpi-zero2w' except for board Orange Pi 5 (expected Raspberry Pi Zero 2 W), "
        "CPU part 0xd08 (expected 0xd03)"
    )
    assert caught.value.message.count("except for") == 2
    assert caught.value.remedy == (
        "write a profile of it (for an example see 'edgetl targets show rpi4'), or compare it with "
        "one: edgetl targets check rpi4 --device ssh://pi@board"
    )


def test_emulation_of_a_core_that_two_boards_share_is_ambiguous() -> None:
    facts = _PI4 | {"device_tree_model": None, "cpu_parts": ["0xd03"]}
    device = EmulatedDevice("cortex-a53")
    with pytest.raises(UsageError, match="could be rpi-zero2w or rpi3b-plus: it ") as caught:
        _named(facts, device)
    assert caught.value.remedy == (
        "name the right one: edgetl targets check rpi-zero2w --device emulated:cortex-a53"
    )
    assert _named(facts | {"cpu_parts": ["0xd08"]}, EmulatedDevice("cortex-a72")) == "rpi4"


def test_board_with_a_new_core_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = known_files("targets")["rpi5"].read_text(encoding="utf-8")
    for old, new in (
        ("name: rpi5", "name: qcs8250"),
        ("Cortex-A76", "Cortex-A77"),
        ("0xd0b", "0xd0d"),
        ("[Raspberry Pi 5 Model B]", "[Qualcomm QCS8250]"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "qcs8250.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    probed = _PI4 | {
        "device_tree_model": "Qualcomm QCS8250 RB5",
        "cpu_parts": ["0xd0d"],
        "flags": ["asimddp"],
        "memory_mib": 7800,
    }
    assert _named(probed) == "qcs8250"
