"""The machine that runs the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running(folder: Path) -> Iterator[Callable[[Path], str]]:
    del folder
    yield lambda _: "local"
