"""Progress of a run: progress bars on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from edgetl.stages import STAGES, Node
from edgetl.store.store import Artifact

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_LOG_EVERY_SECONDS = 10.0
_LABEL_WIDTH = 28


@dataclass(slots=True)
class _Row:
    """A node in work."""

    started: float
    logged: float
    bar: TaskID | None
    """None unless on a terminal."""


class Console:
    """Shows the progress of a run; a `pipeline.listener.Listener`.

    Lines go to `sys.stdout`, or nowhere if `quiet`, so that ``--json`` prints only JSON.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._rows: dict[Node, _Row] = {}
        self._bars: Bars | None = None

    def __enter__(self) -> Self:
        """Return self; the progress bars open with the first stage that runs."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the progress bars, so that the next message starts on a new line."""
        del kind, error, traceback
        self._close_bars()

    def begins(self, node: Node) -> None:
        """Start the clock and, on a terminal, the bar of `node`."""
        self._remove(node)  # of an attempt whose process was killed
        now = time.monotonic()
        self._rows[node] = _Row(now, now, self._add_bar(node))

    def ends(self, node: Node, artifact: Artifact, *, reused: bool) -> None:
        """Print the line of `node`: its result, and its duration unless it was reused."""
        self._remove(node)
        if not self._rows:
            self._close_bars()
        if self._quiet:
            return
        summary = STAGES.load(node.stage).summarise(artifact)
        duration = "reused" if reused else f"{artifact.manifest.seconds:.0f} s"
        self._print(f"{node.label:<{_LABEL_WIDTH}} {summary}  [{duration}]")

    def step(self, node: Node, done: int, total: int, text: str) -> None:
        """Advance the bar of `node`; in a log, print a line every ten seconds."""
        row = self._rows.get(node)
        if self._quiet or row is None:
            return
        if self._bars is not None and row.bar is not None:
            self._bars.update(row.bar, completed=done, total=total, text=text)
            return
        now = time.monotonic()
        if now - row.logged >= _LOG_EVERY_SECONDS and done:
            row.logged = now
            left = (now - row.started) / done * (total - done)
            click.echo(f"  {node.label}: {done}/{total}  {text}  about {left:.0f} s left")

    def note(self, node: Node, text: str) -> None:
        """Print an important line on standard error, with the node unless only it runs."""
        line = f"  {text}" if list(self._rows) == [node] else f"  {node.label}: {text}"
        if self._bars is not None:
            self._print(line)
        else:
            click.echo(line, err=True)

    def _print(self, line: str) -> None:
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line)

    def _add_bar(self, node: Node) -> TaskID | None:
        if self._quiet or not sys.stdout.isatty():
            return None
        if self._bars is None:
            self._bars = _open_bars()
        return self._bars.add_task(f"{node.label:<{_LABEL_WIDTH}}", total=None, text="")

    def _remove(self, node: Node) -> None:
        row = self._rows.pop(node, None)
        if row is not None and row.bar is not None and self._bars is not None:
            self._bars.remove_task(row.bar)

    def _close_bars(self) -> None:
        if self._bars is not None:
            self._bars.stop()
        self._bars = None


def _open_bars() -> Bars:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
        transient=True,
    )
    bars.start()
    return bars
