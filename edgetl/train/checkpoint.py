"""The state of a training after an epoch, on disk: complete or absent."""

from __future__ import annotations

import os
import pickle
import zipfile
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgetl.train.history import EpochRow

_SCHEMA = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything that the next epoch depends on.

    Random states are not included: every epoch is seeded from the training's seed and its number.
    """

    rows: list[EpochRow]
    """One per finished epoch."""
    module: dict[str, Tensor]
    along: dict[str, Tensor]
    """State of the modules that the objective trains in addition."""
    optimizer: dict[str, Any]
    average: dict[str, Tensor] | None
    """State of the averaged weights, if there are any."""
    best_epoch: int
    """0 before the first."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """State of the network after the best epoch."""


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace `path` by `checkpoint`, so that a crash leaves the old one or the new one."""
    content = {
        "schema": _SCHEMA,
        "rows": [astuple(row) for row in checkpoint.rows],
        "module": checkpoint.module,
        "along": checkpoint.along,
        "optimizer": checkpoint.optimizer,
        "average": checkpoint.average,
        "best_epoch": checkpoint.best_epoch,
        "best": checkpoint.best,
    }
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint that `save_checkpoint` wrote, on the CPU; None if there is none.

    Raises:
        ValueError: If the file is damaged or has another layout.
    """
    if not path.is_file():
        return None
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path.name} is damaged: its end is missing")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["schema"] != _SCHEMA:
            raise ValueError(f"{path.name} has schema {content['schema']}, not {_SCHEMA}")
        return Checkpoint(
            rows=[EpochRow(*row) for row in content["rows"]],
            module=content["module"],
            along=content["along"],
            optimizer=content["optimizer"],
            average=content["average"],
            best_epoch=content["best_epoch"],
            best=content["best"],
        )
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
