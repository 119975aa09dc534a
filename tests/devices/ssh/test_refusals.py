"""Errors of boards that cannot be used: one paragraph, a remedy, exit code 7."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from edgetl.devices import open_device
from edgetl.devices._address import parse_address
from edgetl.devices._session import Timeouts
from edgetl.devices.ssh import SshDevice
from edgetl.errors import DeviceError, ExitCode
from edgetl.hashing import digest_file

if TYPE_CHECKING:
    from tests.devices.ssh.conftest import SmallDisk
    from tests.devices.ssh.sshd import Sshd

Board = Callable[..., SshDevice]
WriteKey = Callable[[Path], None]


def refused(device: SshDevice) -> DeviceError:
    """Return the error of connecting to the device."""
    with pytest.raises(DeviceError, match="device") as caught, device.connect():
        pass
    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    assert caught.value.remedy
    assert "\n" not in caught.value.message + caught.value.remedy
    return caught.value


def fingerprint_of(public_key: Path) -> str:
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(public_key)],  # noqa: S607 - comes with sshd
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return printed.split()[1]


def test_unknown_host_key_is_shown_and_the_remedy_accepts_it(
    board: Board, server: Sshd, tmp_path: Path
) -> None:
    known_hosts = tmp_path / "known hosts"
    known_hosts.touch()
    device = board(known_hosts=known_hosts)
    error = refused(device)
    assert error.message == (
        f"the host key of device 'ssh://127.0.0.1:{server.port}' is unknown: it presents "
        f"{fingerprint_of(server.folder / 'host_key.pub')}; nothing was sent"
    )
    accept = error.remedy.rpartition("then: ")[2]
    assert accept == f"ssh-keyscan -p {server.port} 127.0.0.1 >> '{known_hosts}'"
    subprocess.run(accept, shell=True, check=True, capture_output=True)  # noqa: S602 - what a user would paste
    assert "machine" in device.describe()


@pytest.mark.parametrize("checking", ["", "  StrictHostKeyChecking no\n"], ids=["asks", "asks not"])
@pytest.mark.parametrize("nowhere", ["/dev/null", "none"])
def test_ssh_config_that_keeps_no_key_gets_a_remedy_that_does(
    server: Sshd, home: Path, cache: Path, checking: str, nowhere: str
) -> None:
    (home / ".ssh" / "config").write_text(
        f"Host 127.0.0.1\n{checking}  UserKnownHostsFile {nowhere}\n"
    )
    query = f"identity={server.folder}/user_key&cache={cache}&python={sys.executable}"
    device = SshDevice(parse_address(f"ssh://127.0.0.1:{server.port}?{query}"))
    accept = refused(device).remedy.rpartition("then: ")[2]
    assert accept == f"ssh-keyscan -p {server.port} 127.0.0.1 >> {home}/.ssh/known_hosts"
    subprocess.run(accept, shell=True, check=True, capture_output=True)  # noqa: S602 - what a user would paste
    assert "machine" in device.describe()


@pytest.mark.parametrize("checking", ["", "  StrictHostKeyChecking no\n"], ids=["asks", "asks not"])
def test_ssh_asks_and_keeps_the_key_of_an_alias_although_its_config_does_not(
    server: Sshd, home: Path, checking: str
) -> None:
    (home / ".ssh" / "config").write_text(
        f"Host rpi4\n  HostName 127.0.0.1\n  Port {server.port}\n{checking}"
        "  UserKnownHostsFile /dev/null\n"
    )
    device = SshDevice(parse_address(f"ssh://rpi4?identity={server.folder}/user_key"))
    assert refused(device).remedy.rpartition("then: ")[2] == (
        "ssh -o StrictHostKeyChecking=ask -o "
        f"UserKnownHostsFile={home}/.ssh/known_hosts rpi4 true, which asks for confirmation"
    )


def test_login_that_waits_for_input_is_reported_soon(board: Board, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nread answer\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    started = time.monotonic()
    error = refused(board(python=python, timeouts=Timeouts(start=1.0)))
    assert time.monotonic() - started < 10
    assert re.search(
        r"Python did not start on device 'ssh://127\.0\.0\.1:\d+' within 1 s of the login$",
        error.message,
    )
    assert "a start-up file of its shell, such as ~/.bashrc, may wait for input" in error.remedy
    assert error.remedy.endswith(f"127.0.0.1 {python} -V")
    # Together with the login, that is within 20 s.
    assert Timeouts().start <= 15


def test_changed_host_key_names_the_danger_and_both_keys(
    board: Board, server: Sshd, tmp_path: Path, write_key: WriteKey
) -> None:
    write_key(tmp_path / "other")
    key = (tmp_path / "other.pub").read_text()
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{server.port} {key}")
    device = board(known_hosts=known_hosts)
    error = refused(device)
    shown, known = (
        fingerprint_of(path) for path in (server.folder / "host_key.pub", tmp_path / "other.pub")
    )
    assert f"has changed: it presents {shown}, but the known key is {known}; " in error.message
    assert "another machine responds in its place" in error.message
    assert "nothing was sent" in error.message
    command = error.remedy.rpartition("was reinstalled: ")[2]
    subprocess.run(command, shell=True, check=True, capture_output=True)  # noqa: S602 - what a user would paste
    assert "machine" in device.describe()


def test_host_key_of_another_type_than_the_known_one_has_changed_too(
    board: Board, server: Sshd, tmp_path: Path
) -> None:
    key = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{server.port} {key}")
    shown = fingerprint_of(server.folder / "host_key.pub")
    # A server without a common key type disconnects, sometimes before its reason is read.
    for _ in range(3):
        message = refused(board(known_hosts=known_hosts)).message
        assert f"has changed: it presents {shown}, but the known key is SHA256:" in message


def test_ssh_config_cannot_turn_the_check_off(server: Sshd, home: Path) -> None:
    (home / ".ssh" / "config").write_text(
        f"Host rpi4\n  HostName 127.0.0.1\n  Port {server.port}\n  UserKnownHostsFile none\n"
        f"  StrictHostKeyChecking no\n  IdentityFile {server.folder}/user_key\n"
    )
    error = refused(ssh_device("ssh://rpi4"))
    assert "the host key of device 'ssh://rpi4' is unknown" in error.message
    # As it is configured, ssh would neither ask nor keep the key.
    assert error.remedy.endswith(
        "then: ssh -o StrictHostKeyChecking=ask -o "
        f"UserKnownHostsFile={home}/.ssh/known_hosts rpi4 true, which asks for confirmation"
    )


def test_refused_key_is_named_with_the_command_that_installs_it(
    board: Board, server: Sshd, tmp_path: Path, write_key: WriteKey
) -> None:
    write_key(tmp_path / "mine")
    error = refused(board(identity=tmp_path / "mine", user="pi@"))
    assert error.message == (
        f"device 'ssh://pi@127.0.0.1:{server.port}' refuses user 'pi' with the key "
        f"{tmp_path}/mine; passwords are never tried"
    )
    assert error.remedy.endswith(f"ssh-copy-id -i {tmp_path}/mine -p {server.port} pi@127.0.0.1")


def test_wrong_user_is_named(board: Board) -> None:
    assert "refuses user 'nobody-of-this-name' with" in (
        refused(board(user="nobody-of-this-name@")).message
    )


def test_key_with_a_passphrase_belongs_in_the_ssh_agent(board: Board, tmp_path: Path) -> None:
    path = tmp_path / "locked"
    write_locked_key(path)
    error = refused(board(identity=path))
    assert "cannot be contacted with these ssh settings" in error.message
    assert f"the key file {path}; add a key with a passphrase to the ssh agent: ssh-add" in (
        error.remedy
    )


def test_default_key_with_a_passphrase_is_skipped(server: Sshd, home: Path) -> None:
    write_locked_key(home / ".ssh" / "id_ed25519")
    address = f"ssh://127.0.0.1:{server.port}?known_hosts={server.folder}/known_hosts"
    assert "with the keys of the ssh agent and of ~/.ssh" in refused(ssh_device(address)).message


def write_locked_key(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)]
    subprocess.run(command, check=True)


def test_port_where_nothing_listens(board: Board) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = refused(board(port=port))
    assert f"'127.0.0.1' refuses connections to port {port}" in error.message
    assert "systemctl enable --now ssh" in error.remedy


def test_unknown_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = refused(ssh_device("ssh://pi@rpi44"))
    assert (
        error.message
        == "device 'ssh://pi@rpi44' cannot be reached: the host name 'rpi44' cannot be resolved"
    )


def test_host_that_does_not_respond_in_time(board: Board) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        device = board(port=silent.getsockname()[1], timeouts=Timeouts(connect=0.5))
        assert "'127.0.0.1' did not respond within 0.5 s" in refused(device).message


def test_server_that_does_not_speak_ssh(board: Board) -> None:
    with socket.create_server(("127.0.0.1", 0)) as web:

        def respond() -> None:
            end, _ = web.accept()
            with end:
                end.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)

        thread = threading.Thread(target=respond)
        thread.start()
        error = refused(board(port=web.getsockname()[1], timeouts=Timeouts(connect=2.0)))
        thread.join()
    assert "cannot be reached: " in error.message
    assert "get this command to work first: ssh -p" in error.remedy


def test_missing_python(board: Board, server: Sshd) -> None:
    error = refused(board(python="/nowhere/python3"))
    assert f"device 'ssh://127.0.0.1:{server.port}' cannot start '/nowhere/python3': " in (
        error.message
    )
    assert error.message.rpartition(": ")[2] in {"No such file or directory", "not found"}
    assert f"ssh://127.0.0.1:{server.port}?python=/usr/bin/python3" in error.remedy


@pytest.mark.parametrize(("version", "allowed"), [("2.7", False), ("3.8", False), ("3.9", True)])
def test_python_that_is_too_old(board: Board, tmp_path: Path, version: str, allowed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho edgetl-agent {version}\nexit 7\n")
    python.chmod(0o755)
    error = refused(board(python=python))
    assert (f"is Python {version}; the runtime needs 3.9 or newer" in error.message) != allowed


def test_python_that_fails_is_quoted(board: Board, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'no libpython' >&2\nexit 5\n")
    python.chmod(0o755)
    error = refused(board(python=python))
    assert "exited with 5: no libpython" in error.message
    assert shlex.quote(str(python)) in error.remedy


def test_login_that_never_stops_printing(board: Board, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec yes\n")
    python.chmod(0o755)
    device = board(python=python, timeouts=Timeouts(connect=2.0))
    assert "never stops printing" in refused(device).message


def test_cache_folder_that_cannot_be_made(board: Board, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = refused(board(cache=tmp_path / "file"))
    assert f"reports: Not a directory: '{tmp_path}/file/files'" in error.message


def test_model_larger_than_the_memory_of_the_board_is_not_sent(
    board: Board, cache: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(1 << 42)
    with board().connect() as connection:
        with pytest.raises(
            DeviceError, match=r"memory free, .* 'model.bin' alone is 4194304 MiB; "
        ) as caught:
            connection.put({"model.bin": large})
        assert connection.run(["-c", "print(1)"], timeout_s=60) == "1\n"
        assert connection.sent_bytes == 0
    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    assert caught.value.remedy.startswith("use a smaller model (int8, a narrower student), ")
    assert list((cache / "files").iterdir()) == []


def test_full_disk_is_reported_and_the_next_run_with_space_works(
    board: Board, disk: SmallDisk, payload: Path
) -> None:
    device = board(cache=disk.folder / "cache")
    with device.connect() as connection:
        with pytest.raises(DeviceError, match=r"has no space left in .*/cache; ") as caught:
            connection.put({"model.bin": payload})
        assert connection.run(["-c", "print(1)"], timeout_s=60) == "1\n"
    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE
    assert "?cache=/" in caught.value.remedy
    assert list((disk.folder / "cache").rglob("*")) == [disk.folder / "cache" / "files"]

    disk.grow()
    with device.connect() as connection:
        connection.put({"model.bin": payload})
    assert [path.name for path in (disk.folder / "cache" / "files").iterdir()] == [
        digest_file(payload)
    ]


def test_least_recently_used_files_are_removed_from_a_small_disk(
    board: Board, disk: SmallDisk, tmp_path: Path
) -> None:
    device = board(cache=disk.folder / "cache")
    for number in range(4):  # a file and its copy take 2 of 3 MiB
        path = tmp_path / str(number)
        path.write_bytes(bytes([number]) * (1 << 20))
        with device.connect() as connection:
            connection.put({"model.bin": path})
    kept = {path.name for path in (disk.folder / "cache" / "files").iterdir()}
    assert kept == {digest_file(tmp_path / "2"), digest_file(tmp_path / "3")}


def ssh_device(address: str) -> SshDevice:
    device = open_device(address)
    assert isinstance(device, SshDevice)
    return device
