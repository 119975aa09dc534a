"""Constraints between datasets of different roles: no shared images, the same classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from edgetl.config.recipe import Accept, Drop
from edgetl.data.findings import DroppedItem, find_unreadable, refuse
from edgetl.data.image_levels import find_unused_bits
from edgetl.data.image_sets import Images
from edgetl.data.listing_notes import notes_of
from edgetl.errors import DataError
from edgetl.facts.dataset import DatasetFacts
from edgetl.hashing import digest_file
from edgetl.stages import Workspace
from edgetl.stages._image_reading import look, undecodable
from edgetl.types import Role, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.data.dataset import DatasetIndex
    from edgetl.stages._index_making import Settings

_MAX_SHOWN = 3


def find_shared(
    settings: Settings, contents: Mapping[str, str], others: Sequence[DatasetIndex]
) -> list[DroppedItem]:
    """Return the images that another role has, if the recipe allows dropping them.

    Args:
        settings: Of the index that is made.
        contents: Digests of its images by name.
        others: The indexes of other roles. Unlabelled images may be those of the evaluation where
            the recipe sets `transductive`.

    Raises:
        DataError: If there are any and the recipe does not allow it.
    """
    compared = [index for index in others if not _may_overlap(settings, index.role)]
    held: dict[str, tuple[DatasetIndex, Split, str]] = {}
    for index in compared:
        for split in Split:
            held |= {item.sha256: (index, split, item.name) for item in index.items[split]}
    shared = {name: held[content] for name, content in contents.items() if content in held}
    if Drop.DUPLICATES in settings.drop:
        return [
            DroppedItem(name, Drop.DUPLICATES, f"equal to {other} of `{index.role}`")
            for name, (index, _, other) in sorted(shared.items())
        ]
    if not shared:
        return []
    counts = [
        f"{sum(where == (index.role, split) for where in _places(shared)):,} in {name}"
        for index in compared
        for split in Split
        for name in [f"the {split} split of `data`" if index.role is Role.DATA else "`evaluation`"]
        if (index.role, split) in _places(shared)
    ]
    examples = [f"'{name}' = '{other}'" for name, (_, _, other) in sorted(shared.items())]
    more = ", ..." if len(examples) > _MAX_SHOWN else ""
    verb = "is" if len(shared) == 1 else "are"
    role = settings.role
    remedy = (
        f"move them, or drop them with `{role}: {{drop: [duplicates]}}` or "
        f"`{role}: {{exclude: [...]}}`"
    )
    if any(index.role is Role.EVALUATION for index, _, _ in shared.values()):
        remedy += (
            "; to adapt to the evaluation images themselves, which is then noted next to every "
            "figure, set `unlabelled: {transductive: true}`"
        )
    raise DataError(
        f"{len(shared):,} of the {len(contents):,} images of `{role}` {verb} also in other roles, "
        f"{' and '.join(counts)}: {', '.join(examples[:_MAX_SHOWN])}{more}",
        remedy=remedy,
    )


def shared_classes(
    settings: Settings, classes: Sequence[str], of_data: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the classes of an evaluation, which are those of `data`, in their order.

    Args:
        settings: Of the evaluation.
        classes: That its images show.
        of_data: That a model learns.

    Raises:
        DataError: If the images show other classes, or not all and the recipe does not allow it.
    """
    unknown = sorted(set(classes) - set(of_data))
    if unknown:
        raise DataError(
            f"`evaluation` shows classes that `data` lacks: {', '.join(unknown)}; "
            f"`data` has {', '.join(of_data)}",
            remedy="use the same names, or exclude the images with `evaluation: {exclude: [...]}`",
        )
    lacking = [name for name in of_data if name not in classes]
    if lacking and Accept.MISSING_CLASSES not in settings.accept:
        raise DataError(
            f"`evaluation` shows no images of {', '.join(lacking)}, which `data` has",
            remedy="add some, or if intended, set `evaluation: {accept: [missing-classes]}`",
        )
    return of_data


def index_unlabelled(
    settings: Settings,
    images: Images,
    others: Sequence[DatasetIndex],
    *,
    pool: ThreadPoolExecutor,
    work: Workspace,
) -> DatasetFacts:
    """Write the index of images without labels, all in the training split.

    Args:
        settings: Of the index.
        images: The source.
        others: The indexes of the other roles, that of `data` first.
        pool: Threads that read.
        work: The folders to write to.

    Raises:
        DataError: If images cannot be read, belong to other roles, or change in the meantime.
    """
    from edgetl.data.dataset import Item, write_index

    called = str(settings.path)
    for note in notes_of(images.listing):
        work.progress.note(note)
    seen = look(images, pool)
    dropped = find_shared(settings, seen.contents, others)
    gone = {item.name for item in dropped}
    names = [name for name in sorted(seen.contents) if name not in gone]
    unreadable = seen.unreadable | undecodable(names, images, seen, pool, work.progress)
    if unreadable and Drop.UNREADABLE not in settings.drop:
        finding = find_unreadable(unreadable, seen.remedies, len(images.listing.samples))
        refuse([finding], called, table=settings.role)
    for dark in find_unused_bits(images.levels, {}, ()):
        work.progress.note(f"{len(dark.examples):,} x {dark.title}; {dark.advice}")
    names = [name for name in names if name not in unreadable]
    if not names:
        raise DataError(f"no usable image in '{called}'", remedy="set another `unlabelled.path`")
    if images.digest(digest_file) != settings.content:
        raise DataError(f"'{called}' changed while it was read", remedy="run again")
    dropped += [DroppedItem(name, Drop.UNREADABLE, unreadable[name]) for name in sorted(unreadable)]
    classes = others[0].classes if others else ()
    contents = [seen.contents[name] for name in names]
    write_index(
        work.out,
        task=settings.task,
        role=settings.role,
        classes=classes,
        items={
            Split.TRAIN: [Item(name, len(classes), seen.contents[name]) for name in names],
            Split.VAL: [],
            Split.TEST: [],
        },
        dropped=dropped,
        image_sizes={
            Split.TRAIN: [seen.sizes[name] for name in names],
            Split.VAL: [],
            Split.TEST: [],
        },
    )
    measured = {
        item.sha256
        for index in others
        if index.role is Role.EVALUATION
        for item in index.items[Split.TEST]
    }
    by_kind: dict[str, list[str]] = {}
    for item in dropped:
        by_kind.setdefault(item.kind.value, []).append(item.name)
    return DatasetFacts(
        role=settings.role,
        task=settings.task,
        classes=classes,
        images={Split.TRAIN: len(names), Split.VAL: 0, Split.TEST: 0},
        dropped={kind: tuple(each) for kind, each in by_kind.items()},
        duplicates=len(contents) - len(set(contents)),
        other_files=len(images.listing.others),
        ignored={ignored.what: len(ignored.names) for ignored in images.listing.ignored},
        transductive=settings.transductive,
        shared_with_evaluation=sum(content in measured for content in contents),
    )


def _may_overlap(settings: Settings, other: Role) -> bool:
    return settings.transductive and other is Role.EVALUATION


def _places(shared: Mapping[str, tuple[DatasetIndex, Split, str]]) -> list[tuple[Role, Split]]:
    return [(index.role, split) for index, split, _ in shared.values()]
