"""A board over ssh is compared with a profile."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.boards import compare, probe, require
from edgetl.config.load import load_target
from edgetl.devices.ssh import SshDevice
from edgetl.errors import ConfigError, DeviceError, ExitCode


def test_board_is_probed_over_ssh(board: Callable[..., SshDevice]) -> None:
    target = load_target("host")
    device = board()
    facts = probe(device, target)
    assert facts["executable"] == sys.executable
    require(target, device, facts, compare(target, facts))


def test_different_board_is_refused_by_its_address(board: Callable[..., SshDevice]) -> None:
    target = load_target("rpi4")
    device = board()
    facts = probe(device, target)
    with pytest.raises(
        ConfigError, match=r"device 'ssh://127\.0\.0\.1:\d+' is a different machine"
    ):
        require(target, device, facts, compare(target, facts))


def test_missing_python_is_reported(board: Callable[..., SshDevice], tmp_path: Path) -> None:
    device = board(python=str(tmp_path / "python9"))
    with pytest.raises(DeviceError, match="python9") as caught:
        probe(device, load_target("rpi4"))
    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
