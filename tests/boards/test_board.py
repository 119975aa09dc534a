"""A machine matches a profile's board, or the error names the differences and the remedy."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from edgetl.boards import Line, compare, probe, require, require_machine
from edgetl.config.load import load_target
from edgetl.config.target import Target
from edgetl.devices import Device
from edgetl.devices._address import parse_address
from edgetl.devices.emulated import EmulatedDevice
from edgetl.devices.local import LocalDevice
from edgetl.devices.ssh import SshDevice
from edgetl.errors import ConfigError, ExitCode
from edgetl.types import Facts, Provenance

_PI4: dict[str, Any] = {
    "machine": "aarch64",
    "os": "Debian GNU/Linux 12 (bookworm)",
    "device_tree_model": "Raspberry Pi 4 Model B Rev 1.5",
    "tegra_release": None,
    "cpu_parts": ["0xd08"],
    "model_name": None,
    "flags": ["asimd", "crc32", "fp"],
    "cores": 4,
    "memory_mib": 3792,
    "python": "3.11.2",
    "executable": "/usr/bin/python3",
    "pip_is_refused": False,
    "glibc": "2.36",
    "packages": {
        "numpy": "2.4.6",
        "pillow": "13.0.0",
        "onnxruntime": "1.31.1",
        "onnxruntime-gpu": None,
        "ai-edge-litert": "2.3.0",
        "tflite-runtime": None,
        "openvino": None,
    },
}


def _packages(**changed: str | None) -> dict[str, Any]:
    named = {name.replace("_", "-"): version for name, version in changed.items()}
    return {"packages": _PI4["packages"] | named}


def _wrong(target: str, facts: dict[str, Any], *, emulated: bool = False) -> dict[str, str]:
    lines = compare(load_target(target), facts, emulated=emulated)
    return {line.name: line.actual for line in lines if line.ok is False}


def _line(target: str, facts: dict[str, Any], name: str, *, emulated: bool = False) -> Line:
    lines = compare(load_target(target), facts, emulated=emulated)
    (line,) = [line for line in lines if line.name == name]
    return line


def test_raspberry_pi_4_matches_its_profile() -> None:
    lines = compare(load_target("rpi4"), _PI4)
    assert [line.name for line in lines] == [
        "board", "CPU part", "architecture", "cores", "features", "memory", "Python", "glibc",
        "numpy", "pillow", "engine of onnx", "engine of tflite",
    ]  # fmt: skip
    assert all(line.ok for line in lines)


def test_raspberry_pi_4_does_not_match_raspberry_pi_5() -> None:
    assert _wrong("rpi5", _PI4) == {
        "board": "Raspberry Pi 4 Model B Rev 1.5",
        "CPU part": "0xd08",
        "features": "none",
        "engine of openvino": "not found",
    }


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"device_tree_model": None}, {"board": "not found"}),
        ({"cpu_parts": ["0xd05", "0xd08"]}, {"CPU part": "0xd05, 0xd08"}),
        ({"machine": "armv7l"}, {"architecture": "armv7l"}),
        ({"cores": 3}, {"cores": "3"}),
        # 767 is less than three quarters of 1024.
        ({"memory_mib": 767}, {"memory": "767 MiB usable"}),
        ({"memory_mib": None}, {"memory": "not found"}),
        ({"python": "3.9.2"}, {"Python": "3.9.2"}),
        ({"glibc": "2.31"}, {"glibc": "2.31"}),
        ({"glibc": None}, {"glibc": "not found"}),
        (_packages(numpy=None), {"numpy": "not found"}),
        (_packages(numpy="1.20.3"), {"numpy": "1.20.3"}),
        (_packages(pillow="9.0.1"), {"pillow": "9.0.1"}),
        (_packages(onnxruntime=None), {"engine of onnx": "not found"}),
        (_packages(onnxruntime="1.19.2"), {"engine of onnx": "onnxruntime 1.19.2"}),
    ],
)
def test_mismatches_are_named(changed: dict[str, Any], wrong: dict[str, str]) -> None:
    assert _wrong("rpi4", _PI4 | changed) == wrong


@pytest.mark.parametrize(
    "changed",
    [
        {"memory_mib": 768},
        {"memory_mib": 7812, "cores": 8},
        {"flags": ["asimddp"]},
        {"python": "3.13.5", "glibc": "2.41"},
        {"glibc": "2.41"},
        _packages(onnxruntime="1.100.0"),
        _packages(onnxruntime=None, onnxruntime_gpu="1.10.0", numpy="1.26.4"),
    ],
    ids=["enough", "more", "feature", "trixie", "newer glibc", "newer engine", "its own engine"],
)
def test_more_than_the_profile_states_also_matches(changed: dict[str, Any]) -> None:
    assert _wrong("rpi4", _PI4 | changed) == {}


def test_glibc_is_compared_with_that_of_the_same_python() -> None:
    line = _line("rpi4", _PI4 | {"python": "3.13.5"}, "glibc")
    assert (line.expected, line.actual, line.ok) == ("2.41 (trixie)", "2.36", False)


def test_either_kind_of_vnni_is_vnni() -> None:
    for flag in ("avx_vnni", "avx512_vnni"):
        line = _line("n100", _PI4 | {"flags": ["avx2", flag]}, "features")
        assert (line.actual, line.ok) == ("avx2, vnni", True)


def test_board_and_memory_of_an_emulation_are_not_compared() -> None:
    facts = _PI4 | {"device_tree_model": "emulated cortex-a72", "memory_mib": 100}
    assert _wrong("rpi4", facts, emulated=True) == {}
    assert _line("rpi4", facts, "board", emulated=True).ok is None
    assert set(_wrong("rpi4", facts)) == {"board", "memory"}


_ORIN: dict[str, Any] = _PI4 | {
    "device_tree_model": "NVIDIA Jetson Orin Nano Developer Kit",
    "tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic",
    "cpu_parts": ["0xd42"],
    "flags": ["asimd", "asimddp"],
    "cores": 6,
    "memory_mib": 7620,
    "python": "3.10.12",
    "glibc": "2.35",
    **_packages(onnxruntime="1.23.2", openvino="2026.4.1"),
}


def test_jetson_is_identified_by_its_tegra_release_too() -> None:
    assert _wrong("jetson-orin-nano", _ORIN) == {}
    older = _ORIN | {"tegra_release": "# R35 (release), REVISION: 3.1, GCID: 32827747"}
    assert _wrong("jetson-orin-nano", older) == {"Tegra release": "# R35 (release)"}
    assert "board" in _wrong("jetson-agx-orin", _ORIN)


def test_pc_is_identified_by_its_model_name() -> None:
    line = _line("n100", _PI4 | {"model_name": "Intel(R) N100"}, "model name")
    assert line.ok
    line = _line("n100", _PI4 | {"model_name": "Intel(R) N305"}, "model name")
    assert (line.expected, line.ok) == ("Intel(R) N100", False)


def test_target_without_a_board_needs_python_and_packages_only() -> None:
    lines = compare(load_target("host"), _PI4)
    assert [line.name for line in lines if not line.ok] == ["engine of openvino"]
    assert lines[0] == Line("Python", "3.9 or newer", "3.11.2", ok=True, aspect=lines[0].aspect)
    assert not compare(load_target("host"), _PI4 | {"python": "3.8.10"})[0].ok


def _refused(target: str, facts: dict[str, Any], device: Device | None = None) -> ConfigError:
    profile = load_target(target)
    device = device or SshDevice(parse_address("ssh://pi@board"))
    emulated = device.provenance == "emulated"
    lines = compare(profile, facts, emulated=emulated)
    with pytest.raises(ConfigError, match=rf"targets/{target}\.yaml: device ") as caught:
        require(profile, device, facts, lines)
    assert caught.value.exit_code is ExitCode.CONFIG
    return caught.value


def test_matching_machine_is_accepted() -> None:
    target = load_target("rpi4")
    require(target, LocalDevice(), _PI4, compare(target, _PI4))


def test_different_machine_is_reported_before_python_and_packages() -> None:
    error = _refused("rpi4", _PI4 | {"cpu_parts": ["0xd03"], **_packages(numpy=None)})
    assert error.message == (
        "targets/rpi4.yaml: device 'ssh://pi@board' is a different machine: "
        "CPU part 0xd03 (expected 0xd08)"
    )
    assert error.remedy == (
        "name the right device, or write a profile of this one; for an example see "
        "'edgetl targets show rpi4'"
    )


def test_wrong_python_is_reported_before_packages() -> None:
    error = _refused("rpi4", _PI4 | {"python": "3.9.2", **_packages(numpy=None)})
    assert error.message.endswith(
        "has a different system or Python: Python 3.9.2 (expected 3.11 or 3.13)"
    )
    assert error.remedy == (
        "name a supported Python on the device (ssh://user@host?python=/path/to/python), or add "
        "this system to targets/rpi4.yaml in your folder"
    )


def test_glibc_too_old_for_the_wheels_is_reported() -> None:
    error = _refused("rpi4", _PI4 | {"glibc": "2.31"})
    assert "glibc 2.31 (expected 2.36 (bookworm))" in error.message


def test_missing_packages_come_with_the_line_for_pip() -> None:
    error = _refused("rpi4", _PI4 | _packages(numpy=None, ai_edge_litert=None))
    assert error.message.endswith(
        "lacks packages: numpy not found (expected 1.21 or newer), "
        "engine of tflite not found (expected ai-edge-litert 2.3.0)"
    )
    assert error.remedy == (
        "on the device: /usr/bin/python3 -m pip install 'numpy>=1.21' ai-edge-litert==2.3.0"
    )


@pytest.mark.parametrize(
    ("installed", "named"),
    [
        ({"ai_edge_litert": None, "tflite_runtime": "2.14.0"}, "tflite-runtime 2.14.0"),
        ({"ai_edge_litert": "1.0.1"}, "ai-edge-litert 1.0.1"),
        (
            {"onnxruntime": "1.18.1", "ai_edge_litert": None, "tflite_runtime": "2.14.0"},
            "onnxruntime 1.18.1, tflite-runtime 2.14.0",
        ),
    ],
    ids=["tflite-runtime", "ai-edge-litert", "two"],
)
def test_numpy_2_does_not_fit_an_engine_built_for_numpy_1(
    installed: dict[str, str | None], named: str
) -> None:
    line = _line("rpi4", _PI4 | _packages(**installed), "numpy")
    assert (line.actual, line.ok) == ("2.4.6", False)
    assert line.expected == f"1.21 or newer, below 2 for {named}"
    assert line.requirement == "numpy>=1.21,<2"
    assert _line("rpi4", _PI4 | _packages(numpy="1.26.4", **installed), "numpy").ok


def test_engine_that_is_not_stated_is_compared_with_the_least_version() -> None:
    for version, ok in (("2.9.1", False), ("2.10", True)):
        packages = _packages(numpy="1.26.4", ai_edge_litert=None, tflite_runtime=version)
        line = _line("rpi4", _PI4 | packages, "engine of tflite")
        assert (line.actual, line.ok) == (f"tflite-runtime {version}", ok)
    packages = _packages(numpy="1.26.4", ai_edge_litert=None, tflite_runtime="2.9.1")
    line = _line("rpi4", _PI4 | packages, "engine of tflite")
    assert line.expected == line.requirement.replace("==", " ") == "tflite-runtime 2.10"


def test_engine_that_is_not_used_does_not_hold_numpy_back() -> None:
    # LiteRT is used where both are installed.
    assert _wrong("rpi4", _PI4 | _packages(tflite_runtime="2.14.0")) == {}


def test_python_that_refuses_pip_needs_a_virtual_environment() -> None:
    error = _refused("rpi4", _PI4 | {"pip_is_refused": True, **_packages(onnxruntime=None)})
    assert error.remedy == (
        "on the device: /usr/bin/python3 -m venv ~/edgetl && ~/edgetl/bin/python -m pip install "
        "onnxruntime==1.31.1; then name that Python (ssh://user@host?python=/path/to/python)"
    )


def test_emulation_without_the_engine_gets_a_remedy_of_its_own() -> None:
    device = EmulatedDevice(engines=("onnxruntime",))
    error = _refused("rpi4", _PI4 | _packages(ai_edge_litert=None), device)
    assert error.remedy == (
        "name an emulation with that system and engine, or remove the format from the target"
    )


def test_probe_runs_on_a_device_with_the_packages_of_the_profile() -> None:
    target: Target = load_target("rpi4")
    facts = probe(LocalDevice(), target)
    assert facts["executable"] == sys.executable
    assert list(facts["packages"]) == [
        "numpy", "pillow", "onnxruntime", "onnxruntime-gpu", "ai-edge-litert", "tflite-runtime",
    ]  # fmt: skip
    assert facts["packages"]["numpy"] is not None


class StubDevice:
    """A device whose Python prints `facts`; None if the device must not be contacted."""

    address = "ssh://pi@board"
    provenance = Provenance.MEASURED

    def __init__(self, facts: dict[str, Any] | None) -> None:
        self.facts = facts

    def describe(self) -> Facts:
        raise NotImplementedError

    @contextmanager
    def connect(self) -> Iterator[Self]:
        assert self.facts is not None
        yield self

    def put(self, files: Mapping[str, Path]) -> None:
        assert list(files) == ["_probe.py"]

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> str:
        assert arguments[0] == "_probe.py"
        assert timeout_s > 0
        return json.dumps(self.facts)

    def get(self, names: Sequence[str], folder: Path) -> None:
        raise NotImplementedError


def test_different_machine_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="'ssh://pi@board' is a different machine: CPU part 0xd03"
    ):
        require_machine(load_target("rpi4"), StubDevice(_PI4 | {"cpu_parts": ["0xd03"]}))


def test_right_machine_is_accepted_with_any_python_and_packages() -> None:
    facts = _PI4 | {"python": "3.12.0", **_packages(onnxruntime="1.0")}
    require_machine(load_target("rpi4"), StubDevice(facts))


def test_device_of_a_target_without_a_board_is_not_probed() -> None:
    require_machine(load_target("host"), StubDevice(None))
