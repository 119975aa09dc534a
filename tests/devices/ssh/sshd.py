"""An OpenSSH server on loopback in the role of a board, and a relay that cuts connections."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import asyncssh
import pytest

_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
SetEnv TMPDIR={folder}/tmp
"""


@dataclass(frozen=True)
class Sshd:
    """A server of this user, with a host key and an authorized key of its own."""

    folder: Path
    port: int
    pid: int

    @property
    def lock(self) -> Path:
        """File of the board's lock."""
        return self.folder / "tmp" / "edgetl.lock"

    def address(self, *, port: int | None = None, user: str = "", **settings: object) -> str:
        """Return this board's address; `settings` override the necessary ones."""
        query = {
            "identity": self.folder / "user_key",
            "known_hosts": self.folder / "known_hosts",
            "python": sys.executable,
            **settings,
        }
        return f"ssh://{user}127.0.0.1:{port or self.port}?{urlencode(query, quote_via=quote)}"

    def host_key(self) -> str:
        """Return the public host key in the format of a file of known hosts."""
        return (self.folder / "host_key.pub").read_text(encoding="utf-8").strip()

    def sessions(self) -> list[int]:
        """Return this server's processes that serve a connection."""
        parents = {
            int(entry.name): _status(entry)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit()
        }
        return [
            process
            for process, (name, parent) in parents.items()
            if name == "sshd"
            and (parent == self.pid or parents.get(parent, ("", 0))[1] == self.pid)
        ]

    def kill_sessions(self) -> None:
        """Cut every connection like a crash of the board's server."""
        for process in self.sessions():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@contextmanager
def running_sshd(folder: Path) -> Iterator[Sshd]:
    """Run a server in `folder` until the context ends; skip the test if none is installed."""
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("sshd is not installed; run .ci/system-packages")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd changes its root to it
    (folder / "tmp").mkdir()
    for name in ("host_key", "user_key"):
        write_key(folder / name)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    host_key = (folder / "host_key.pub").read_text(encoding="utf-8")
    # The relay listens on other ports of the same host.
    (folder / "known_hosts").write_text(f"[127.0.0.1]:* {host_key}", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "sshd_config"
    config.write_text(_CONFIG.format(port=port, folder=folder), encoding="utf-8")
    log = folder / "sshd.log"
    process = subprocess.Popen([program, "-D", "-f", str(config), "-E", str(log)])
    try:
        _wait_for(port, process, log)
        yield Sshd(folder, port, process.pid)
    finally:
        process.terminate()
        process.wait()


def write_key(path: Path) -> None:
    """Write a new key and its public half."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(path)
    path.chmod(0o600)
    key.write_public_key(path.with_name(f"{path.name}.pub"))


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"sshd does not start: {log.read_text(encoding='utf-8') if log.exists() else ''}")


def _status(entry: Path) -> tuple[str, int]:
    try:
        text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", 0
    name, _, rest = text.partition("(")[2].rpartition(")")
    return name, int(rest.split()[1])


@dataclass
class Relay:
    """Passes bytes between a client and a server, counts them, and fails on request."""

    server_port: int
    from_client_bytes: int = 0
    _listener: socket.socket = field(init=False)
    _ends: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _deaf: set[socket.socket] = field(default_factory=set)
    _limit_bytes: int | None = None
    _at_limit: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._start(self._accept)

    @property
    def port(self) -> int:
        """Port on which it listens."""
        return int(self._listener.getsockname()[1])

    def after(self, num_bytes: int, action: Callable[[], None]) -> None:
        """Run `action` once the client has sent another `num_bytes`."""
        self._at_limit = action
        self._limit_bytes = self.from_client_bytes + num_bytes

    def cut(self) -> None:
        """Close all open connections."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def go_deaf(self) -> None:
        """Stop forwarding without closing connections, like a pulled plug."""
        self._deaf.update(self._ends)

    def close(self) -> None:
        """Close everything and wait for the threads."""
        self._deaf.clear()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            self._ends += [client, server]
            self._start(self._pass_on, client, server)
            self._start(self._pass_on, server, client)

    def _start(self, target: Callable[..., None], *ends: socket.socket) -> None:
        thread = threading.Thread(target=target, args=ends, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        from_client = source.getsockname()[1] == self.port
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                if from_client:
                    self._count(len(piece))
                while source in self._deaf:
                    time.sleep(0.05)
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _count(self, num_bytes: int) -> None:
        self.from_client_bytes += num_bytes
        if self._limit_bytes is not None and self.from_client_bytes >= self._limit_bytes:
            self._limit_bytes = None
            self._at_limit()
