"""What the index stage says of the data: facts for the manifest, notes and one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from edgetl.data.audit import Audit
from edgetl.data.image_sets import Images
from edgetl.data.sources import Sample
from edgetl.errors import DataError
from edgetl.facts.dataset import DatasetFacts
from edgetl.stages import Progress
from edgetl.types import Facts, Split, Task

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.data.box_batches import Unseen
    from edgetl.data.dataset import Truth
    from edgetl.runtime.preprocess import Preprocess

_MAX_SHOWN = 3


def summary(facts: DatasetFacts) -> str:
    """Return for example `2,140 images, 6 classes (train 1,391, val 321, test 428)`."""
    sizes = facts.images
    parts = ", ".join(f"{split} {size:,}" for split, size in sizes.items())
    boxes = ""
    total = sum(sum(counts.values()) for counts in (facts.boxes or {}).values())
    if facts.boxes is not None:
        boxes = f" {total:,} {'box' if total == 1 else 'boxes'},"
    count = len(facts.classes)
    classes = "class" if count == 1 else "classes"
    text = f"{sum(sizes.values()):,} images,{boxes} {count} {classes} ({parts})"
    for kind, names in facts.dropped.items():
        text += f"; {len(names):,} {kind} left out"
    for kind, number in facts.repaired.items():
        text += f"; {number:,} repaired by {kind}"
    too_small = sum(facts.too_small.values())
    if too_small:
        text += f"; {too_small:,} of {total:,} boxes too small to be learnt"
    if facts.duplicates:
        text += f"; {facts.duplicates:,} duplicates kept together"
    return text


def look_for_unseen(
    truths: Mapping[Split, Sequence[Truth]],
    sizes: Mapping[Split, Sequence[tuple[int, int]]],
    preprocess: Preprocess,
    progress: Progress,
) -> dict[Split, Unseen]:
    """Return how many boxes of each split training does not see, and tell what would show them.

    Args:
        truths: The boxes of each image, by split.
        sizes: Height and width of each of these images, pixels.
        preprocess: How they are fitted.
        progress: Is told.

    Raises:
        DataError: If nothing is left to train on.
    """
    from edgetl.data.box_batches import Unseen, count_unseen
    from edgetl.data.boxes_augment import MIN_SIDE

    found = {split: count_unseen(truths[split], sizes[split], preprocess) for split in Split}
    called = f"at input {preprocess.width}"
    train = found[Split.TRAIN]
    if train.too_small + train.cropped == train.total:
        remedies = ["raise `input.size`"] if train.too_small else []
        remedies += ["write `input: {fit: letterbox}`"] if train.cropped else []
        raise DataError(
            f"none of the {train.total:,} boxes to train on is seen {called}: {train.too_small:,} "
            f"are under {MIN_SIDE:g} px, {train.cropped:,} are cut off",
            remedy=" and ".join(remedies),
        )
    every = Unseen(
        total=sum(one.total for one in found.values()),
        too_small=sum(one.too_small for one in found.values()),
        cropped=sum(one.cropped for one in found.values()),
    )
    if every.too_small:
        verb = "is" if every.too_small == 1 else "are"
        progress.note(
            f"{every.too_small:,} of {every.total:,} boxes {verb} under {MIN_SIDE:g} px {called}: "
            "raise `input.size`"
        )
    if every.cropped:
        verb = "is" if every.cropped == 1 else "are"
        progress.note(
            f"{every.cropped:,} of {every.total:,} boxes {verb} cut off by `fit: crop`: "
            "write `input: {fit: letterbox}`"
        )
    return found


def facts_of(
    task: Task,
    audit: Audit,
    images: Images,
    progress: Progress,
    unseen: Mapping[Split, Unseen],
) -> DatasetFacts:
    """Return the facts of a dataset, and note what a user must know at once.

    Args:
        task: Of the recipe.
        audit: What is used.
        images: Where it is from.
        progress: Is told.
        unseen: Boxes that training does not see, by split; empty for classification.
    """
    others = images.listing.others
    if others:
        what = "file that is no image" if len(others) == 1 else "files that are no images"
        progress.note(f"{len(others):,} {what}: {_few(others)}")
    dropped: dict[str, list[str]] = {}
    for dropped_item in audit.dropped:
        dropped.setdefault(dropped_item.kind.value, []).append(dropped_item.name)
    if task is Task.CLASSIFICATION:
        of_labels: Facts = {"counts": _counts(audit, lambda sample: [sample.label])}
    else:
        of_labels = _box_facts(audit, images, progress, unseen)
    return DatasetFacts(
        task=task,
        classes=audit.classes,
        images={split: len(samples) for split, samples in audit.placed.items()},
        dropped={kind: tuple(names) for kind, names in dropped.items()},
        duplicates=audit.num_repeated,
        other_files=len(others),
        **of_labels,
    )


def _counts(audit: Audit, shown: Callable[[Sample], list[str]]) -> dict[Split, dict[str, int]]:
    """Return by split how often each class is among what is shown."""
    by_split = {}
    for split, samples in audit.placed.items():
        counts = Counter(name for sample in samples for name in shown(sample))
        by_split[split] = {name: counts[name] for name in audit.classes}
    return by_split


def _box_facts(
    audit: Audit, images: Images, progress: Progress, unseen: Mapping[Split, Unseen]
) -> Facts:
    """Return the fields of `DatasetFacts` about boxes; crowds are no boxes of a class."""
    unlisted = images.listing.unlisted
    if unlisted:
        what = "image belongs" if len(unlisted) == 1 else "images belong"
        progress.note(f"{len(unlisted):,} {what} to no split: {_few(unlisted)}")
    boxes = [box for found in audit.placed.values() for one in found for box in one.boxes]
    return {
        "boxes": _counts(
            audit, lambda sample: [box.label for box in sample.boxes if not box.crowd]
        ),
        "backgrounds": {
            split: sum(not sample.boxes for sample in samples)
            for split, samples in audit.placed.items()
        },
        "crowds": sum(box.crowd for box in boxes),
        "difficult": sum(box.difficult for box in boxes),
        "repaired": {kind: len(where) for kind, where in audit.repaired.items()},
        "unlisted": len(unlisted),
        "too_small": {split: one.too_small for split, one in unseen.items()},
        "cropped": {split: one.cropped for split, one in unseen.items()},
    }


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_SHOWN]) + (", ..." if len(names) > _MAX_SHOWN else "")
