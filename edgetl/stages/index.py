"""Index a dataset: check images and labels, and fix classes, splits, sizes and digests.

Nothing here depends on what a network sees; `edgetl.stages.view` makes pixels of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgetl.config.recipe import (
    Accept,
    DataTable,
    Drop,
    EvaluationTable,
    Repair,
    UnlabelledTable,
)
from edgetl.data.image_sets import Images, open_images
from edgetl.data.overview import audit_names
from edgetl.data.sources import SOURCES
from edgetl.data.splits import SplitPolicy, choose_split_policy
from edgetl.data.task_data import TaskData
from edgetl.errors import DataError, EdgetlError, Problem, UsageError
from edgetl.facts.dataset import DatasetFacts
from edgetl.stages import (
    Cores,
    Inspection,
    Job,
    Node,
    NoOptions,
    Planned,
    Progress,
    Stage,
    Workspace,
)
from edgetl.stages._calibration_images import calibration_problems
from edgetl.stages._image_reading import look, reading_pool
from edgetl.stages._index_making import Settings, examine_images, make_index
from edgetl.stages._index_summary import summary
from edgetl.stages._inspection import inspect_roles
from edgetl.stages._space import memory_problems
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.types import LabelKind, Role

__all__ = ["STAGE", "Settings"]

_DROPS_OF_CLASSES = frozenset(
    {Drop.UNREADABLE, Drop.EMPTY_CLASSES, Drop.DUPLICATES, Drop.STRAY_LABELS, Drop.UNLABELLED}
)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    del made
    index = Node(stage="index", label="index", settings=_data_settings(job))
    return [index, *_role_nodes(job, index)]


def _role_nodes(job: Job, index: Node) -> Iterator[Node]:
    """Yield the nodes of the other roles; each reads those with which it must not share images."""
    inputs = {"data": index}
    for role, settings_of in _roles(job).items():
        if role is not Role.DATA:
            node = Node("index", f"index {role}", settings_of(), dict(inputs))
            inputs[role] = node
            yield node


def _roles(job: Job) -> dict[Role, Callable[[], Settings]]:
    """Return how to get the settings of the index of each role, each after those it reads.

    They raise `DataError` if the data cannot be listed.
    """
    roles: dict[Role, Callable[[], Settings]] = {Role.DATA: partial(_data_settings, job)}
    for role, table in (
        (Role.EVALUATION, job.recipe.evaluation),
        (Role.UNLABELLED, job.recipe.unlabelled),
    ):
        if table is not None:
            roles[role] = partial(_role_settings, job, role, table)
    return roles


def _data_settings(job: Job) -> Settings:
    data = job.recipe.data
    with _open_data(job) as images:
        policy = _split_policy(data, images)
        return Settings(
            role=Role.DATA,
            task=job.recipe.task,
            content=images.digest(job.digest),
            test_is_val=policy.test_is_val,
            split_off=dict(policy.split_off),
            seed=data.seed if policy.split_off else 0,
            group=data.group,
            drop=tuple(sorted(set(data.drop))),
            repair=tuple(sorted(set(data.repair))),
            accept=tuple(sorted(set(data.accept))),
            transductive=False,
            path=_path(job),
            synthetic=data.synthetic,
            exclude=data.exclude,
            layout=images.listing.layout,
        )


def _role_settings(job: Job, role: Role, table: EvaluationTable | UnlabelledTable) -> Settings:
    labelled = table if isinstance(table, EvaluationTable) else None
    with _open_role(job, role, table) as images:
        return Settings(
            role=role,
            task=job.recipe.task,
            content=images.digest(job.digest),
            test_is_val=False,
            split_off={},
            seed=0,
            drop=tuple(sorted(set(table.drop))),
            repair=tuple(sorted(set(labelled.repair))) if labelled else (),
            accept=tuple(sorted(set(labelled.accept))) if labelled else (),
            transductive=isinstance(table, UnlabelledTable) and table.transductive,
            path=_role_path(job, table),
            synthetic=None,
            exclude=table.exclude,
            layout=images.listing.layout,
        )


def _check(job: Job) -> Iterator[Problem]:
    """Yield problems with labels, and too few images to calibrate with."""
    data, task = job.recipe.data, job.recipe.task
    unknown = [*_unknown_layouts(job)]
    if unknown:
        yield from unknown
        return
    if _task_data(job).label_kind is LabelKind.CLASSES:
        yield from _box_words(data, Role.DATA, task)
        if job.recipe.evaluation is not None:
            yield from _box_words(job.recipe.evaluation, Role.EVALUATION, task)
    with _open_data(job) as images:
        counts = {Role.DATA: len(images.listing.samples), **_other_counts(job)}
        yield from memory_problems(job, counts)
        audit = audit_names(images.listing, data, _split_policy(data, images))
        if audit.findings:
            yield from _wrong_labels(job, images)
        else:
            yield from _limits_on_no_class(job, audit.classes)
    yield from calibration_problems(
        job, {split: len(samples) for split, samples in audit.placed.items()}
    )


def _limits_on_no_class(job: Job, classes: Sequence[str]) -> Iterator[Problem]:
    """Yield the limits of targets on classes that the data do not have."""
    for target in job.targets:
        for what in target.limits.unknown_classes(classes):
            yield Problem("targets", f"targets/{target.name}.yaml: {what}")


def _other_counts(job: Job) -> dict[Role, int]:
    """Return how many images the datasets besides `data` have."""
    tables = {Role.EVALUATION: job.recipe.evaluation, Role.UNLABELLED: job.recipe.unlabelled}
    counts: dict[Role, int] = {}
    for role, table in tables.items():
        if table is not None:
            with _open_role(job, role, table) as images:
                counts[role] = len(images.listing.samples)
    return counts


def _unknown_layouts(job: Job) -> Iterator[Problem]:
    """Yield the tables that name a data layout which does not exist."""
    for role, table in ((Role.DATA, job.recipe.data), (Role.EVALUATION, job.recipe.evaluation)):
        if table is not None and table.layout:
            try:
                SOURCES.check(table.layout)
            except UsageError as error:
                yield Problem(f"{role}.layout", f"{error.message}. {error.remedy}")


def _box_words(table: DataTable | EvaluationTable, role: Role, task: str) -> Iterator[Problem]:
    """Yield entries about labelled boxes in the table of a task without boxes."""
    accept = [kind for kind in table.accept if kind is not Accept.UNUSED_BITS]
    if role is Role.EVALUATION:
        accept = [kind for kind in accept if kind is not Accept.MISSING_CLASSES]
    for key, kinds in (
        ("drop", [kind for kind in table.drop if kind not in _DROPS_OF_CLASSES]),
        ("repair", table.repair),
        ("accept", accept),
    ):
        for kind in kinds:
            what = f"'{kind}' is about labelled boxes, but the task is {task}"
            yield Problem(f"{role}.{key}", what)


def _wrong_labels(job: Job, images: Images) -> Iterator[Problem]:
    """Yield the report of a run, without decoding images, so that one plan names all problems."""
    data = job.recipe.data
    with reading_pool() as pool:
        seen = look(images, pool, turns=Repair.TURN_BOXES in data.repair)
    try:
        examine_images(data, images, seen, _split_policy(data, images)).refuse_if_wrong(
            str(_path(job))
        )
    except DataError as error:
        yield Problem("data.path", str(error))


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> DatasetFacts:
    from edgetl.data.dataset import DatasetIndex

    others = [DatasetIndex.read(artifact.folder) for artifact in inputs.values()]
    return make_index(settings, others, work)


def _inspect(job: Job, progress: Progress) -> Inspection:
    """Return what reading the images shows: whatever `_run` refuses, for all roles at once."""
    if any(_unknown_layouts(job)):
        return Inspection(())
    problems: list[Problem] = []
    settings: dict[Role, Settings] = {}
    for role, settings_of in _roles(job).items():
        try:
            settings[role] = settings_of()
        except EdgetlError as error:
            problems.append(Problem(f"{role}.path", str(error)))
    readers = {name: each for one in settings.values() for name, each in _plugins(one, {}).items()}
    readers["index stage"] = str(STAGE.version)
    inspection = inspect_roles(job, settings, readers, progress)
    return replace(inspection, problems=(*problems, *inspection.problems))


def _tools(settings: Settings) -> tuple[str, ...]:
    return ("numpy",) if settings.path is None else ("pillow",)


def _task_data(job: Job) -> TaskData:
    return TASKS.load(job.recipe.task).data


def _open_data(job: Job) -> AbstractContextManager[Images]:
    data = job.recipe.data
    return open_images(
        _path(job),
        data.synthetic,
        data.exclude,
        _task_data(job),
        layout=data.layout,
        group=data.group,
    )


def _path(job: Job) -> Path | None:
    given = job.recipe.data.path
    return None if given is None else job.folder / Path(given).expanduser()


def _open_role(
    job: Job, role: Role, table: EvaluationTable | UnlabelledTable
) -> AbstractContextManager[Images]:
    layout = table.layout if isinstance(table, EvaluationTable) else ""
    path = _role_path(job, table)
    return open_images(path, None, table.exclude, _task_data(job), role=role, layout=layout)


def _role_path(job: Job, table: EvaluationTable | UnlabelledTable) -> Path:
    return job.folder / Path(table.path).expanduser()


def _split_policy(data: DataTable, images: Images) -> SplitPolicy:
    return choose_split_policy(
        images.listing.given,
        val=data.val,
        test=data.test,
        test_stated="test" in data.model_fields_set,
    )


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del inputs
    layout = SOURCES.stamp(settings.layout) if settings.layout else {}
    return TASKS.stamp(settings.task) | layout


STAGE = Stage(
    name="index",
    version=10,
    needs=(),
    makes="dataset",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=DatasetFacts,
    run=_run,
    summary=summary,
    check=_check,
    inspect=_inspect,
    plugins=_plugins,
    cores=Cores.ALL,
)
