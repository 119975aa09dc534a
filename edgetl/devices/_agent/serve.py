"""The agent's loop: one message, one answer, until the client is gone.

Then it kills what it started, removes the working folder and gives the lock back: only the cache of
sent files stays.
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
"""How much of a process's standard error goes to the client."""
_WORK_PREFIX = "work-"

Answer = dict[str, Any]


class Agent:
    """Answers the client; every public method but `serve` and `drop` is a message it may send."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = Lock()
        self._cache: Cache
        self._work: Path
        self._work_file: int | None = None
        self._part: Part | None = None

    def serve(self) -> None:
        """Answer messages until the client is gone."""
        while True:
            message, payload = self._link.receive()
            name = message.pop("ask")
            if name == "ping":
                self._lock.beat()
                continue
            if payload:
                message["payload"] = payload
            try:
                answer, data = getattr(self, name)(**message)
            except OSError as error:
                answer, data = self._refusal(error), b""
            self._link.send(answer, data)

    def drop(self) -> None:
        """Leave nothing behind but the cache."""
        if self._part is not None:
            self._part.close(keep=self._lock.file is not None)
        if self._work_file is not None:
            shutil.rmtree(self._work, ignore_errors=True)
            os.close(self._work_file)
        self._lock.release()

    def open(self, cache: str, limit_bytes: int, silence_s: float) -> tuple[Answer, bytes]:
        """Say where the cache is and when the client counts as gone."""
        self._link.silence_s = silence_s
        self._cache = Cache(Path(cache).expanduser(), limit_bytes)
        return {}, b""

    def lock(self, owner: str, token: str, stale_s: float) -> tuple[Answer, bytes]:
        """Take the board, or say who has it."""
        return self._lock.take(owner, token, stale_s), b""

    def work(self) -> tuple[Answer, bytes]:
        """Make the working folder, and remove those whose agents were killed."""
        folder = self._cache.folder
        # Or another agent would remove this one's folder between its making and its locking.
        only_one = _lock_folder(folder, wait=True)
        for left in folder.glob(f"{_WORK_PREFIX}*"):
            with contextlib.suppress(OSError):  # locked: an agent lives in it
                os.close(_lock_folder(left))
                shutil.rmtree(left, ignore_errors=True)
        self._work = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, dir=folder))
        self._work_file = _lock_folder(self._work)
        os.close(only_one)
        return {}, b""

    def memory(self) -> tuple[Answer, bytes]:
        """Say how much a new program can get."""
        return {"free_bytes": free_bytes()}, b""

    def place(self, files: dict[str, str]) -> tuple[Answer, bytes]:
        """Put files of the cache into the working folder; say which are not in the cache.

        Args:
            files: POSIX path in the working folder to digest.
        """
        wanted = [
            name
            for name, digest in files.items()
            if not self._cache.copy(digest, self._work / name)
        ]
        return {"wanted": wanted}, b""

    def send(self, digest: str, size: int) -> tuple[Answer, bytes]:
        """Begin to receive a file; say how much of it is here."""
        self._part = self._cache.receive(digest, size, resumable=self._lock.file is not None)
        return self._received(self._part)

    def piece(self, payload: bytes) -> tuple[Answer, bytes]:
        """Receive the next bytes of the file."""
        part = self._part
        if part is None:
            raise GoneError
        part.append(payload)
        return self._received(part)

    def fetch(self, name: str, offset: int) -> tuple[Answer, bytes]:
        """Return bytes of a file of the working folder, and its size; none if it is not there."""
        path = self._work / name
        if not path.is_file():
            return {"size": None}, b""
        with path.open("rb") as file:
            file.seek(offset)
            return {"size": path.stat().st_size}, file.read(_PIECE_BYTES)

    def run(
        self, arguments: list[str], environment: dict[str, str], timeout_s: float
    ) -> tuple[Answer, bytes]:
        """Run this Python in the working folder, in a process group of its own."""
        folder = self._cache.folder
        with tempfile.TemporaryFile(dir=folder) as out, tempfile.TemporaryFile(dir=folder) as said:
            process = subprocess.Popen(  # noqa: S603 - what the client asks for
                [sys.executable, *arguments],
                cwd=self._work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=said,
                start_new_session=True,
                # As long as it runs the board is not free, even if this agent is killed.
                pass_fds=() if self._lock.file is None else (self._lock.file,),
            )
            try:
                self._lock.beat(process.pid)
                in_time = self._ends(process.pid, time.monotonic() + timeout_s)
            finally:
                # The leader is not reaped yet, so that its number still names this group.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
            answer = {"code": code, "in_time": in_time, "said": _tail(said)}
            out.seek(0)
            return answer, out.read()

    def _ends(self, pid: int, deadline: float) -> bool:
        """Wait for the process; return whether it ended before `deadline`."""
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() >= deadline:
                return False
            self._link.wait(deadline)
            while self._link.take() is not None:  # only pings come before the answer
                self._lock.beat()
        return True

    def _received(self, part: Part) -> tuple[Answer, bytes]:
        answer: Answer = {"offset": part.offset, "right": None}
        if part.is_whole():
            self._part = None
            answer["right"] = part.finish()
        return answer, b""

    def _refusal(self, error: OSError) -> Answer:
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
