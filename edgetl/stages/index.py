"""Index the labelled photos: check them and their labels, split, store at the input's size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgetl.config.recipe import Accept, DataTable, DrawnData, Leave, Repair
from edgetl.config.table import Table
from edgetl.data.audit import Audit, examine, rarest
from edgetl.data.box_lint import lint_boxes
from edgetl.data.findings import Allowed
from edgetl.data.photos import Photos, open_photos
from edgetl.data.sources import Sample
from edgetl.data.splits import SplitRule, find_rule
from edgetl.errors import DataError, Problem
from edgetl.hashing import digest_file
from edgetl.stages import Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._index_facts import facts_of, look_for_unseen, summary
from edgetl.stages._photo_reading import Seen, look, reading_pool, store
from edgetl.store.store import Artifact
from edgetl.types import Facts, Split, Task

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.data.dataset import Item, Truth
    from edgetl.runtime.preprocess import Preprocess

_LEAVES_OF_PHOTOS = frozenset({Leave.UNREADABLE, Leave.EMPTY_CLASSES, Leave.DUPLICATES})


class Settings(Table):
    """What the dataset depends on."""

    task: Task
    content: str
    """Digest of names, classes and contents of all photos and labels."""
    test_is_val: bool
    drawn_off: dict[Split, float]
    seed: int
    """Of the division; 0 where nothing is divided."""
    leave_out: tuple[Leave, ...]
    repair: tuple[Repair, ...]
    accept: tuple[Accept, ...]
    size: int
    fit: Literal["letterbox", "stretch", "crop"]
    filter: Literal["bilinear", "bicubic", "area"]
    pad: int
    """Grey level of the letterbox border; 0 where there is none."""
    anchor: Literal["centre", "top-left"]
    """Where the letterbox puts the photo; `centre` where there is none."""
    path: Path | None = Field(exclude=True)
    """Where the photos are; `content` stands for it in the key. None for drawn photos."""
    drawn: DrawnData | None = Field(exclude=True)
    exclude: tuple[str, ...] = Field(exclude=True)

    def preprocess(self) -> Preprocess:
        """Return how photos become inputs."""
        from edgetl.runtime.preprocess import Preprocess

        return Preprocess(self.size, self.size, self.fit, self.filter, self.pad, self.anchor)

    def rule(self) -> SplitRule:
        """Return how splits are made."""
        return SplitRule(test_is_val=self.test_is_val, drawn_off=self.drawn_off)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    del made
    data, image = job.recipe.data, job.recipe.input
    path = _path(job)
    with open_photos(path, data.drawn, data.exclude, job.recipe.task) as photos:
        rule = _rule(data, photos)
        settings = Settings(
            task=job.recipe.task,
            content=photos.digest(job.digest),
            test_is_val=rule.test_is_val,
            drawn_off=dict(rule.drawn_off),
            seed=data.seed if rule.drawn_off else 0,
            leave_out=tuple(sorted(set(data.leave_out))),
            repair=tuple(sorted(set(data.repair))),
            accept=tuple(sorted(set(data.accept))),
            size=image.size,
            fit=image.fit,
            filter=image.filter,
            pad=image.pad if image.fit == "letterbox" else 0,
            anchor=image.anchor if image.fit == "letterbox" else "centre",
            path=path,
            drawn=data.drawn,
            exclude=data.exclude,
        )
    return [Node(stage="index", label="index", settings=settings)]


def _check(job: Job) -> Iterator[Problem]:
    """Yield what is wrong with labels, and whether there are enough photos to calibrate with."""
    data, wanted, task = job.recipe.data, job.calibration, job.recipe.task
    if task is not Task.DETECTION:
        of_boxes = [kind for kind in data.leave_out if kind not in _LEAVES_OF_PHOTOS]
        for key, said in (
            ("leave_out", of_boxes),
            ("repair", data.repair),
            ("accept", data.accept),
        ):
            for kind in said:
                what = f"'{kind}' is about labelled boxes, but the task is {task}"
                yield Problem(f"data.{key}", what)
    with open_photos(_path(job), data.drawn, data.exclude, task) as photos:
        # How many photos a split gets depends on names and labels, as long as no photo is left out
        # for what is in it.
        names = {sample.name: sample.name for sample in photos.listing.samples}
        boxes = {sample.name: sample.boxes for sample in photos.listing.samples}
        audit = _examine(data, photos, Seen(names, boxes=boxes), _rule(data, photos))
        if audit.findings and task is Task.DETECTION:
            yield from _wrong_labels(job, photos)
    available = len(audit.placed[Split(wanted.split)])
    if wanted.count > available:
        yield Problem(
            "calibration",
            f"'{wanted.name}' wants {wanted.count:,} photos of the {wanted.split} split, "
            f"which has {available:,}",
        )


def _wrong_labels(job: Job, photos: Photos) -> Iterator[Problem]:
    """Yield the report of a run, but without decoding photos: one look is to name all there is."""
    data = job.recipe.data
    with reading_pool() as pool:
        seen = look(photos, pool)
    try:
        _examine(data, photos, seen, _rule(data, photos)).refuse_if_wrong(str(_path(job)))
    except DataError as error:
        yield Problem("data.path", str(error))


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    del inputs
    from edgetl.data.dataset import write_index

    called = str(settings.path or "drawn photos")
    with (
        open_photos(settings.path, settings.drawn, settings.exclude, settings.task) as photos,
        reading_pool() as pool,
    ):
        seen = look(photos, pool)
        audit = _examine(settings, photos, seen, settings.rule())

        def store_placed() -> dict[str, str]:
            names = [sample.name for split in Split for sample in audit.placed[split]]
            return store(names, photos, settings.preprocess(), seen=seen, pool=pool, work=work)

        # Also before data are refused: the report is to name photos that cannot be decoded.
        failed = store_placed()
        if failed:
            seen.unreadable.update(failed)
            audit = _examine(settings, photos, seen, settings.rule())
        audit.refuse_if_wrong(called)
        failed_again = store_placed() if failed else {}
        if failed_again or photos.digest(digest_file) != settings.content:
            raise DataError(f"'{called}' changed while it was read", remedy="run again")
    truths = sizes = None
    unseen = {}
    if settings.task is Task.DETECTION:
        truths = _truths(audit)
        sizes = {
            split: [seen.sizes[sample.name] for sample in samples]
            for split, samples in audit.placed.items()
        }
        unseen = look_for_unseen(truths, sizes, settings.preprocess(), work.progress)
    write_index(
        work.out,
        classes=audit.classes,
        preprocess=settings.preprocess(),
        items=_items(settings.task, audit, seen.contents),
        omissions=audit.omissions,
        truths=truths,
        photo_sizes=sizes,
    )
    return facts_of(settings.task, audit, photos, work.progress, unseen)


def _tools(settings: Settings) -> tuple[str, ...]:
    return ("numpy",) if settings.path is None else ("pillow",)


def _path(job: Job) -> Path | None:
    given = job.recipe.data.path
    return None if given is None else job.folder / Path(given).expanduser()


def _rule(data: DataTable, photos: Photos) -> SplitRule:
    return find_rule(
        photos.listing.given,
        val=data.val,
        test=data.test,
        test_stated="test" in data.model_fields_set,
    )


def _examine(data: Settings | DataTable, photos: Photos, seen: Seen, rule: SplitRule) -> Audit:
    listing, lint = photos.listing, None
    allowed = Allowed(frozenset(data.leave_out), frozenset(data.repair), frozenset(data.accept))
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
        rule=rule,
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
    """Return the boxes of each photo by split, with numbers for classes."""
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


STAGE = Stage(
    name="index",
    version=3,
    needs=(),
    makes="dataset",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=summary,
    check=_check,
)
