"""The figures of each epoch: in `results.csv`, which is reproducible, and for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Protocol

RESULTS_FILE = "results.csv"


@dataclass(frozen=True, slots=True)
class EpochRow:
    """The figures of one epoch."""

    epoch: int
    """Counted from 1."""
    lr: float
    """Of the last step."""
    train_loss: float
    """Mean over the steps, with augmentation and dropout."""
    val_loss: float | None
    """None without a validation split."""
    val_metric: float | None
    """The task's metric in [0, 1]."""


class Events(Protocol):
    """Receives the figures of each epoch."""

    def write(self, row: EpochRow) -> None:
        """Record the figures of one more epoch."""


def write_results(folder: Path, phases: Mapping[str, Sequence[EpochRow]], *, metric: str) -> None:
    """Write `results.csv`: one line per epoch of each phase, in order, without timings.

    Floats are written so that reading them gives the same float. `metric` names the last column.
    """
    with (folder / RESULTS_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = [column.name for column in fields(EpochRow)]
        writer.writerow(["phase", *columns[:-1], f"val_{metric}"])
        for phase, rows in phases.items():
            writer.writerows([phase, *astuple(row)] for row in rows)


@contextmanager
def open_events(folder: Path | None, metric: str, *, first_epoch: int) -> Iterator[Events]:
    """Yield a recorder that writes TensorBoard events to `folder`; None discards them.

    Args:
        folder: Created if missing.
        metric: Name of the validation metric; ignored if nothing is validated.
        first_epoch: Events of this and later epochs, from an interrupted training, are purged.
    """
    if folder is None:
        yield _Nowhere()
        return
    # The import takes half a second, which a training without events does not need.
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=first_epoch) as writer:
        yield _TensorBoard(writer.add_scalar, metric)


class _Nowhere:
    def write(self, row: EpochRow) -> None:
        del row


class _AddScalar(Protocol):
    def __call__(self, tag: str, scalar_value: float, global_step: int) -> None: ...


class _TensorBoard:
    def __init__(self, add_scalar: _AddScalar, metric: str) -> None:
        self._add_scalar = add_scalar
        self._metric = metric

    def write(self, row: EpochRow) -> None:
        figures = {
            "lr": row.lr,
            "loss/train": row.train_loss,
            "loss/val": row.val_loss,
            f"{self._metric}/val": row.val_metric,
        }
        for tag, value in figures.items():
            if value is not None:
                self._add_scalar(tag, value, row.epoch)
