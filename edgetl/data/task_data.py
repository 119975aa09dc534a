"""A task's description of its data, for the rooms below it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.types import LabelKind

if TYPE_CHECKING:
    from edgetl.config.recipe import SyntheticData
    from edgetl.data.image_sets import Images


@dataclass(frozen=True, slots=True)
class TaskData:
    """The labels that a task needs, and the synthetic images that have them."""

    task: str
    label_kind: LabelKind
    tasks_with: Callable[[LabelKind], Sequence[str]]
    """Returns the names of the tasks that need labels of a kind, for messages."""
    synthetic: Callable[[SyntheticData], Images]
    write_synthetic: Callable[[Path, int, int], None]
    """Writes a number of synthetic images with labels, made from a seed, into a folder."""
