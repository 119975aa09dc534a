"""A connection that is cut: what was sent is kept, what ran there ends, the rest is said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgetl.devices._session import Patience
from edgetl.devices.ssh import SshDevice
from edgetl.errors import DeviceError
from edgetl.hashing import digest_file

if TYPE_CHECKING:
    from tests.devices.ssh.conftest import Processes
    from tests.devices.ssh.sshd import Relay, Sshd

Board = Callable[..., SshDevice]

_OVERHEAD_BYTES = 700_000
"""A piece that was on its way, two logins, two times the agent's text."""
_SLEEPER = """\
import os, sys, time
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()} ")
time.sleep(600)
"""
# Sleeps at its first start only, in which it says what its number is.
_SECOND_TIME_DONE = _SLEEPER.replace(
    "time.sleep", "len(open(sys.argv[1]).read().split()) > 1 or time.sleep"
)


@pytest.mark.parametrize("how", ["line", "server"])
def test_upload_goes_on_where_it_was_cut(  # noqa: PLR0917 - fixtures
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
    assert "was cut while files were sent; once more" in caplog.text


def test_upload_that_is_cut_twice_is_an_error_and_the_next_run_goes_on(
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
        with pytest.raises(DeviceError, match="was cut while files were sent, twice") as caught:
            connection.put({"model.bin": payload})
        assert relay_cuts.is_set()
    assert "what was sent is kept there" in caught.value.remedy
    with device.connect() as connection:
        connection.put({"model.bin": payload})
        assert connection.sent_bytes < (5 << 20)


def test_files_that_were_there_are_there_again_after_a_cut(
    board: Board, relay: Relay, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("a")
    with board(port=relay.port).connect() as connection:
        connection.put({"a": tmp_path / "a"})
        relay.cut()
        assert connection.run(["-c", "print(open('a').read())"], timeout_s=60) == "a\n"


def test_process_that_was_cut_off_ends_and_is_run_once_more(
    board: Board, relay: Relay, processes: Processes
) -> None:
    processes.at_first(relay.cut)
    with board(port=relay.port).connect() as connection:
        connection.run(["-c", _SECOND_TIME_DONE, str(processes.path)], timeout_s=60)
    assert len(processes.numbers()) == 2
    processes.assert_gone()


def test_cut_after_something_ran_is_an_error_because_its_files_are_lost(
    board: Board, relay: Relay, tmp_path: Path
) -> None:
    with board(port=relay.port).connect() as connection:
        connection.run(["-c", "open('made', 'w').write('x')"], timeout_s=60)
        relay.cut()
        with pytest.raises(DeviceError, match=r"'made' was fetched; what was made there is lost"):
            connection.get(["made"], tmp_path)


def test_pulled_plug_is_noticed_on_both_sides(
    board: Board, relay: Relay, processes: Processes
) -> None:
    processes.at_first(relay.go_deaf)
    patience = Patience(connect=5.0, ping=0.2, missed_pings=3, silence=1.0)
    with board(port=relay.port, patience=patience).connect() as connection:
        connection.run(["-c", "pass"], timeout_s=60)
        started = time.monotonic()
        with pytest.raises(DeviceError, match=r"was cut while 'python -c .*' ran"):
            connection.run(["-c", _SLEEPER, str(processes.path)], timeout_s=60)
        assert time.monotonic() - started < 20
        processes.assert_gone()


def test_own_agent_behind_a_dead_line_does_not_keep_the_board(
    board: Board, relay: Relay, processes: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    processes.at_first(relay.go_deaf)
    # Left alone, the agent would wait for a minute.
    patience = Patience(connect=5.0, ping=0.2, missed_pings=3, silence=60.0)
    with board(port=relay.port, patience=patience).connect() as connection:
        started = time.monotonic()
        connection.run(["-c", _SECOND_TIME_DONE, str(processes.path)], timeout_s=60)
        assert time.monotonic() - started < 30
    processes.assert_gone()
    assert "taken over" in caplog.text


def test_client_that_computes_for_long_keeps_its_connection(board: Board) -> None:
    patience = Patience(ping=0.2, silence=1.0)
    with board(patience=patience).connect() as connection:
        time.sleep(2.5)
        assert connection.run(["-c", "import time; time.sleep(2); print(1)"], timeout_s=60) == "1\n"
