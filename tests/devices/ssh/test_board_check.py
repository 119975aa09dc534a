"""A board over ssh is compared with a profile, and a board that is not there is told as such."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.boards import compare, probe, require
from edgetl.config.load import load_target
from edgetl.devices.ssh import SshDevice
from edgetl.errors import ConfigError, DeviceError, ExitCode


def test_board_is_probed_where_it_is(board: Callable[..., SshDevice]) -> None:
    target = load_target("host")
    device = board()
    found = probe(device, target)
    assert found["executable"] == sys.executable
    require(target, device, found, compare(target, found))


def test_other_board_is_refused_by_its_address(board: Callable[..., SshDevice]) -> None:
    target = load_target("rpi4")
    device = board()
    found = probe(device, target)
    with pytest.raises(ConfigError, match=r"device 'ssh://127\.0\.0\.1:\d+' is a different machine"):
        require(target, device, found, compare(target, found))


def test_python_that_is_not_there_is_told(board: Callable[..., SshDevice], tmp_path: Path) -> None:
    device = board(python=str(tmp_path / "python9"))
    with pytest.raises(DeviceError, match="python9") as caught:
        probe(device, load_target("rpi4"))
    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
