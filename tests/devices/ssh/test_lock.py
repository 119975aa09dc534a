"""One client at a time on a board: waiting, messages, and frozen holders."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgetl.devices._session import Timeouts
from edgetl.devices.ssh import SshDevice
from edgetl.errors import DeviceError, ExitCode

if TYPE_CHECKING:
    from tests.devices.ssh.conftest import Processes
    from tests.devices.ssh.sshd import Sshd

Board = Callable[..., SshDevice]


def test_second_client_gets_the_name_of_the_holder_and_the_time(board: Board) -> None:
    with (
        board().connect(),
        pytest.raises(
            DeviceError,
            match=rf"^device 'ssh://127\.0\.0\.1:\d+' is in use by \w+@.+ pid {os.getpid()} "
            r"since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d; waited 0\.3 s\n",
        ) as caught,
        board(wait=0.3).connect(),
    ):
        pass
    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    assert re.fullmatch(
        r"try again later, or wait longer: ssh://127\.0\.0\.1:\d+\?wait=3600", caught.value.remedy
    )


def test_second_client_waits_for_the_first_one(
    board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgetl")
    order = []
    started = threading.Event()

    def first() -> None:
        with board().connect() as connection:
            started.set()
            connection.run(["-c", "import time; time.sleep(1.5)"], timeout_s=60)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert started.wait(60)
    with board().connect():
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert "is in use by" in caplog.text


def test_board_in_use_can_be_described(board: Board) -> None:
    with board().connect():
        assert "machine" in board().describe()


def test_frozen_holder_is_killed_and_reported(
    board: Board, server: Sshd, caplog: pytest.LogCaptureFixture
) -> None:
    timeouts = Timeouts(ping=0.2, stale=1.0)
    with board(timeouts=timeouts).connect() as frozen:
        agent = json.loads(server.lock.read_text())["agent"]
        os.kill(agent, signal.SIGSTOP)
        with board(timeouts=timeouts).connect() as connection:
            assert connection.run(["-c", "print(1)"], timeout_s=60) == "1\n"
        assert re.search(
            rf"was in use by \w+@.+ pid {os.getpid()}, which sent no heartbeat for \d+ s; "
            "taken over",
            caplog.text,
        )
        with pytest.raises(DeviceError, match="was killed by SIGKILL") as caught:
            frozen.run(["-c", "pass"], timeout_s=60)
    assert "another client took the device over" in caught.value.remedy


def test_holder_with_heartbeats_is_not_killed(board: Board) -> None:
    timeouts = Timeouts(ping=0.1, stale=0.5)
    with board(timeouts=timeouts).connect() as connection:
        time.sleep(1.0)
        with (
            pytest.raises(DeviceError, match="in use by"),
            board(timeouts=timeouts, wait=1).connect(),
        ):
            pass
        assert connection.run(["-c", "print(1)"], timeout_s=60) == "1\n"


def test_board_of_a_killed_agent_is_free_and_its_folder_is_removed(
    board: Board, server: Sshd, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with board().connect():
        os.kill(json.loads(server.lock.read_text())["agent"], signal.SIGKILL)
        with board(wait=5).connect():
            assert len(list(cache.glob("work-*"))) == 1
    assert "taken over" in caplog.text


def test_process_that_outlives_its_killed_agent_keeps_the_board_until_it_counts_as_frozen(
    board: Board, server: Sshd, processes: Processes
) -> None:
    timeouts = Timeouts(ping=0.2, stale=3.0)
    code = "import os, sys, time; open(sys.argv[1], 'w').write(f'{os.getpid()} '); time.sleep(600)"
    processes.at_first(
        lambda: os.kill(json.loads(server.lock.read_text())["agent"], signal.SIGKILL)
    )
    with board(timeouts=timeouts).connect() as connection:
        with pytest.raises(DeviceError, match=r"agent on device .* was killed by SIGKILL"):
            connection.run(["-c", code, str(processes.path)], timeout_s=60)
        with pytest.raises(DeviceError, match="in use by"), board(wait=0).connect():
            pass
        with board(timeouts=timeouts, wait=20).connect():
            processes.assert_gone()


def test_control_characters_of_a_foreign_record_are_replaced(board: Board, server: Sshd) -> None:
    with (
        forged_lock(server, owner="\x1b[2J evil"),
        pytest.raises(DeviceError, match=r"in use by \?\[2J evil since"),
        board(wait=0).connect(),
    ):
        pass


def test_process_without_the_lock_is_never_killed(
    board: Board, server: Sshd, bystander: int
) -> None:
    with forged_lock(server, owner="evil", agent=bystander, group=bystander, beat=-1e6):
        with (
            pytest.raises(
                DeviceError, match=r"evil since .*, which sent no heartbeat for \d+ s"
            ) as caught,
            board(wait=1).connect(),
        ):
            pass
        assert f"sudo kill -9 {bystander}" in caught.value.remedy
    os.kill(bystander, 0)


@pytest.fixture
def bystander() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    yield process.pid
    assert process.poll() is None
    process.kill()
    process.wait()


@contextmanager
def forged_lock(server: Sshd, **record: object) -> Iterator[None]:
    """Hold the board's lock in this process, with a forged record."""
    with server.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps({"token": "", "since": 0.0, "beat": time.monotonic(), **record}))
        file.flush()
        yield
        server.lock.unlink()
