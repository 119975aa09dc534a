"""Messages between client and agent: a line of JSON, then the number of bytes that it announces."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any

_PIECE_BYTES = 1 << 18
_FIRST_SILENCE_S = 30.0
"""Used until the client has sent its own limit."""


class GoneError(Exception):
    """The client has disconnected, or the system wants the agent to stop."""


class Link:
    """Receives the client's messages on file 0 and sends replies on file 1."""

    def __init__(self) -> None:
        self.silence_s = _FIRST_SILENCE_S
        self._buffer = bytearray()
        self._last_input = time.monotonic()
        self._wake, wake_write = os.pipe()
        for file in (1, self._wake, wake_write):
            os.set_blocking(file, False)
        # The end of a child process wakes up `wait`. This avoids polling, which would disturb
        # timings, and pidfd, which the kernels of older boards lack.
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for the next message.

        Raises:
            GoneError: If the input ends, or nothing arrives for `silence_s`.
        """
        while True:
            message = self.poll()
            if message is not None:
                return message
            self.wait()

    def poll(self) -> tuple[dict[str, Any], bytes] | None:
        """Return the next message if it has arrived completely."""
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        message = json.loads(self._buffer[:end])
        after = end + 1 + message.pop("bytes", 0)
        if len(self._buffer) < after:
            return None
        payload = bytes(self._buffer[end + 1 : after])
        del self._buffer[:after]
        return message, payload

    def wait(self, until: float | None = None, *, to_write: bool = False) -> None:
        """Wait for input, the end of a child process, room for output, or the time `until`.

        Args:
            until: Time of the monotonic clock, seconds.
            to_write: Whether to wait for room for output too.

        Raises:
            GoneError: If the input ends, or nothing arrives for `silence_s`.
        """
        silent = self._last_input + self.silence_s
        timeout = min(silent, silent if until is None else until) - time.monotonic()
        writing = [1] if to_write else []
        ready, writable, _ = select.select([0, self._wake], writing, [], max(0.0, timeout))
        if self._wake in ready:
            os.read(self._wake, _PIECE_BYTES)
        if 0 in ready:
            piece = os.read(0, _PIECE_BYTES)
            if not piece:
                raise GoneError
            self._last_input = time.monotonic()
            self._buffer += piece
        elif not writable and time.monotonic() >= silent:
            raise GoneError

    def send(self, reply: dict[str, Any], payload: bytes = b"") -> None:
        """Send a reply, without blocking forever if the client has vanished.

        Raises:
            GoneError: If the output is closed, or is not read while nothing arrives.
        """
        head = json.dumps({**reply, "bytes": len(payload)}).encode()
        rest = memoryview(head + b"\n" + payload)
        while rest:
            rest = rest[self._write(rest[:_PIECE_BYTES]) :]

    def _write(self, piece: memoryview) -> int:
        """Write as much as fits now and return how much that was; wait if nothing fits."""
        try:
            return os.write(1, piece)
        except BlockingIOError:
            self.wait(to_write=True)
            return 0
        except OSError as error:
            raise GoneError from error
