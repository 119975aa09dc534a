"""Check the weights that a network starts from before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from edgetl.config.recipe import StudentTable, TeacherTable
from edgetl.errors import EdgetlError, Problem
from edgetl.hashing import digest_value
from edgetl.models import FAMILIES
from edgetl.placeholder import placeholder
from edgetl.stages import Job
from edgetl.train.options import NO_WEIGHTS, WEIGHTS_SUFFIXES, NetworkSettings

_CHECK = 2
"""Raised when files that passed `check_weights` before may no longer pass."""


def weights_file(job: Job, table: TeacherTable | StudentTable) -> Path | None:
    """Return the weights file that `table` names; None if it names pretrained weights or none."""
    if table.weights in (NO_WEIGHTS, *FAMILIES.load(table.family).pretrained):
        return None
    return job.folder / table.weights


def weights_problems(job: Job, table: TeacherTable | StudentTable, where: str) -> Iterator[Problem]:
    """Yield why the weights that `table`, at `where` in the recipe, names do not exist."""
    path = weights_file(job, table)
    if path is None:
        if table.weights != NO_WEIGHTS and table.width != 1.0:
            yield Problem(
                f"{where}.weights",
                f"`{table.weights}` weights exist for width 1.0 only, not {table.width:g}; "
                "give a file, or `none`",
            )
    elif not _is_named_like_weights(table.weights):
        pretrained = FAMILIES.load(table.family).pretrained
        names = ", ".join(f"`{name}`" for name in (*pretrained, NO_WEIGHTS))
        yield Problem(
            f"{where}.weights",
            f"is '{table.weights}'; must be {names}, or a file that ends in "
            f"{', '.join(WEIGHTS_SUFFIXES)}",
        )


def file_problems(
    job: Job, table: TeacherTable | StudentTable, where: str, *, fits: bool
) -> Iterator[Problem]:
    """Yield why the weights file that `table` names cannot be used.

    Args:
        job: Whose recipe has the table.
        table: Of a network; its family need not be known.
        where: The table's name in the recipe.
        fits: Also check whether the file fits the network, which must exist.
    """
    # By its suffix, because the pretrained weights of an unknown family are not known.
    if not _is_named_like_weights(table.weights):
        return
    path = job.folder / table.weights
    if not path.is_file():
        yield Problem(f"{where}.weights", f"there is no file '{path}'; check the path")
        return
    instead = placeholder(path)
    if instead is not None:
        yield Problem(f"{where}.weights", f"'{path}' {instead.what}; {instead.remedy}")
    elif fits and find_spec("torch") and find_spec("safetensors"):
        yield from _misfits(job, table, where, path)


def fetch_pretrained(network: NetworkSettings) -> None:
    """Fetch the pretrained weights of `network`, if it starts from any.

    Raises:
        WeightsError: If they are not available.
    """
    if network.weights in FAMILIES.load(network.family).pretrained:
        from edgetl.train.weights import fetch_weights

        fetch_weights(network.family, network.weights)


def _misfits(
    job: Job, table: TeacherTable | StudentTable, where: str, path: Path
) -> Iterator[Problem]:
    def check() -> None:
        from edgetl.train.weights import check_weights

        check_weights(path, table.family, table.width)

    key = digest_value(
        {
            "check": _CHECK,
            "weights": job.digest(path),
            "family": FAMILIES.stamp(table.family),
            "width": table.width,
        }
    )
    try:
        # Importing torch takes seconds: planning again must not wait for it.
        job.once(key, check)
    except EdgetlError as error:
        yield Problem(f"{where}.weights", f"'{path}' {error.message}; {error.remedy}")


def _is_named_like_weights(weights: str) -> bool:
    return weights.lower().endswith(WEIGHTS_SUFFIXES)
