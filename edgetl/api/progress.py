"""Who hears of the progress of a call: a listener, the terminal, or nobody."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import click

from edgetl.api.console import Console
from edgetl.errors import UsageError
from edgetl.pipeline.listener import Listener
from edgetl.stages import Node, Progress
from edgetl.store.store import Artifact

ShownRun: TypeAlias = Listener | Literal[True] | None
"""Who hears of a run: a listener, True for the terminal, None for nobody."""
ShownReading: TypeAlias = Progress | Literal[True] | None
"""Who hears how many images have been read, likewise."""

_SAY_EVERY_SECONDS = 10.0
_OF_PROGRESS = ("step", "note")
_OF_LISTENER = ("begins", "ends", *_OF_PROGRESS)
_LOG = logging.getLogger(__name__)


@contextmanager
def shown_run(progress: ShownRun) -> Iterator[Listener]:
    """Yield the listener that `progress` stands for.

    Raises:
        UsageError: If it stands for none.
    """
    _check(progress, _OF_LISTENER)
    if progress is True:
        with Console(quiet=False) as console:
            yield console
    else:
        yield progress or Silent()


def shown_reading(progress: ShownReading) -> Progress:
    """Return who hears how many images have been read.

    Raises:
        UsageError: If `progress` stands for nobody.
    """
    _check(progress, _OF_PROGRESS)
    return Reading() if progress is True else progress or SilentReading()


class Silent:
    """Shows nothing; what a user may want to know is logged as INFO."""

    def begins(self, node: Node) -> None:
        """Say nothing."""

    def ends(self, node: Node, artifact: Artifact, *, reused: bool) -> None:
        """Say nothing."""

    def step(self, node: Node, done: int, total: int, text: str) -> None:
        """Say nothing."""

    def note(self, node: Node, text: str) -> None:
        """Log `text`."""
        _LOG.info("%s: %s", node.label, text)


class SilentReading:
    """Shows nothing of the images that are read; what a user may want to know is logged as INFO."""

    def step(self, done: int, total: int, text: str) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Log `text`."""
        _LOG.info("%s", text)


class Reading:
    """Says on standard error how many images were read, where that takes long."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def step(self, done: int, total: int, text: str) -> None:
        """Print a line every ten seconds."""
        now = time.monotonic()
        if now - self._last >= _SAY_EVERY_SECONDS:
            self._last = now
            click.echo(f"  {done:,} of {total:,} {text}", err=True)

    def note(self, text: str) -> None:
        """Say nothing: the notes stand below the table of the data."""


def _check(progress: object, methods: tuple[str, ...]) -> None:
    if progress is None or progress is True:
        return
    missing = [name for name in methods if not callable(getattr(progress, name, None))]
    if missing:
        raise UsageError(
            f"`progress` is {type(progress).__name__} without {', '.join(missing)}",
            remedy="use progress=True for the terminal, or an object with the methods "
            f"{', '.join(methods)}",
        )
