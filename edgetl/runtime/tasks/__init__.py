"""The contract of a task on the device: one file per task, found by the task's name.

A task file defines the functions of `Task`. It needs the standard library, numpy and Pillow alone.

The file of an installed package is found by the entry point with the task's name in
``edgetl.runtime_tasks``. Like an engine it is copied to a device together with the modules that it
lists in ``FILES``; see `edgetl.runtime.engines`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Protocol, cast

from edgetl.runtime.errors import TaskError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgetl.runtime.contract import Contract
    from edgetl.runtime.golden import Golden, ReplayRow

    Outputs = Mapping[str, NDArray[np.float32]]


class Prediction(Protocol):
    """The prediction of a model for one sample."""

    def lines(self, labels: Sequence[str], top: int | None) -> list[str]:
        """Return the prediction as text, at least one line.

        Args:
            labels: Class names of the contract.
            top: Most classes or objects to show; None for the default.
        """

    def row(self, labels: Sequence[str], top: int | None) -> dict[str, object]:
        """Return the same as plain JSON."""

    def draw(
        self, image: NDArray[np.uint8], labels: Sequence[str], top: int | None
    ) -> NDArray[np.uint8]:
        """Return a copy of the upright RGB image ``(h, w, 3)`` with the prediction drawn on it."""


class Task(Protocol):
    """The functions of a task file."""

    def problems(self, contract: Contract) -> Iterator[tuple[str, str]]:
        """Yield key and reason of everything in `contract` that this task cannot use."""

    def predict(
        self, outputs: Outputs, contract: Contract, image_size: tuple[int, int] | None
    ) -> Prediction:
        """Return the prediction for one sample.

        Args:
            outputs: Finite values by output name, without the batch axis.
            contract: Of the model.
            image_size: Height and width of the image before it was fitted; None if there is none.
        """

    def with_threshold(self, contract: Contract, threshold: float) -> Contract:
        """Return `contract` with another threshold, for all classes.

        Raises:
            EdgetlUsageError: If the task has no threshold.
            ValueError: If `threshold` is not in 0..1.
        """

    def stored(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs as golden samples store them, within `golden.STORED_STEP` of `values`."""

    def replay_rows(
        self, contract: Contract, golden: Golden, outputs: Outputs, allowed: Mapping[str, float]
    ) -> Iterator[ReplayRow]:
        """Yield comparisons of predictions, beyond those of single outputs.

        Args:
            contract: Of the model.
            golden: The samples.
            outputs: Of the model for all samples, by output name.
            allowed: Tolerance of each output.
        """


def names() -> tuple[str, ...]:
    """Return the tasks that have a file, built-in ones first, without importing any."""
    from edgetl.runtime.tasks._installed import INSTALLED

    return tuple(dict.fromkeys((*_built_in(), *INSTALLED.names())))


def load(name: str) -> Task:
    """Return the task `name`.

    Raises:
        TaskError: If there is no such task, or the package that provides it cannot be imported.
    """
    if name in _built_in():
        return cast("Task", importlib.import_module(f"{__name__}.{name}"))
    from edgetl.runtime.tasks._installed import INSTALLED

    if name not in INSTALLED.names():
        raise TaskError(
            f"there is no device half of task '{name}'; known: {', '.join(names())}",
            remedy="use a newer edgetl.runtime, or install the package that provides the task",
        )
    return cast("Task", INSTALLED.load(name))


def installed_files(name: str) -> dict[str, Path]:
    """Return the files, by name, that a task of an installed package needs in this folder.

    Empty for tasks whose file is already here.

    Raises:
        TaskError: Like `load`, or if the task lists a file that cannot be packaged.
    """
    from edgetl.runtime.tasks._installed import INSTALLED

    if name in _built_in():
        return {}
    load(name)
    return INSTALLED.files(name)


@cache
def _built_in() -> tuple[str, ...]:
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in modules if name[0] != "_"))
