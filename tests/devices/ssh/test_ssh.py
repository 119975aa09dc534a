"""A board over ssh: sent files, cached files, and processes."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgetl.devices import open_device
from edgetl.devices.ssh import SshDevice
from edgetl.errors import DeviceError, ExitCode
from edgetl.hashing import digest_file
from edgetl.runtime.bundle import runtime_files
from edgetl.runtime.host import fingerprint

if TYPE_CHECKING:
    from tests.devices.ssh.conftest import Processes
    from tests.devices.ssh.sshd import Relay, Sshd

Board = Callable[..., SshDevice]

_SLEEPERS = """\
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1], "w") as file:
    file.write(f"{os.getpid()} {child.pid} ")
time.sleep(600)
"""


def test_description_is_the_boards_fingerprint(board: Board) -> None:
    assert board().describe() == fingerprint()


def test_sent_runtime_is_the_one_that_runs(board: Board, cache: Path) -> None:
    with board().connect() as connection:
        connection.put(runtime_files())
        printed = connection.run(
            ["-c", "import edgetl.runtime.host as h; print(h.__file__)"], timeout_s=60
        )
    used = Path(printed.strip())
    assert used.relative_to(cache).parts[1:] == ("edgetl", "runtime", "host.py")


def test_environment_is_that_of_the_local_device(board: Board) -> None:
    code = "import os; print(sorted(os.environ.items()))"
    with board().connect() as there, open_device("local").connect() as here:
        printed = there.run(["-c", code], timeout_s=60)
        assert printed == here.run(["-c", code], timeout_s=60)


def test_second_put_sends_nothing(
    board: Board, relay: Relay, payload: Path, tmp_path: Path
) -> None:
    device = board(port=relay.port)
    with device.connect() as connection:
        connection.put({"a/model.bin": payload})
        assert connection.sent_bytes == payload.stat().st_size
        before = relay.from_client_bytes
        connection.put({"b.bin": payload})
        assert connection.sent_bytes == payload.stat().st_size
        assert relay.from_client_bytes - before < 1024
        connection.get(["a/model.bin", "b.bin"], tmp_path / "back")
    for name in ("a/model.bin", "b.bin"):
        assert digest_file(tmp_path / "back" / name) == digest_file(payload)

    before = relay.from_client_bytes
    with device.connect() as connection:
        connection.put({"model.bin": payload})
        assert connection.sent_bytes == 0
    # A login and the agent's source.
    assert relay.from_client_bytes - before < 64 << 10


def test_same_bytes_under_two_names_are_sent_once(board: Board, payload: Path) -> None:
    with board().connect() as connection:
        connection.put({"a": payload, "b": payload})
        assert connection.sent_bytes == payload.stat().st_size


def test_empty_file_arrives(board: Board, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with board().connect() as connection:
        connection.put({"empty": tmp_path / "empty"})
        assert connection.run(["-c", "print(open('empty').read() == '')"], timeout_s=60) == "True\n"


def test_program_that_writes_into_its_files_does_not_damage_the_cache(
    board: Board, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("right")
    for _ in range(2):
        with board().connect() as connection:
            connection.put({"a": tmp_path / "a"})
            assert connection.run(["-c", "print(open('a').read())"], timeout_s=60) == "right\n"
            connection.run(["-c", "open('a', 'r+').write('wrong')"], timeout_s=60)


def test_damaged_cached_file_is_sent_again(board: Board, cache: Path, payload: Path) -> None:
    with board().connect() as connection:
        connection.put({"a": payload})
    kept = cache / "files" / digest_file(payload)
    with kept.open("r+b") as file:
        file.seek(1000)
        file.write(b"rot")
    with board().connect() as connection:
        connection.put({"a": payload})
        assert connection.sent_bytes == payload.stat().st_size
    assert digest_file(kept) == digest_file(payload)


def test_cache_stays_below_its_limit_by_removing_the_least_recently_used_file(
    board: Board, cache: Path, tmp_path: Path
) -> None:
    files = []
    for name in ("first", "second", "third"):
        files.append(tmp_path / name)
        files[-1].write_bytes(name.encode() * 100_000)
    device = board(cache_limit_bytes=1_200_000)
    for path in (files[0], files[1], files[0], files[2]):
        with device.connect() as connection:
            connection.put({"file": path})
    kept = {path.name for path in (cache / "files").iterdir()}
    assert kept == {digest_file(files[0]), digest_file(files[2])}


def test_session_that_needs_more_than_the_limit_still_gets_its_files(
    board: Board, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"a" * 1000)
    (tmp_path / "b").write_bytes(b"b" * 1000)
    with board(cache_limit_bytes=1500).connect() as connection:
        connection.put({"a": tmp_path / "a", "b": tmp_path / "b"})
        assert connection.run(["-c", "import os; print(sorted(os.listdir()))"], timeout_s=60) == (
            "['a', 'b']\n"
        )


def test_file_that_changes_while_it_is_sent_is_refused(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"now")
    monkeypatch.setattr("edgetl.devices.ssh.digest_file", lambda _: "0" * 64)
    with (
        board().connect() as connection,
        pytest.raises(DeviceError, match=r"did not arrive intact on device"),
    ):
        connection.put({"a": tmp_path / "a"})


def test_large_output_is_returned_completely(board: Board) -> None:
    with board().connect() as connection:
        printed = connection.run(["-c", "print('x' * 8_000_000)"], timeout_s=60)
    assert len(printed) == 8_000_001


def test_time_limit_kills_the_whole_process_group(board: Board, processes: Processes) -> None:
    with (
        board().connect() as connection,
        pytest.raises(DeviceError, match=r"took longer than 2 s") as caught,
    ):
        connection.run(["-c", _SLEEPERS, str(processes.path)], timeout_s=2)
    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    processes.assert_gone()


def test_children_of_a_finished_process_are_killed(board: Board, processes: Processes) -> None:
    code = _SLEEPERS.rsplit("\n", 2)[0]
    with board().connect() as connection:
        connection.run(["-c", code, str(processes.path)], timeout_s=60)
        processes.assert_gone()


def test_ctrl_c_kills_the_remote_process(board: Board, processes: Processes) -> None:
    processes.at_first(lambda: os.kill(os.getpid(), signal.SIGINT))
    with board().connect() as connection, pytest.raises(KeyboardInterrupt):
        connection.run(["-c", _SLEEPERS, str(processes.path)], timeout_s=60)
    processes.assert_gone()


def test_error_of_a_killed_process_names_signal_and_memory(board: Board) -> None:
    with (
        board().connect() as connection,
        pytest.raises(DeviceError, match=r"was killed by SIGKILL: no error output") as caught,
    ):
        connection.run(["-c", "import os; os.kill(os.getpid(), 9)"], timeout_s=60)
    assert "memory" in caught.value.remedy


def test_remedy_for_a_missing_package_installs_it_on_the_board(board: Board, server: Sshd) -> None:
    with (
        board().connect() as connection,
        pytest.raises(DeviceError, match=r"exited with 1: .*No module named 'PIL'") as caught,
    ):
        connection.run(["-S", "-c", "import PIL"], timeout_s=60)
    assert caught.value.remedy == (
        f"ssh -p {server.port} 127.0.0.1 {sys.executable} -m pip install pillow"
    )


def test_alias_of_the_ssh_config_is_resolved(server: Sshd, home: Path, cache: Path) -> None:
    (home / ".ssh" / "config").write_text(
        f"Host rpi4\n  HostName 127.0.0.1\n  Port {server.port}\n"
        f"  IdentityFile {server.folder}/user_key\n"
        f"  UserKnownHostsFile {server.folder}/known_hosts\n"
        "  SendEnv EDGETL_*\n  SetEnv EDGETL_SET=1\n  RequestTTY force\n  ForwardAgent yes\n"
    )
    device = open_device(f"ssh://rpi4?python={sys.executable}&cache={cache}")
    assert device.address == "ssh://rpi4"
    assert device.provenance == "measured"
    assert device.describe() == fingerprint()


def test_key_of_the_ssh_agent_is_used(
    server: Sshd, home: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = home / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)  # noqa: S607 - comes with sshd
    try:
        while not socket.exists():
            assert agent.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", str(server.folder / "user_key")], check=True)  # noqa: S607 - comes with sshd
        known_hosts = server.folder / "known_hosts"
        address = f"ssh://127.0.0.1:{server.port}?python={sys.executable}&cache={cache}"
        assert open_device(f"{address}&known_hosts={known_hosts}").describe() == fingerprint()
    finally:
        agent.terminate()
        agent.wait()


def test_home_of_the_device_is_expanded_there(board: Board, tmp_path: Path) -> None:
    python = tmp_path / "my env" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    # The login takes the home from the list of users, not from this process's environment.
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert board(python=f"~/{os.path.relpath(python, home)}").describe() == fingerprint()


def test_home_that_is_missing_on_the_device_is_an_error_with_the_path(board: Board) -> None:
    with pytest.raises(
        DeviceError, match=r"cannot start '~/no such env/bin/python': .*no such env"
    ):
        board(python="~/no such env/bin/python").describe()


def test_banner_of_the_login_is_skipped(board: Board, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho Welcome!\necho\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert board(python=python).describe() == fingerprint()
