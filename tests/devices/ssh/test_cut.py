"""A lost connection: sent files are kept, processes are killed, lost files are reported."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgetl.devices._session import Timeouts
from edgetl.devices.ssh import SshDevice
from edgetl.errors import DeviceError
from edgetl.hashing import digest_file

if TYPE_CHECKING:
    from tests.devices.ssh.conftest import Processes
    from tests.devices.ssh.sshd import Relay, Sshd

Board = Callable[..., SshDevice]

_OVERHEAD_BYTES = 700_000
"""A piece in flight, two logins, and the agent's source twice."""
_SLEEPER = """\
import os, sys, time
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()} ")
time.sleep(600)
"""
# Sleeps only in its first run, after writing its number.
_SLEEPS_ONCE = _SLEEPER.replace(
    "time.sleep", "len(open(sys.argv[1]).read().split()) > 1 or time.sleep"
)


@pytest.mark.parametrize("how", ["line", "server"])
def test_upload_is_resumed_after_a_cut(  # noqa: PLR0917 - fixtures
    how: str,
    board: Board,
    relay: Relay,
    server: Sshd,
    payload: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cut = {"line": relay.cut, "server": server.kill_sessions}[how]
    with board(port=relay.port).connect() as connection:
        before = relay.from_client_bytes
        relay.after(6 << 20, cut)
        connection.put({"model.bin": payload})
        connection.get(["model.bin"], tmp_path / "back")
        sent = relay.from_client_bytes - before
    assert digest_file(tmp_path / "back" / "model.bin") == digest_file(payload)
    assert payload.stat().st_size < sent < payload.stat().st_size + _OVERHEAD_BYTES
    assert "was lost while sending files; retrying" in caplog.text


def test_upload_cut_twice_fails_and_is_resumed_by_the_next_run(
    board: Board, relay: Relay, payload: Path
) -> None:
    device = board(port=relay.port)
    relay_cuts = threading.Event()

    def cut_again() -> None:
        relay.cut()
        relay.after(2 << 20, relay.cut)
        relay_cuts.set()

    with device.connect() as connection:
        relay.after(2 << 20, cut_again)
        with pytest.raises(DeviceError, match="was lost twice while sending files") as caught:
            connection.put({"model.bin": payload})
        assert relay_cuts.is_set()
    assert "already sent are kept on the device" in caught.value.remedy
    with device.connect() as connection:
        connection.put({"model.bin": payload})
        assert connection.sent_bytes < (5 << 20)


def test_files_are_restored_after_a_cut(board: Board, relay: Relay, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with board(port=relay.port).connect() as connection:
        connection.put({"a": tmp_path / "a"})
        relay.cut()
        assert connection.run(["-c", "print(open('a').read())"], timeout_s=60) == "a\n"


def test_process_is_killed_by_a_cut_and_run_once_more(
    board: Board, relay: Relay, processes: Processes
) -> None:
    processes.at_first(relay.cut)
    with board(port=relay.port).connect() as connection:
        connection.run(["-c", _SLEEPS_ONCE, str(processes.path)], timeout_s=60)
    assert len(processes.numbers()) == 2
    processes.assert_gone()


def test_cut_after_a_run_is_an_error_because_its_files_are_lost(
    board: Board, relay: Relay, tmp_path: Path
) -> None:
    with board(port=relay.port).connect() as connection:
        connection.run(["-c", "open('made', 'w').write('x')"], timeout_s=60)
        relay.cut()
        with pytest.raises(DeviceError, match=r"fetching 'made'; the files made there are lost"):
            connection.get(["made"], tmp_path)


def test_pulled_plug_is_noticed_on_both_sides(
    board: Board, relay: Relay, processes: Processes
) -> None:
    processes.at_first(relay.go_deaf)
    timeouts = Timeouts(connect=5.0, ping=0.2, missed_pings=3, silence=1.0)
    with board(port=relay.port, timeouts=timeouts).connect() as connection:
        connection.run(["-c", "pass"], timeout_s=60)
        started = time.monotonic()
        with pytest.raises(DeviceError, match=r"was lost while running 'python -c .*'"):
            connection.run(["-c", _SLEEPER, str(processes.path)], timeout_s=60)
        assert time.monotonic() - started < 20
        processes.assert_gone()


def test_own_agent_behind_a_dead_connection_does_not_keep_the_board(
    board: Board, relay: Relay, processes: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    processes.at_first(relay.go_deaf)
    # By itself, the agent would wait for a minute.
    timeouts = Timeouts(connect=5.0, ping=0.2, missed_pings=3, silence=60.0)
    with board(port=relay.port, timeouts=timeouts).connect() as connection:
        started = time.monotonic()
        connection.run(["-c", _SLEEPS_ONCE, str(processes.path)], timeout_s=60)
        assert time.monotonic() - started < 30
    processes.assert_gone()
    assert "taken over" in caplog.text


def test_busy_client_keeps_its_connection(board: Board) -> None:
    timeouts = Timeouts(ping=0.2, silence=1.0)
    with board(timeouts=timeouts).connect() as connection:
        time.sleep(2.5)
        assert connection.run(["-c", "import time; time.sleep(2); print(1)"], timeout_s=60) == "1\n"
