"""Messages between the client and its agent: a line of JSON, then as many bytes as it says."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any

_PIECE_BYTES = 1 << 18
_FIRST_SILENCE_S = 30.0
"""Until the client has said how long a silence means that it is gone."""


class GoneError(Exception):
    """The client is not there any more, or the system wants the agent to end."""


class Link:
    """The client's messages on file 0 and the answers on file 1."""

    def __init__(self) -> None:
        self.silence_s = _FIRST_SILENCE_S
        self._buffer = bytearray()
        self._heard = time.monotonic()
        self._wake, wake_write = os.pipe()
        for file in (1, self._wake, wake_write):
            os.set_blocking(file, False)
        # A child that ends makes `wait` return: without polling while something is timed, and
        # without pidfd, which the kernels of older boards lack.
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for the next message.

        Raises:
            GoneError: If the input ends, or nothing comes for `silence_s`.
        """
        while True:
            found = self.take()
            if found is not None:
                return found
            self.wait()

    def take(self) -> tuple[dict[str, Any], bytes] | None:
        """Return the next message if the whole of it is here."""
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
        """Return when there is news: input, a child that ended, room for output, or `until`.

        Args:
            until: Of the monotonic clock, seconds.
            to_write: Whether room for output is news.

        Raises:
            GoneError: If the input ends, or nothing came for `silence_s`.
        """
        silent = self._heard + self.silence_s
        timeout = min(silent, silent if until is None else until) - time.monotonic()
        writing = [1] if to_write else []
        ready, writable, _ = select.select([0, self._wake], writing, [], max(0.0, timeout))
        if self._wake in ready:
            os.read(self._wake, _PIECE_BYTES)
        if 0 in ready:
            piece = os.read(0, _PIECE_BYTES)
            if not piece:
                raise GoneError
            self._heard = time.monotonic()
            self._buffer += piece
        elif not writable and time.monotonic() >= silent:
            raise GoneError

    def send(self, answer: dict[str, Any], payload: bytes = b"") -> None:
        """Send an answer; a client that vanished cannot block it for ever.

        Raises:
            GoneError: If the output is closed, or nobody reads it and nothing comes.
        """
        head = json.dumps({**answer, "bytes": len(payload)}).encode()
        rest = memoryview(head + b"\n" + payload)
        while rest:
            rest = rest[self._write(rest[:_PIECE_BYTES]) :]

    def _write(self, piece: memoryview) -> int:
        """Write what fits now, and return how much that was; waits if nothing does."""
        try:
            return os.write(1, piece)
        except BlockingIOError:
            self.wait(to_write=True)
            return 0
        except OSError as error:
            raise GoneError from error
