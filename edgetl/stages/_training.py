"""What all trainings share: the network they start from, where they run, the line they end with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.config.recipe import StudentTable, TeacherTable
from edgetl.errors import Problem, UsageError
from edgetl.models import FAMILIES, Family, read_spec
from edgetl.stages import Job, Workspace
from edgetl.stages._views import network_input
from edgetl.store.store import Artifact
from edgetl.train.options import NO_WEIGHTS, NetworkSettings
from edgetl.types import Facts, Split

if TYPE_CHECKING:
    from edgetl.train.interfaces import RunContext

_SUFFIXES = (".pth", ".pt", ".safetensors")


def network_settings(job: Job, table: TeacherTable | StudentTable, *, seed: int) -> NetworkSettings:
    """Return the settings of the network in `table`; a weights file enters by its digest.

    Raises:
        OSError: If the weights file cannot be read; `network_problems` says so in words.
    """
    path = _weights_file(job, table)
    return NetworkSettings(
        family=table.family,
        width=table.width,
        weights=job.digest(path) if path else table.weights,
        weights_file=str(path or ""),
        seed=seed,
    )


def network_problems(job: Job, table: TeacherTable | StudentTable, where: str) -> Iterator[Problem]:
    """Yield why the network in `table`, which stands at `where`, cannot be built."""
    try:
        family = FAMILIES.load(table.family)
    except UsageError as error:
        yield Problem(f"{where}.family", f"{error.message}; {error.remedy}")
        yield from _file_problems(job, table, where)
        return
    task = job.recipe.task
    if family.task is not task:
        fitting = [name for name in FAMILIES.names() if FAMILIES.load(name).task is task]
        yield Problem(
            f"{where}.family",
            f"'{table.family}' is for {family.task.value}, the task is {task.value}; "
            f"for {task.value}: {', '.join(fitting)}",
        )
        yield from _file_problems(job, table, where)
        return
    yield from _size_problems(job, table, family)
    yield from _weights_problems(job, table, family, where)
    yield from _file_problems(job, table, where)


def family_of(model: Artifact) -> dict[str, str]:
    """Return the family of a trained model with its version; see `Stage.plugins`.

    Raises:
        StoreError: If the model cannot be read.
    """
    return FAMILIES.stamp(read_spec(model.folder).family)


def run_context(work: Workspace, phase: str, device: str, *, resumes: bool) -> RunContext:
    """Return where one phase of a training runs.

    Args:
        work: Of the stage.
        phase: Keeps checkpoints and events of several phases apart.
        device: As the recipe says.
        resumes: Save every epoch, so that an interrupted training goes on from there.
    """
    from edgetl.train.interfaces import RunContext

    return RunContext(
        device=device,
        step=work.progress.step,
        note=work.progress.note,
        checkpoint=work.scratch / f"{phase}.pt" if resumes else None,
        events=work.logs / phase,
    )


def result_sentence(facts: Facts) -> str:
    """Return the line that people read when a training is done: the network and its accuracy."""
    text = str(facts["family"])
    if facts["width"] != 1.0:
        text += f" x{facts['width']:g}"
    for split in (Split.TEST, Split.VAL):
        found = facts[split.value]
        if found:
            where = "" if split is Split.TEST else " of validation"
            interval = f"[{found['low']:.3f}, {found['high']:.3f}]"
            return f"{text}  {found['title']}{where} {found['value']:.3f} {interval}"
    return text


def _size_problems(
    job: Job, table: TeacherTable | StudentTable, family: Family
) -> Iterator[Problem]:
    size = network_input(job, table).size
    step = max(family.strides, default=1)
    if size % step:
        below, above = size // step * step, (size // step + 1) * step
        yield Problem(
            "input.size",
            f"is {size}; {table.family} needs a multiple of {step}; "
            f"nearest are {below} and {above}",
        )


def _weights_problems(
    job: Job, table: TeacherTable | StudentTable, family: Family, where: str
) -> Iterator[Problem]:
    path = _weights_file(job, table)
    if path is None:
        if table.weights != NO_WEIGHTS and table.width != 1.0:
            yield Problem(
                f"{where}.weights",
                f"`{table.weights}` weights exist for width 1.0 only, not {table.width:g}; "
                "give a file, or `none`",
            )
    elif path.suffix not in _SUFFIXES:
        names = ", ".join(f"`{name}`" for name in (*family.pretrained, NO_WEIGHTS))
        yield Problem(
            f"{where}.weights",
            f"is '{table.weights}'; must be {names}, or a file that ends in {', '.join(_SUFFIXES)}",
        )


def _file_problems(job: Job, table: TeacherTable | StudentTable, where: str) -> Iterator[Problem]:
    # By its suffix, as an unknown family does not say what it publishes.
    path = job.folder / table.weights
    if path.suffix in _SUFFIXES and not path.is_file():
        yield Problem(f"{where}.weights", f"there is no file '{path}'; check the path")


def _weights_file(job: Job, table: TeacherTable | StudentTable) -> Path | None:
    if table.weights in (NO_WEIGHTS, *FAMILIES.load(table.family).pretrained):
        return None
    return job.folder / table.weights
