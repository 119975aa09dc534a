"""Progress of a run: a progress bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from edgetl.stages import STAGES, Node
from edgetl.store.store import Artifact

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_LOG_EVERY_SECONDS = 10.0
_LABEL_WIDTH = 28


class Console:
    """Shows the progress of a run; a `pipeline.execute.Listener`.

    Lines go to `sys.stdout`, or nowhere if `quiet`, so that ``--json`` prints only JSON.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._started = 0.0
        self._logged = 0.0
        self._label = ""
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Return self; the progress bar opens with the first stage that runs."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the progress bar, so that the next message starts on a new line."""
        del kind, error, traceback
        self._close_bar()

    def begins(self, node: Node) -> None:
        """Start the clock and, on a terminal, the bar of `node`."""
        self._started = self._logged = time.monotonic()
        self._label = node.label
        if not self._quiet and sys.stdout.isatty():
            self._open_bar()

    def ends(self, node: Node, artifact: Artifact, *, reused: bool) -> None:
        """Print the line of `node`: its result, and its duration unless it was reused."""
        self._close_bar()
        if self._quiet:
            return
        summary = STAGES.load(node.stage).summarise(artifact)
        duration = "reused" if reused else f"{artifact.manifest.seconds:.0f} s"
        click.echo(f"{node.label:<{_LABEL_WIDTH}} {summary}  [{duration}]")

    def step(self, done: int, total: int, text: str) -> None:
        """Advance the bar; in a log, print a line every ten seconds."""
        if self._quiet:
            return
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, text=text)
            return
        now = time.monotonic()
        if now - self._logged >= _LOG_EVERY_SECONDS and done:
            self._logged = now
            left = (now - self._started) / done * (total - done)
            click.echo(f"  {self._label}: {done}/{total}  {text}  about {left:.0f} s left")

    def note(self, text: str) -> None:
        """Print an important line on standard error."""
        if self._bar is not None:
            self._bar.console.print(f"  {text}", markup=False, highlight=False)
        else:
            click.echo(f"  {text}", err=True)

    def _open_bar(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn(f"{self._label:<{_LABEL_WIDTH}}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, text="")
        self._bar.start()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None
