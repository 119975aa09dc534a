"""Files larger than a device's memory are refused before they are sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgetl.devices._agent.memory import free_bytes
from edgetl.devices._memory import require_memory
from edgetl.devices.local import LocalDevice
from edgetl.errors import DeviceError, ExitCode

_MIB = 1 << 20


def _meminfo(root: Path, text: str) -> Path:
    (root / "proc").mkdir(parents=True)
    (root / "proc" / "meminfo").write_text(text)
    return root


def _sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_free_memory_includes_swap(tmp_path: Path) -> None:
    text = (
        "MemTotal:         427000 kB\nMemFree:           10000 kB\nMemAvailable:     200000 kB\n"
        "SwapTotal:        102396 kB\nSwapFree:         100000 kB\nHugePages_Total:       0\n"
    )
    assert free_bytes(_meminfo(tmp_path, text)) == 300_000 * 1024


@pytest.mark.parametrize("text", ["", "MemAvailable: 200000 kB\n", "MemAvailable: many kB\nx"])
def test_unknown_free_memory_refuses_nothing(tmp_path: Path, text: str) -> None:
    assert free_bytes(tmp_path) is None
    assert free_bytes(_meminfo(tmp_path / "root", text)) is None
    require_memory("local", {"model.onnx": _sparse(tmp_path / "a", 1 << 40)}, None)


def test_file_larger_than_the_free_memory_is_refused_with_both_sizes(tmp_path: Path) -> None:
    files = {
        "model/contract.json": _sparse(tmp_path / "small", 1),
        "model/model.onnx": _sparse(tmp_path / "large", 301 * _MIB),
    }
    require_memory("local", files, 301 * _MIB)
    message = (
        "device 'local' has 300 MiB of memory free, including swap, and 'model/model.onnx' alone "
        "is 301 MiB; it was not sent"
    )
    with pytest.raises(DeviceError, match=re.escape(message)) as caught:
        require_memory("local", files, 300 * _MIB)
    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    assert caught.value.remedy == (
        "use a smaller model (int8, a narrower student), stop other programs there, or use a "
        "board with more memory"
    )


def test_this_machine_copies_no_file_that_it_cannot_load(tmp_path: Path) -> None:
    small, large = _sparse(tmp_path / "small", 1), _sparse(tmp_path / "large", 1 << 42)
    with LocalDevice().connect() as connection:
        with pytest.raises(DeviceError, match=r"'model\.tflite' alone is 4194304 MiB"):
            connection.put({"contract.json": small, "model.tflite": large})
        assert list(connection.folder.iterdir()) == []
