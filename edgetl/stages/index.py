"""Index a dataset: check images and labels, and fix classes, splits, sizes and digests.

Nothing here depends on what a network sees; `edgetl.stages.view` makes pixels of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from edgetl.config.recipe import Accept, DataTable, Drop, Repair, SyntheticData
from edgetl.config.table import Table
from edgetl.data.audit import Audit, examine, rarest
from edgetl.data.box_lint import lint_boxes
from edgetl.data.findings import Allowed
from edgetl.data.image_sets import Images, open_images
from edgetl.data.sources import SOURCES, Sample
from edgetl.data.splits import SplitPolicy, choose_split_policy
from edgetl.errors import DataError, Problem
from edgetl.hashing import digest_file
from edgetl.stages import Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._image_reading import Seen, look, reading_pool, undecodable
from edgetl.stages._index_facts import facts_of, summary
from edgetl.stages._space import memory_problems
from edgetl.store.store import Artifact
from edgetl.types import Facts, Role, Split, Task

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.data.dataset import Item, Truth

_LEAVES_OF_IMAGES = frozenset({Drop.UNREADABLE, Drop.EMPTY_CLASSES, Drop.DUPLICATES})


class Settings(Table):
    """What the dataset depends on."""

    role: Role
    task: Task
    content: str
    """Digest of names, classes and contents of all images and labels."""
    test_is_val: bool
    split_off: dict[Split, float]
    seed: int
    """Of the division; 0 where nothing is divided."""
    drop: tuple[Drop, ...]
    repair: tuple[Repair, ...]
    accept: tuple[Accept, ...]
    path: Path | None = Field(exclude=True)
    """Where the images are; `content` stands for it in the key. None for drawn images."""
    synthetic: SyntheticData | None = Field(exclude=True)
    exclude: tuple[str, ...] = Field(exclude=True)
    layout: str = Field(exclude=True)
    """Name of the data layout; empty for drawn images. Its version is in the key."""

    def policy(self) -> SplitPolicy:
        """Return how splits are made."""
        return SplitPolicy(test_is_val=self.test_is_val, split_off=self.split_off)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    del made
    data = job.recipe.data
    path = _path(job)
    with open_images(path, data.synthetic, data.exclude, job.recipe.task) as images:
        policy = _split_policy(data, images)
        settings = Settings(
            role=Role.DATA,
            task=job.recipe.task,
            content=images.digest(job.digest),
            test_is_val=policy.test_is_val,
            split_off=dict(policy.split_off),
            seed=data.seed if policy.split_off else 0,
            drop=tuple(sorted(set(data.drop))),
            repair=tuple(sorted(set(data.repair))),
            accept=tuple(sorted(set(data.accept))),
            path=path,
            synthetic=data.synthetic,
            exclude=data.exclude,
            layout=images.listing.layout,
        )
    return [Node(stage="index", label="index", settings=settings)]


def _check(job: Job) -> Iterator[Problem]:
    """Yield what is wrong with labels, and whether there are enough images to calibrate with."""
    data, wanted, task = job.recipe.data, job.calibration, job.recipe.task
    if task is not Task.DETECTION:
        of_boxes = [kind for kind in data.drop if kind not in _LEAVES_OF_IMAGES]
        for key, said in (
            ("drop", of_boxes),
            ("repair", data.repair),
            ("accept", data.accept),
        ):
            for kind in said:
                what = f"'{kind}' is about labelled boxes, but the task is {task}"
                yield Problem(f"data.{key}", what)
    with open_images(_path(job), data.synthetic, data.exclude, task) as images:
        # How many images a split gets depends on names and labels, as long as no image is left out
        # for what is in it.
        names = {sample.name: sample.name for sample in images.listing.samples}
        boxes = {sample.name: sample.boxes for sample in images.listing.samples}
        yield from memory_problems(job, len(names))
        audit = _examine(data, images, Seen(names, boxes=boxes), _split_policy(data, images))
        if audit.findings and task is Task.DETECTION:
            yield from _wrong_labels(job, images)
    available = len(audit.placed[Split(wanted.split)])
    if wanted.count > available:
        yield Problem(
            "calibration",
            f"'{wanted.name}' wants {wanted.count:,} images of the {wanted.split} split, "
            f"which has {available:,}",
        )


def _wrong_labels(job: Job, images: Images) -> Iterator[Problem]:
    """Yield the report of a run, but without decoding images: one look is to name all there is."""
    data = job.recipe.data
    with reading_pool() as pool:
        seen = look(images, pool)
    try:
        _examine(data, images, seen, _split_policy(data, images)).refuse_if_wrong(str(_path(job)))
    except DataError as error:
        yield Problem("data.path", str(error))


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    del inputs
    from edgetl.data.dataset import write_index

    called = str(settings.path or "drawn images")
    with (
        open_images(settings.path, settings.synthetic, settings.exclude, settings.task) as images,
        reading_pool() as pool,
    ):
        seen = look(images, pool)
        audit = _examine(settings, images, seen, settings.policy())

        def newly_failed() -> dict[str, str]:
            names = [sample.name for split in Split for sample in audit.placed[split]]
            return undecodable(names, images, seen, pool, work.progress)

        # Also before data are refused: the report is to name images that cannot be decoded.
        failed = newly_failed()
        if failed:
            seen.unreadable.update(failed)
            audit = _examine(settings, images, seen, settings.policy())
        audit.refuse_if_wrong(called)
        failed_again = newly_failed() if failed else {}
        if failed_again or images.digest(digest_file) != settings.content:
            raise DataError(f"'{called}' changed while it was read", remedy="run again")
    write_index(
        work.out,
        task=settings.task,
        role=settings.role,
        classes=audit.classes,
        items=_items(settings.task, audit, seen.contents),
        dropped=audit.dropped,
        truths=_truths(audit) if settings.task is Task.DETECTION else None,
        image_sizes={
            split: [seen.sizes[sample.name] for sample in samples]
            for split, samples in audit.placed.items()
        },
    )
    return facts_of(settings.task, audit, images, work.progress)


def _tools(settings: Settings) -> tuple[str, ...]:
    return ("numpy",) if settings.path is None else ("pillow",)


def _path(job: Job) -> Path | None:
    given = job.recipe.data.path
    return None if given is None else job.folder / Path(given).expanduser()


def _split_policy(data: DataTable, images: Images) -> SplitPolicy:
    return choose_split_policy(
        images.listing.given,
        val=data.val,
        test=data.test,
        test_stated="test" in data.model_fields_set,
    )


def _examine(data: Settings | DataTable, images: Images, seen: Seen, policy: SplitPolicy) -> Audit:
    listing, lint = images.listing, None
    allowed = Allowed(frozenset(data.drop), frozenset(data.repair), frozenset(data.accept))
    if listing.task is Task.DETECTION:
        samples = tuple(
            replace(sample, boxes=seen.boxes.get(sample.name, ())) for sample in listing.samples
        )
        lint = lint_boxes(replace(listing, samples=samples), seen.sizes, allowed)
        listing = lint.listing
    return examine(
        listing,
        seen.contents,
        seen.unreadable,
        policy=policy,
        seed=data.seed,
        allowed=allowed,
        lint=lint,
    )


def _items(task: Task, audit: Audit, contents: Mapping[str, str]) -> dict[Split, list[Item]]:
    """Return names, labels and digests by split."""
    from edgetl.data.dataset import Item

    labels = {one.name: one.label for found in audit.placed.values() for one in found}
    if task is Task.DETECTION:
        used = [sample for found in audit.placed.values() for sample in found]
        labels = rarest(used, audit.classes)
    numbers = {name: number for number, name in enumerate((*audit.classes, ""))}
    return {
        split: [
            Item(sample.name, numbers[labels[sample.name]], contents[sample.name])
            for sample in samples
        ]
        for split, samples in audit.placed.items()
    }


def _truths(audit: Audit) -> dict[Split, list[Truth]]:
    """Return the boxes of each image by split, with numbers for classes."""
    import numpy as np

    from edgetl.data.dataset import Truth

    numbers = {name: number for number, name in enumerate(audit.classes)}

    def truth(sample: Sample) -> Truth:
        # A class that only crowds show is left out as empty, and its crowds with it.
        boxes = [box for box in sample.boxes if box.label in numbers]
        return Truth(
            np.array([box.corners for box in boxes], np.float32).reshape(-1, 4),
            np.array([numbers[box.label] for box in boxes], np.int64),
            np.array([box.crowd for box in boxes], np.bool_),
        )

    return {split: [truth(one) for one in samples] for split, samples in audit.placed.items()}


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del inputs
    return SOURCES.stamp(settings.layout) if settings.layout else {}


STAGE = Stage(
    name="index",
    version=4,
    needs=(),
    makes="dataset",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=summary,
    check=_check,
    plugins=_plugins,
)
