"""The agent's loop: one reply per message, until the client is gone.

Then it kills its child processes, removes the working folder and releases the lock; only the cache
of sent files stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from edgetl.devices._agent.cache import Cache, Part
from edgetl.devices._agent.link import GoneError, Link
from edgetl.devices._agent.lock import Lock
from edgetl.devices._agent.memory import free_bytes

_PIECE_BYTES = 1 << 20
_TAIL_BYTES = 1 << 16
"""Length of the end of a process's standard error that is sent to the client."""
_WORK_PREFIX = "work-"

Reply = dict[str, Any]


class Agent:
    """Serves the client; every public method except `serve` and `drop` handles a request."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = Lock()
        self._cache: Cache
        self._work: Path
        self._work_file: int | None = None
        self._part: Part | None = None

    def serve(self) -> None:
        """Handle requests until the client is gone."""
        while True:
            message, payload = self._link.receive()
            name = message.pop("request")
            if name == "ping":
                self._lock.beat()
                continue
            if payload:
                message["payload"] = payload
            try:
                reply, data = getattr(self, name)(**message)
            except OSError as error:
                reply, data = self._refusal(error), b""
            self._link.send(reply, data)

    def drop(self) -> None:
        """Clean up everything but the cache."""
        if self._part is not None:
            self._part.close(keep=self._lock.file is not None)
        if self._work_file is not None:
            shutil.rmtree(self._work, ignore_errors=True)
            os.close(self._work_file)
        self._lock.release()

    def open(self, cache: str, limit_bytes: int, silence_s: float) -> tuple[Reply, bytes]:
        """Set the cache folder and the silence after which the client counts as gone."""
        self._link.silence_s = silence_s
        self._cache = Cache(Path(cache).expanduser(), limit_bytes)
        return {}, b""

    def lock(self, owner: str, token: str, stale_s: float) -> tuple[Reply, bytes]:
        """Lock the board, or return a description of the holder."""
        return self._lock.acquire(owner, token, stale_s), b""

    def work(self) -> tuple[Reply, bytes]:
        """Make the working folder, and remove those whose agents were killed."""
        folder = self._cache.folder
        # Otherwise another agent could remove this folder before it is locked.
        cache_lock = _lock_folder(folder, wait=True)
        for other in folder.glob(f"{_WORK_PREFIX}*"):
            with contextlib.suppress(OSError):  # locked by a running agent
                os.close(_lock_folder(other))
                shutil.rmtree(other, ignore_errors=True)
        self._work = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, dir=folder))
        self._work_file = _lock_folder(self._work)
        os.close(cache_lock)
        return {}, b""

    def memory(self) -> tuple[Reply, bytes]:
        """Return the memory available to a new program."""
        return {"free_bytes": free_bytes()}, b""

    def place(self, files: dict[str, str]) -> tuple[Reply, bytes]:
        """Copy cached files into the working folder; return those that are not cached.

        Args:
            files: Maps POSIX paths in the working folder to digests.
        """
        missing = [
            name
            for name, digest in files.items()
            if not self._cache.copy(digest, self._work / name)
        ]
        return {"missing": missing}, b""

    def send(self, digest: str, size: int) -> tuple[Reply, bytes]:
        """Start receiving a file; return how much of it is already here."""
        self._part = self._cache.receive(digest, size, resumable=self._lock.file is not None)
        return self._received(self._part)

    def piece(self, payload: bytes) -> tuple[Reply, bytes]:
        """Receive the next bytes of the file."""
        part = self._part
        if part is None:
            raise GoneError
        part.append(payload)
        return self._received(part)

    def fetch(self, name: str, offset: int) -> tuple[Reply, bytes]:
        """Return bytes of a file in the working folder, and its size, which is null if missing."""
        path = self._work / name
        if not path.is_file():
            return {"size": None}, b""
        with path.open("rb") as file:
            file.seek(offset)
            return {"size": path.stat().st_size}, file.read(_PIECE_BYTES)

    def run(
        self, arguments: list[str], environment: dict[str, str], timeout_s: float
    ) -> tuple[Reply, bytes]:
        """Run this Python in the working folder, in a process group of its own."""
        folder = self._cache.folder
        with tempfile.TemporaryFile(dir=folder) as out, tempfile.TemporaryFile(dir=folder) as err:
            process = subprocess.Popen(  # noqa: S603 - the client's program
                [sys.executable, *arguments],
                cwd=self._work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                # Keeps the board locked while the process runs, even if this agent is killed.
                pass_fds=() if self._lock.file is None else (self._lock.file,),
            )
            try:
                self._lock.beat(process.pid)
                in_time = self._ends(process.pid, time.monotonic() + timeout_s)
            finally:
                # The group's leader is not reaped yet, so its number is still valid.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
            reply = {"code": code, "in_time": in_time, "stderr": _tail(err)}
            out.seek(0)
            return reply, out.read()

    def _ends(self, pid: int, deadline: float) -> bool:
        """Wait for the process; return whether it ended before `deadline`."""
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() >= deadline:
                return False
            self._link.wait(deadline)
            while self._link.poll() is not None:  # only pings arrive before the reply
                self._lock.beat()
        return True

    def _received(self, part: Part) -> tuple[Reply, bytes]:
        reply: Reply = {"offset": part.offset, "intact": None}
        if part.is_whole():
            self._part = None
            reply["intact"] = part.finish()
        return reply, b""

    def _refusal(self, error: OSError) -> Reply:
        return {
            "error": error.strerror or str(error),
            "errno": error.errno,
            "file": str(error.filename or ""),
        }


def main() -> None:
    """Serve one client."""
    agent = Agent(Link())
    ending = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    for number in ending:
        signal.signal(number, _end)
    try:
        agent.serve()
    except GoneError:
        pass
    finally:
        for number in ending:
            signal.signal(number, signal.SIG_IGN)
        agent.drop()


def _end(number: int, frame: object) -> None:
    del number, frame
    raise GoneError


def _lock_folder(folder: Path, *, wait: bool = False) -> int:
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(file)
        raise
    return file


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    return file.read().decode("utf-8", errors="replace")
