"""Index a dataset: check images and labels, and fix classes, splits, sizes and digests.

Nothing here depends on what a network sees; `edgetl.stages.view` makes pixels of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from edgetl.config.recipe import (
    Accept,
    DataTable,
    Drop,
    EvaluationTable,
    GroupColumn,
    Repair,
    SyntheticData,
    UnlabelledTable,
)
from edgetl.config.table import Table
from edgetl.data.audit import Audit, examine
from edgetl.data.box_lint import lint_boxes
from edgetl.data.findings import Allowed
from edgetl.data.image_levels import find_unused_bits
from edgetl.data.image_sets import Images, open_images
from edgetl.data.sources import SOURCES
from edgetl.data.splits import SplitPolicy, choose_split_policy
from edgetl.data.task_data import TaskData
from edgetl.errors import DataError, Problem, UsageError
from edgetl.facts.dataset import DatasetFacts
from edgetl.hashing import digest_file
from edgetl.stages import Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._image_reading import Seen, look, reading_pool, undecodable
from edgetl.stages._index_facts import facts_of, note_turned, summary
from edgetl.stages._index_items import items_of, truths_of
from edgetl.stages._index_roles import find_shared, index_unlabelled, shared_classes
from edgetl.stages._space import memory_problems
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.types import LabelKind, Role, Split

_DROPS_OF_CLASSES = frozenset(
    {Drop.UNREADABLE, Drop.EMPTY_CLASSES, Drop.DUPLICATES, Drop.STRAY_LABELS, Drop.UNLABELLED}
)


class Settings(Table):
    """What the index of a dataset depends on in addition to those of other roles."""

    role: Role
    task: str
    content: str
    """Digest of names, classes and contents of all images and labels."""
    test_is_val: bool
    split_off: dict[Split, float]
    seed: int
    """Of the random split; 0 if nothing is split off."""
    group: str | GroupColumn | None = None
    """Which images must be in one split."""
    drop: tuple[Drop, ...]
    repair: tuple[Repair, ...]
    accept: tuple[Accept, ...]
    transductive: bool
    """Whether unlabelled images may be those of the evaluation."""
    path: Path | None = Field(exclude=True)
    """Where the images are; `content` stands for it in the key. None for synthetic images."""
    synthetic: SyntheticData | None = Field(exclude=True)
    exclude: tuple[str, ...] = Field(exclude=True)
    layout: str = Field(exclude=True)
    """Name of the data layout; empty for synthetic images. Its version is in the key."""

    def policy(self) -> SplitPolicy:
        """Return how splits are made."""
        only = Split.TEST if self.role is Role.EVALUATION else None
        return SplitPolicy(test_is_val=self.test_is_val, split_off=self.split_off, only=only)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    del made
    data = job.recipe.data
    path = _path(job)
    with _open_data(job) as images:
        policy = _split_policy(data, images)
        settings = Settings(
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
            path=path,
            synthetic=data.synthetic,
            exclude=data.exclude,
            layout=images.listing.layout,
        )
    index = Node(stage="index", label="index", settings=settings)
    return [index, *_role_nodes(job, index)]


def _role_nodes(job: Job, index: Node) -> Iterator[Node]:
    """Yield the nodes of the other roles; each reads those with which it must not share images."""
    inputs = {"data": index}
    evaluation, unlabelled = job.recipe.evaluation, job.recipe.unlabelled
    if evaluation is not None:
        allowed = {
            "repair": tuple(sorted(set(evaluation.repair))),
            "accept": tuple(sorted(set(evaluation.accept))),
        }
        settings = _role_settings(job, Role.EVALUATION, evaluation).model_copy(update=allowed)
        inputs["evaluation"] = Node("index", "index evaluation", settings, dict(inputs))
        yield inputs["evaluation"]
    if unlabelled is not None:
        settings = _role_settings(job, Role.UNLABELLED, unlabelled).model_copy(
            update={"transductive": unlabelled.transductive}
        )
        yield Node("index", "index unlabelled", settings, dict(inputs))


def _role_settings(job: Job, role: Role, table: EvaluationTable | UnlabelledTable) -> Settings:
    with _open_role(job, role, table) as images:
        return Settings(
            role=role,
            task=job.recipe.task,
            content=images.digest(job.digest),
            test_is_val=False,
            split_off={},
            seed=0,
            drop=tuple(sorted(set(table.drop))),
            repair=(),
            accept=(),
            transductive=False,
            path=_role_path(job, table),
            synthetic=None,
            exclude=table.exclude,
            layout=images.listing.layout,
        )


def _check(job: Job) -> Iterator[Problem]:
    """Yield problems with labels, and too few images to calibrate with."""
    data, wanted, task = job.recipe.data, job.calibration, job.recipe.task
    unknown = [*_unknown_layouts(job)]
    if unknown:
        yield from unknown
        return
    if _task_data(job).label_kind is LabelKind.CLASSES:
        yield from _box_words(data, Role.DATA, task)
        if job.recipe.evaluation is not None:
            yield from _box_words(job.recipe.evaluation, Role.EVALUATION, task)
    with _open_data(job) as images:
        # How many images a split gets depends on names and labels, as long as no image is dropped
        # because of its content.
        names = {sample.name: sample.name for sample in images.listing.samples}
        boxes = {sample.name: sample.boxes for sample in images.listing.samples}
        yield from memory_problems(job, {Role.DATA: len(names), **_other_counts(job)})
        audit = _examine(data, images, Seen(names, boxes=boxes), _split_policy(data, images))
        if audit.findings:
            yield from _wrong_labels(job, images)
    available = len(audit.placed[Split(wanted.split)])
    if wanted.count > available:
        yield Problem(
            "calibration",
            f"'{wanted.name}' needs {wanted.count:,} images of the {wanted.split} split, "
            f"which has {available:,}",
        )


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
        _examine(data, images, seen, _split_policy(data, images)).refuse_if_wrong(str(_path(job)))
    except DataError as error:
        yield Problem("data.path", str(error))


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> DatasetFacts:
    from edgetl.data.dataset import DatasetIndex, write_index

    called = str(settings.path or "synthetic images")
    others = [DatasetIndex.read(artifact.folder) for artifact in inputs.values()]
    task = TASKS.load(settings.task)
    kind = task.data.label_kind
    with (
        open_images(
            settings.path,
            settings.synthetic,
            settings.exclude,
            task.data,
            role=settings.role,
            layout=settings.layout,
            group=settings.group,
        ) as images,
        reading_pool() as pool,
    ):
        if settings.role is Role.UNLABELLED:
            return index_unlabelled(settings, images, others, pool=pool, work=work)
        seen = look(images, pool, turns=Repair.TURN_BOXES in settings.repair)
        seen.dropped = find_shared(settings, seen.contents, others)
        audit = _examine(settings, images, seen, settings.policy())

        def newly_failed() -> dict[str, str]:
            names = [sample.name for split in Split for sample in audit.placed[split]]
            return undecodable(names, images, seen, pool, work.progress)

        # Before data are refused too: the report must name images that cannot be decoded.
        failed = newly_failed()
        if failed:
            seen.unreadable.update(failed)
            audit = _examine(settings, images, seen, settings.policy())
        dark = find_unused_bits(images.levels, settings.accept)
        audit = replace(audit, findings=(*audit.findings, *dark))
        audit.refuse_if_wrong(called, table=settings.role)
        failed_again = newly_failed() if failed else {}
        if failed_again or images.digest(digest_file) != settings.content:
            raise DataError(f"'{called}' changed while it was read", remedy="run again")
    if Repair.TURN_BOXES not in settings.repair:
        note_turned(audit, seen, work.progress)
    classes = audit.classes
    if settings.role is Role.EVALUATION:
        classes = shared_classes(settings, audit.classes, others[0].classes)
    write_index(
        work.out,
        task=settings.task,
        role=settings.role,
        classes=classes,
        items=items_of(kind, audit, seen.contents, classes=classes),
        dropped=audit.dropped,
        truths=truths_of(audit, classes) if kind is LabelKind.BOXES else None,
        image_sizes={
            split: [seen.sizes[sample.name] for sample in samples]
            for split, samples in audit.placed.items()
        },
    )
    return facts_of(settings.role, settings.task, audit, images, work.progress)


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


def _examine(data: Settings | DataTable, images: Images, seen: Seen, policy: SplitPolicy) -> Audit:
    listing, lint = seen.used(images.listing), None
    allowed = Allowed(frozenset(data.drop), frozenset(data.repair), frozenset(data.accept))
    if listing.label_kind is LabelKind.BOXES:
        samples = tuple(
            replace(sample, boxes=seen.boxes.get(sample.name, ())) for sample in listing.samples
        )
        lint = lint_boxes(replace(listing, samples=samples), seen.sizes, allowed, seen.orientations)
        listing = lint.listing
    audit = examine(
        listing,
        seen.contents,
        seen.unreadable,
        policy=policy,
        seed=data.seed,
        allowed=allowed,
        lint=lint,
        remedies=seen.remedies,
    )
    return replace(audit, dropped=(*seen.dropped, *audit.dropped))


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del inputs
    layout = SOURCES.stamp(settings.layout) if settings.layout else {}
    return TASKS.stamp(settings.task) | layout


STAGE = Stage(
    name="index",
    version=8,
    needs=(),
    makes="dataset",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=DatasetFacts,
    run=_run,
    summary=summary,
    check=_check,
    plugins=_plugins,
)
