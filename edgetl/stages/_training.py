"""What all trainings share: the initial network, where they run, and the summary line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgetl.config.recipe import StudentTable, TeacherTable
from edgetl.errors import MissingPackage, Problem, UsageError
from edgetl.facts.scores import Score
from edgetl.facts.training import ModelFacts
from edgetl.models import FAMILIES, Family, ModelSpec, read_spec
from edgetl.nn.edits import EDITS
from edgetl.stages import Job, Workspace
from edgetl.stages._views import network_input
from edgetl.stages._weights import file_problems, weights_file, weights_problems
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.train.options import NetworkSettings
from edgetl.train.packages import missing_packages

if TYPE_CHECKING:
    from edgetl.train.interfaces import RunContext


def network_settings(job: Job, table: TeacherTable | StudentTable, *, seed: int) -> NetworkSettings:
    """Return the settings of the network in `table`; a weights file enters by its digest.

    Raises:
        OSError: If the weights file cannot be read; `network_problems` reports that first.
    """
    path = weights_file(job, table)
    return NetworkSettings(
        family=table.family,
        width=table.width,
        weights=job.digest(path) if path else table.weights,
        weights_file=str(path or ""),
        seed=seed,
    )


def network_problems(job: Job, table: TeacherTable | StudentTable, where: str) -> Iterator[Problem]:
    """Yield the reasons why the network in `table`, at `where` in the recipe, cannot be built."""
    try:
        family = FAMILIES.load(table.family)
    except UsageError as error:
        yield Problem(f"{where}.family", f"{error.message}; {error.remedy}")
        yield from file_problems(job, table, where, fits=False)
        return
    task = job.recipe.task
    if family.task != task:
        fitting = [name for name in FAMILIES.names() if FAMILIES.load(name).task == task]
        yield Problem(
            f"{where}.family",
            f"'{table.family}' is for {family.task}, the task is {task}; "
            f"for {task}: {', '.join(fitting)}",
        )
        yield from file_problems(job, table, where, fits=False)
        return
    yield from _size_problems(job, table, family, where)
    width_problems = list(_width_problems(table, family, where))
    yield from width_problems
    yield from weights_problems(job, table, where)
    yield from file_problems(job, table, where, fits=not width_problems)


def unread_table(job: Job, stage: str, network: str) -> Iterator[Problem]:
    """Yield the table of a training, which a recipe without its `network` does not read."""
    if job.tables[stage].model_fields_set:
        what = f"is only read where a `{network}` is trained; remove it, or write `{stage}: null`"
        yield Problem(stage, what)


def missing_for_training(job: Job) -> Iterator[MissingPackage]:
    """Yield the packages that a training needs, whatever `job` trains."""
    del job
    yield from missing_packages()


def family_of(model: Artifact) -> dict[str, str]:
    """Return the task, family and structural edits of a trained model; see `Stage.plugins`.

    Raises:
        StoreError: If the model cannot be read.
    """
    return model_plugins(read_spec(model.folder))


def model_plugins(spec: ModelSpec) -> dict[str, str]:
    """Return the task, family and structural edits of a saved model; see `Stage.plugins`."""
    stamps = TASKS.stamp(spec.task) | FAMILIES.stamp(spec.family)
    for edit in spec.edits:
        stamps |= EDITS.stamp(edit.kind)
    return stamps


def network_plugins(network: NetworkSettings) -> dict[str, str]:
    """Return the task and family of a network to train; see `Stage.plugins`."""
    task = FAMILIES.load(network.family).task
    return TASKS.stamp(task) | FAMILIES.stamp(network.family)


def run_context(work: Workspace, phase: str, device: str, *, resumes: bool) -> RunContext:
    """Return where one phase of a training runs.

    Args:
        work: Of the stage.
        phase: Keeps checkpoints and events of several phases apart.
        device: From the recipe.
        resumes: Save every epoch, so that an interrupted training resumes there.
    """
    from edgetl.train.interfaces import RunContext

    return RunContext(
        device=device,
        step=work.progress.step,
        note=work.progress.note,
        checkpoint=work.scratch / f"{phase}.pt" if resumes else None,
        events=work.logs / phase,
    )


def result_sentence(facts: ModelFacts) -> str:
    """Return the line that is printed when a model is done: the network and its accuracy."""
    text = facts.family
    if facts.width != 1.0:
        text += f" x{facts.width:g}"
    accuracy = accuracy_text(facts.test, facts.val)
    return f"{text}  {accuracy}" if accuracy else text


def accuracy_text(test: Score | None, val: Score | None) -> str:
    """Return ``top-1 0.912 [0.884, 0.934]`` of the first split with images; empty without any."""
    for where, score in (("", test), (" of validation", val)):
        if score is not None:
            return f"{score.title}{where} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]"
    return ""


def _size_problems(
    job: Job, table: TeacherTable | StudentTable, family: Family, where: str
) -> Iterator[Problem]:
    is_own = table.input is not None and "size" in table.input.model_fields_set
    place = f"{where}.input.size" if is_own else "input.size"
    size, step = network_input(job, table).size, family.size_multiple
    if size < family.min_size:
        yield Problem(place, f"is {size}; {table.family} needs at least {family.min_size}")
    elif size % step:
        below, above = size // step * step, (size // step + 1) * step
        yield Problem(
            place,
            f"is {size}; {table.family} needs a multiple of {step}; "
            f"nearest are {below} and {above}",
        )


def _width_problems(
    table: TeacherTable | StudentTable, family: Family, where: str
) -> Iterator[Problem]:
    if table.width != 1.0 and not family.has_widths:
        yield Problem(
            f"{where}.width", f"is {table.width:g}; {table.family} exists in width 1 only"
        )
