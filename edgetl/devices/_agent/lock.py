"""Lock that admits one client at a time to a board, across users."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

_RECORD_BYTES = 1024


class Lock:
    """A lock with a record of its holder, released by the system if the holder dies.

    The system's lock on the file decides; it ends with the processes that have it: the agent and
    its children. The record in the file names the holder; a record in an unlocked file belongs to
    a client whose agent was killed. Times are of the monotonic clock, which all processes of a
    board share: the wall clock of a board without a battery may jump by years.
    """

    def __init__(self) -> None:
        # In /tmp, which all users share, unless the board's login sets another folder.
        self.path = Path(tempfile.gettempdir()) / "edgetl.lock"
        self.file: int | None = None
        self._record: dict[str, Any] = {}

    def acquire(self, owner: str, token: str, stale_s: float) -> dict[str, Any]:
        """Acquire the lock, or return a description of its holder.

        The holder is killed, so that the next attempt succeeds, if it has the same `token` (it
        belongs to this client's lost connection) or has sent no heartbeat for `stale_s` seconds.
        """
        file = self._open()
        holder = self._read(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reply = self._busy(file, holder, token, stale_s)
            os.close(file)
            return reply
        if not self._is_at_path(file):  # its holder removed it in the meantime
            os.close(file)
            return {"acquired": False}
        self.file = file
        self._record = {"owner": owner, "token": token, "since": time.monotonic()}
        self._record["agent"] = os.getpid()
        self.beat()
        return {"acquired": True, "former": holder.get("owner"), "silent_s": _since(holder, "beat")}

    def beat(self, group: int | None = None) -> None:
        """Record a heartbeat and, if given, the process group that the holder started."""
        if self.file is None:
            return
        if group is not None:
            self._record["group"] = group
        self._record["beat"] = time.monotonic()
        os.pwrite(self.file, json.dumps(self._record).encode().ljust(_RECORD_BYTES), 0)

    def release(self) -> None:
        """Release the lock and remove its file."""
        if self.file is None:
            return
        os.ftruncate(self.file, 0)
        if self._is_at_path(self.file):
            # In /tmp only the owner may remove a file; another user's stays, empty.
            with contextlib.suppress(PermissionError):
                self.path.unlink()
        os.close(self.file)
        self.file = None

    def _open(self) -> int:
        # Not O_CREAT alone: the kernel refuses it for another user's file in /tmp.
        with contextlib.suppress(FileNotFoundError):
            return os.open(self.path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
        except FileExistsError:
            return os.open(self.path, os.O_RDWR | os.O_NOFOLLOW)
        os.fchmod(file, 0o666)  # the next user of the board must be able to write its record
        return file

    def _is_at_path(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self.path.stat())
        except FileNotFoundError:
            return False

    @staticmethod
    def _read(file: int) -> dict[str, Any]:
        try:
            record = json.loads(os.pread(file, _RECORD_BYTES, 0))
        except ValueError:
            return {}
        return record if isinstance(record, dict) else {}

    @staticmethod
    def _busy(file: int, holder: dict[str, Any], token: str, stale_s: float) -> dict[str, Any]:
        silent_s = _since(holder, "beat")
        if holder.get("token") == token or silent_s > stale_s:
            for key, kill in (("group", os.killpg), ("agent", os.kill)):
                # Any user may write the file, so only a process that has it open is killed.
                if _has_open(holder.get(key), file):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        kill(holder[key], signal.SIGKILL)
        return {
            "acquired": False,
            "owner": holder.get("owner"),
            "pid": holder.get("agent"),
            "age_s": _since(holder, "since"),
            "silent_s": silent_s,
        }


def _since(holder: dict[str, Any], key: str) -> float:
    start = holder.get(key)
    return max(0.0, time.monotonic() - start) if isinstance(start, float) else 0.0


def _has_open(process: object, file: int) -> bool:
    status = os.fstat(file)
    try:
        for entry in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(entry.stat(), status):
                    return True
    except OSError:  # no such process, or another user's
        return False
    return False
