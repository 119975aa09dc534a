"""Mute libraries that write to standard error and have no setting to turn it off."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ONE_AT_A_TIME = Lock()
"""Two threads by turns would save each other's null device, and lose standard error for good."""


@contextmanager
def silenced() -> Iterator[None]:
    """Discard everything written to file descriptor 2, including by compiled code."""
    with _ONE_AT_A_TIME:
        sys.stderr.flush()
        saved = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(null)
            os.close(saved)
