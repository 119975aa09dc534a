"""A board over ssh: an OpenSSH server on loopback, checked for leftovers after every test."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from edgetl.devices._session import Timeouts
from edgetl.devices.ssh import SshDevice, parse

if TYPE_CHECKING:
    from tests.devices.ssh.sshd import Relay, Sshd

_CLEANING_S = 15.0


def _load(name: str) -> ModuleType:
    # By path, because installed packages may contain a package `tests`.
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"edgetl_tests_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with _load("sshd").running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def relay(server: Sshd) -> Iterator[Relay]:
    relay: Relay = _load("sshd").Relay(server.port)
    yield relay
    relay.close()


@pytest.fixture
def write_key() -> Callable[[Path], None]:
    write: Callable[[Path], None] = _load("sshd").write_key
    return write


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty home, to exclude the keys and ssh settings of the current user."""
    folder = tmp_path_factory.mktemp("home")
    (folder / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def board(server: Sshd, cache: Path) -> Iterator[Callable[..., SshDevice]]:
    """Return a function that makes devices of the server; only the file cache may stay there."""

    def make(
        *, timeouts: Timeouts | None = None, cache_limit_bytes: int = 1 << 30, **settings: object
    ) -> SshDevice:
        device = parse(server.address(**{"cache": cache, **settings}))  # type: ignore[arg-type]
        return replace(device, timeouts=timeouts or Timeouts(), cache_limit_bytes=cache_limit_bytes)

    yield make
    deadline = time.monotonic() + _CLEANING_S
    while (left := _left(server, cache)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def _left(server: Sshd, cache: Path) -> list[str]:
    kept = sorted(path.name for path in cache.glob("*") if path.name != "files")
    return kept + [path.name for path in (server.folder / "tmp").iterdir()]


class Processes:
    """Processes that write their numbers, each followed by a space, to `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._threads: list[threading.Thread] = []

    def numbers(self) -> list[int]:
        """Return the completely written numbers."""
        if not self.path.exists():
            return []
        return [int(word) for word in self.path.read_text().rpartition(" ")[0].split()]

    def at_first(self, action: Callable[[], None]) -> None:
        """Run `action` in another thread once the first number is written."""

        def wait() -> None:
            deadline = time.monotonic() + 60
            while not self.numbers() and time.monotonic() < deadline:
                time.sleep(0.02)
            action()

        thread = threading.Thread(target=wait)
        self._threads.append(thread)
        thread.start()

    def assert_gone(self) -> None:
        """Assert that all of them end within moments."""
        assert self.numbers()
        deadline = time.monotonic() + _CLEANING_S
        while (running := [pid for pid in self.numbers() if _runs(pid)]) != []:
            assert time.monotonic() < deadline, f"{running} still run"
            time.sleep(0.02)

    def join(self) -> None:
        """Wait for the threads."""
        for thread in self._threads:
            thread.join()


def _runs(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path / "processes")
    yield processes
    processes.join()


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """Write an incompressible file of 8 MiB."""
    path = tmp_path / "payload.bin"
    path.write_bytes(hashlib.shake_128(b"payload").digest(8 << 20))
    return path


class SmallDisk:
    """A small disk mounted on a folder, which requires root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=3m", "edgetl-test", str(folder))

    def grow(self) -> None:
        """Make it 32 MiB."""
        self._mount("-o", "remount,size=32m", str(self.folder))

    @staticmethod
    def _mount(*words: str) -> None:
        mount = shutil.which("mount")
        if mount is None or os.geteuid() != 0:
            pytest.skip("only root may mount the small disk that this test fills")
        done = subprocess.run([mount, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mount an empty disk of 3 MiB."""
    small = SmallDisk(tmp_path / "disk")
    yield small
    subprocess.run(["umount", "--lazy", str(small.folder)], check=True)  # noqa: S607 - as mount
