"""A worker process, seen from the process that starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from edgetl.pipeline.executors import _worker
from edgetl.pipeline.executors._messages import Message
from edgetl.pipeline.make import WorkItem

_CHECK_S = 1.0
_POLL_S = 0.01


class WorkerProcess:
    """Runs work items, one at a time, in a process and a process group of its own.

    Attributes:
        item: The item in work; None if the worker is idle.
        packages: Distributions that its items so far have used, which it need not import again.
    """

    def __init__(self, store_root: Path) -> None:
        """Start the process."""
        self.item: WorkItem | None = None
        self.packages: set[str] = set()
        here, there = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        with there:
            inherited = (there.fileno(), lifeline)
            # -P: a file in the working directory must not be imported instead of a package.
            command = (sys.executable, "-P", "-m", _worker.__name__, *map(str, inherited))
            # Ctrl-C in a terminal reaches the whole group, and here only one process handles it.
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, pass_fds=inherited, process_group=0
            )
        os.close(lifeline)
        self._connection = Connection(here.detach())
        self._send(store_root)

    def start(self, item: WorkItem) -> None:
        """Let the idle worker make `item`."""
        self.item = item
        self.packages.update(item.request.tools)
        self._send(item)

    def receive(self) -> Message | None:
        """Return what the worker reports next; None if it has died."""
        if not self._connection.poll():
            return None
        try:
            message: Message = self._connection.recv()
        except (EOFError, ConnectionError):
            return None
        return message

    def has_ended(self) -> bool:
        """Return whether the process has ended; `bury` waits for it."""
        options = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def resident_bytes(self) -> int:
        """Return the memory that the process holds; 0 if it has died."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()
        except OSError:
            return 0
        return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0

    def bury(self) -> int:
        """End what a dead worker has started, and return its exit code as `subprocess` gives it."""
        deadline = time.monotonic() + _worker.GRACE_S
        # Not by waiting for the process: then others may get its number, which is the group's.
        while not self.has_ended() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        self._kill_group()
        code = self._process.wait()
        self._close()
        return code

    def ask_to_end(self) -> None:
        """Let the worker end: at once if it is idle, otherwise after cleaning up."""
        self._connection.close()
        if self.item is not None:
            self._process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Wait until the worker has ended after `ask_to_end`, and kill it if that takes long."""
        try:
            self._process.wait(_worker.GRACE_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._kill_group()
            self._process.wait()
            self._close()

    def _send(self, content: object) -> None:
        # If the worker has died, `receive` shows it.
        with contextlib.suppress(ConnectionError):
            self._connection.send(content)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _close(self) -> None:
        self._connection.close()
        os.close(self._lifeline)

    def fileno(self) -> int:
        """Return the descriptor that is readable when `receive` does not block."""
        return self._connection.fileno()


def with_news(workers: Sequence[WorkerProcess]) -> Sequence[WorkerProcess]:
    """Wait until at least one of `workers` has reported something or died, and return those."""
    by_number = {worker.fileno(): worker for worker in workers}
    while True:
        ready = wait(by_number, _CHECK_S)
        if ready:
            return [by_number[number] for number in ready if isinstance(number, int)]
        # A process that the stage has forked keeps the connection of a dead worker open.
        ended = [worker for worker in workers if worker.has_ended()]
        if ended:
            return ended
