"""One client at a time on a board, whichever user's."""

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
    """A lock that says who has it, and that nobody can leave behind.

    The system's lock on the file decides; it ends with the processes that have it: the agent and
    what it started. The text in the file says whose it is; text in a file that nobody has locked
    is of a client whose agent was killed. Times are of the monotonic clock, which all processes of
    a board share: the calendar of a board without a battery jumps by years.
    """

    def __init__(self) -> None:
        # In /tmp, where every user finds it, or what the board's login sets instead.
        self.path = Path(tempfile.gettempdir()) / "edgetl.lock"
        self.file: int | None = None
        self._record: dict[str, Any] = {}

    def take(self, owner: str, token: str, stale_s: float) -> dict[str, Any]:
        """Take the lock, or say who has it.

        A holder is killed, so that the next attempt succeeds, if it has the same `token` (it is
        this client's, before it was cut off) or gave no sign of life for `stale_s` seconds.
        """
        file = self._open()
        holder = self._read(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            answer = self._busy(file, holder, token, stale_s)
            os.close(file)
            return answer
        if not self._is_at_path(file):  # its holder removed it in the meantime
            os.close(file)
            return {"taken": False}
        self.file = file
        self._record = {"owner": owner, "token": token, "since": time.monotonic()}
        self._record["agent"] = os.getpid()
        self.beat()
        return {"taken": True, "former": holder.get("owner"), "silent_s": _since(holder, "beat")}

    def beat(self, group: int | None = None) -> None:
        """Write that the holder is alive and, if it starts something, which process group."""
        if self.file is None:
            return
        if group is not None:
            self._record["group"] = group
        self._record["beat"] = time.monotonic()
        os.pwrite(self.file, json.dumps(self._record).encode().ljust(_RECORD_BYTES), 0)

    def release(self) -> None:
        """Give the lock back and remove its file."""
        if self.file is None:
            return
        os.ftruncate(self.file, 0)
        if self._is_at_path(self.file):
            # In /tmp only its maker may remove a file: that of another user stays, empty.
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
        os.fchmod(file, 0o666)  # the next user of the board writes its name there
        return file

    def _is_at_path(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self.path.stat())
        except FileNotFoundError:
            return False

    @staticmethod
    def _read(file: int) -> dict[str, Any]:
        try:
            found = json.loads(os.pread(file, _RECORD_BYTES, 0))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @staticmethod
    def _busy(file: int, holder: dict[str, Any], token: str, stale_s: float) -> dict[str, Any]:
        silent_s = _since(holder, "beat")
        if holder.get("token") == token or silent_s > stale_s:
            for key, kill in (("group", os.killpg), ("agent", os.kill)):
                # Anybody may write the file: only what really has it locked is killed.
                if _has_open(holder.get(key), file):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        kill(holder[key], signal.SIGKILL)
        return {
            "taken": False,
            "owner": holder.get("owner"),
            "pid": holder.get("agent"),
            "age_s": _since(holder, "since"),
            "silent_s": silent_s,
        }


def _since(holder: dict[str, Any], key: str) -> float:
    found = holder.get(key)
    return max(0.0, time.monotonic() - found) if isinstance(found, float) else 0.0


def _has_open(process: object, file: int) -> bool:
    wanted = os.fstat(file)
    try:
        for entry in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(entry.stat(), wanted):
                    return True
    except OSError:  # no such process, or another user's
        return False
    return False
