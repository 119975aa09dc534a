"""Index the labelled photos: decode, check, split and store them at the network's input size."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import Field

from edgetl.config.recipe import DataTable, DrawnData, Leave
from edgetl.config.table import Table
from edgetl.data.audit import Audit, examine
from edgetl.data.photos import Photos, open_photos
from edgetl.data.splits import SplitRule, find_rule
from edgetl.errors import DataError, Problem
from edgetl.hashing import digest_file
from edgetl.runtime.errors import PhotoError
from edgetl.stages import Job, Node, NoOptions, Planned, Progress, Stage, Workspace
from edgetl.store.store import Artifact
from edgetl.types import Facts, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from edgetl.runtime.preprocess import Preprocess

_LOOK_AHEAD = 4
_STEPS = 100
_MAX_SHOWN = 3

Given = TypeVar("Given")
Made = TypeVar("Made")


class Settings(Table):
    """What the dataset depends on."""

    content: str
    """Digest of names, classes and contents of all photos."""
    test_is_val: bool
    drawn_off: dict[Split, float]
    seed: int
    """Of the division; 0 where nothing is divided."""
    leave_out: tuple[Leave, ...]
    size: int
    fit: Literal["letterbox", "stretch", "crop"]
    filter: Literal["bilinear", "bicubic", "area"]
    pad: int
    """Grey level of the letterbox border; 0 where there is none."""
    path: Path | None = Field(exclude=True)
    """Where the photos are; `content` stands for it in the key. None for drawn photos."""
    drawn: DrawnData | None = Field(exclude=True)
    exclude: tuple[str, ...] = Field(exclude=True)

    def preprocess(self) -> Preprocess:
        """Return how photos become inputs."""
        from edgetl.runtime.preprocess import Preprocess

        return Preprocess(self.size, self.size, self.fit, self.filter, self.pad)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    del made
    data, image = job.recipe.data, job.recipe.input
    path = _path(job)
    with open_photos(path, data.drawn, data.exclude) as photos:
        rule = _rule(data, photos)
        settings = Settings(
            content=photos.digest(job.digest),
            test_is_val=rule.test_is_val,
            drawn_off=dict(rule.drawn_off),
            seed=data.seed if rule.drawn_off else 0,
            leave_out=tuple(sorted(set(data.leave_out))),
            size=image.size,
            fit=image.fit,
            filter=image.filter,
            pad=image.pad if image.fit == "letterbox" else 0,
            path=path,
            drawn=data.drawn,
            exclude=data.exclude,
        )
    return [Node(stage="index", label="index", settings=settings)]


def _check(job: Job) -> Iterator[Problem]:
    """Yield whether the data can hold as many calibration photos as asked for."""
    data, wanted = job.recipe.data, job.calibration
    with open_photos(_path(job), data.drawn, data.exclude) as photos:
        rule = _rule(data, photos)
        # How many photos a split gets depends on names alone, as long as nothing is left out.
        names = {sample.name: sample.name for sample in photos.listing.samples}
        audit = examine(photos.listing, names, {}, rule=rule, seed=data.seed, leave_out=())
    available = len(audit.placed[Split(wanted.split)])
    if wanted.count > available:
        yield Problem(
            "calibration",
            f"'{wanted.name}' wants {wanted.count:,} photos of the {wanted.split} split, "
            f"which has {available:,}",
        )


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    del inputs
    from edgetl.data.dataset import Item, write_index

    called = str(settings.path or "drawn photos")
    with (
        open_photos(settings.path, settings.drawn, settings.exclude) as photos,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
        warnings.catch_warnings(),
    ):
        # Pillow warns of odd metadata and palettes that it reads well all the same.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        contents, unreadable = _read_contents(photos, pool)
        audit = _examine(settings, photos, contents, unreadable)
        failed = _store(settings, audit, photos, pool, work)
        if failed:
            audit = _examine(settings, photos, contents, unreadable | failed)
        audit.refuse_if_wrong(called)
        failed_again = _store(settings, audit, photos, pool, work) if failed else {}
        if failed_again or photos.digest(digest_file) != settings.content:
            raise DataError(f"'{called}' changed while it was read", remedy="run again")
    items = {
        split: [
            Item(sample.name, audit.classes.index(sample.label), contents[sample.name])
            for sample in samples
        ]
        for split, samples in audit.placed.items()
    }
    write_index(
        work.out,
        classes=audit.classes,
        preprocess=settings.preprocess(),
        items=items,
        omissions=audit.omissions,
    )
    return _facts(audit, photos, work.progress)


def _tools(settings: Settings) -> tuple[str, ...]:
    return ("numpy",) if settings.path is None else ("pillow",)


def _summary(facts: Facts) -> str:
    """Return for example `2,140 photos, 6 classes (train 1,391, val 321, test 428)`."""
    sizes = {split: sum(counts.values()) for split, counts in facts["counts"].items()}
    parts = ", ".join(f"{split} {size:,}" for split, size in sizes.items())
    text = f"{sum(sizes.values()):,} photos, {len(facts['classes'])} classes ({parts})"
    for kind, names in facts["left_out"].items():
        text += f"; {len(names):,} {kind} left out"
    if facts["duplicates"]:
        text += f"; {facts['duplicates']:,} duplicates kept together"
    return text


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


def _examine(
    settings: Settings,
    photos: Photos,
    contents: Mapping[str, str],
    unreadable: Mapping[str, str],
) -> Audit:
    return examine(
        photos.listing,
        contents,
        unreadable,
        rule=SplitRule(test_is_val=settings.test_is_val, drawn_off=settings.drawn_off),
        seed=settings.seed,
        leave_out=settings.leave_out,
    )


def _read_contents(
    photos: Photos, pool: ThreadPoolExecutor
) -> tuple[dict[str, str], dict[str, str]]:
    """Return content digests by photo name, and why others cannot be read."""
    contents: dict[str, str] = {}
    unreadable: dict[str, str] = {}

    def read(name: str) -> tuple[str, str | PhotoError]:
        try:
            return name, photos.content(name)
        except PhotoError as error:
            return name, error

    names = [sample.name for sample in photos.listing.samples]
    for name, found in _in_order(pool, read, names):
        if isinstance(found, PhotoError):
            unreadable[name] = found.message
        else:
            contents[name] = found
    return contents, unreadable


def _store(
    settings: Settings, audit: Audit, photos: Photos, pool: ThreadPoolExecutor, work: Workspace
) -> dict[str, str]:
    """Write `images.npy` and return why photos, if any, cannot be decoded.

    Where some cannot, the file is not complete, and the photos must be placed anew.
    """
    from edgetl.data.dataset import IMAGES_FILE, write_images
    from edgetl.runtime.preprocess import fit_photo

    preprocess = settings.preprocess()
    names = [sample.name for split in Split for sample in audit.placed[split]]
    failed: dict[str, str] = {}

    def decode(name: str) -> tuple[str, NDArray[np.uint8] | PhotoError]:
        try:
            return name, fit_photo(photos.decode(name), preprocess)
        except PhotoError as error:
            return name, error

    def decoded() -> Iterator[NDArray[np.uint8]]:
        for name, found in _counted(_in_order(pool, decode, names), len(names), work.progress):
            if isinstance(found, PhotoError):
                failed[name] = found.message
            else:
                yield found

    with (work.out / IMAGES_FILE).open("wb") as file:
        write_images(file, decoded(), (len(names), settings.size, settings.size, 3))
    return failed


def _in_order(
    pool: ThreadPoolExecutor, make: Callable[[Given], Made], given: Iterable[Given]
) -> Iterator[Made]:
    """Yield what `make` returns for each of `given`, in order, never far ahead of the reader."""
    waiting: deque[Future[Made]] = deque()
    for one in given:
        waiting.append(pool.submit(make, one))
        if len(waiting) > _LOOK_AHEAD * len(os.sched_getaffinity(0)):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _counted(made: Iterable[Made], total: int, progress: Progress) -> Iterator[Made]:
    for done, one in enumerate(made, start=1):
        yield one
        if done % max(1, total // _STEPS) == 0 or done == total:
            progress.step(done, total, "photos decoded")


def _facts(audit: Audit, photos: Photos, progress: Progress) -> Facts:
    others = photos.listing.others
    if others:
        shown = ", ".join(others[:_MAX_SHOWN]) + (", ..." if len(others) > _MAX_SHOWN else "")
        progress.note(f"{len(others):,} files that are no photos: {shown}")
    left_out: dict[str, list[str]] = {}
    for omission in audit.omissions:
        left_out.setdefault(omission.kind.value, []).append(omission.name)
    counts = {split.value: dict.fromkeys(audit.classes, 0) for split in audit.placed}
    for split, samples in audit.placed.items():
        for sample in samples:
            counts[split.value][sample.label] += 1
    return {
        "classes": list(audit.classes),
        "counts": counts,
        "left_out": left_out,
        "duplicates": audit.num_repeated,
        "other_files": len(others),
    }


STAGE = Stage(
    name="index",
    version=1,
    needs=(),
    makes="dataset",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=_summary,
    check=_check,
)
