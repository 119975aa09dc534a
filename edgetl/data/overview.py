"""What a labelled dataset holds: its facts, the sizes of its images and notes, for display."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from edgetl.config.recipe import DataTable
from edgetl.data.audit import Audit, examine
from edgetl.data.box_lint import lint_boxes
from edgetl.data.findings import Allowed
from edgetl.data.image_sets import Images, is_tiny
from edgetl.data.listing import Listing, Sample
from edgetl.data.listing_notes import few, notes_of
from edgetl.data.splits import SplitPolicy
from edgetl.facts.dataset import DatasetFacts, ImageSizes
from edgetl.runtime.errors import ImageError
from edgetl.types import Facts, LabelKind, Role

_MAX_COMMON = 3
_MAX_READ = 400
"""Images whose size is read for an overview that must not take as long as reading them all."""


def audit_names(
    listing: Listing,
    data: DataTable,
    policy: SplitPolicy,
    contents: Mapping[str, str] | None = None,
) -> Audit:
    """Return what names and labels alone show: their problems, and how large each split gets.

    The images in a split are others once they are read, because their contents decide; how many
    there are stays the same, as long as none is dropped because of its content.

    Args:
        listing: Images and labels.
        data: What may be dropped, repaired and accepted.
        policy: How splits are made.
        contents: The digests of images that were read, in place of their names.
    """
    known = contents or {}
    allowed = Allowed(frozenset(data.drop), frozenset(data.repair), frozenset(data.accept))
    lint = None
    if listing.label_kind is LabelKind.BOXES:
        lint = lint_boxes(listing, {}, allowed, {})
        listing = lint.listing
    return examine(
        listing,
        {sample.name: known.get(sample.name, sample.name) for sample in listing.samples},
        {},
        policy=policy,
        seed=data.seed,
        allowed=allowed,
        lint=lint,
    )


def contents_of(images: Images) -> dict[str, str]:
    """Return the digests of all images that can be read."""
    contents = {}
    for sample in images.listing.samples:
        with suppress(ImageError):
            contents[sample.name] = images.content(sample.name)
    return contents


def facts_of(role: Role, task: str, audit: Audit, listing: Listing) -> DatasetFacts:
    """Return the facts of a labelled dataset.

    Args:
        role: Of the dataset.
        task: Of the recipe.
        audit: The samples in use.
        listing: All samples.
    """
    dropped: dict[str, list[str]] = {}
    for dropped_item in audit.dropped:
        dropped.setdefault(dropped_item.kind.value, []).append(dropped_item.name)
    if listing.label_kind is LabelKind.CLASSES:
        of_labels: Facts = {"counts": _counts(audit, lambda sample: [sample.label])}
    else:
        of_labels = _box_facts(audit)
    return DatasetFacts(
        role=role,
        task=task,
        classes=audit.classes,
        images={split: len(samples) for split, samples in audit.placed.items()},
        dropped={kind: tuple(names) for kind, names in dropped.items()},
        duplicates=audit.num_repeated,
        other_files=len(listing.others),
        unlisted=len(listing.unlisted),
        ignored={ignored.what: len(ignored.names) for ignored in listing.ignored},
        groups=len(set(listing.groups.values())),
        **of_labels,
    )


def all_notes_of(listing: Listing) -> Iterator[str]:
    """Yield what a user must know of the files, those that are not images first."""
    others = listing.others
    if others:
        what = "file that is not an image" if len(others) == 1 else "files that are not images"
        yield f"{len(others):,} {what}: {few(others)}"
    yield from notes_of(listing)


def some_sizes(images: Images) -> dict[str, tuple[int, int]]:
    """Return height and width of evenly spaced images that can be read, by name."""
    samples = images.listing.samples
    step = -(-len(samples) // _MAX_READ) or 1
    sizes = {}
    for sample in samples[::step]:
        with suppress(ImageError):
            sizes[sample.name] = images.size(sample.name)
    return sizes


def notes_of_sizes(sizes: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """Yield which images are too small to show anything, of those whose size was read."""
    tiny = sorted(name for name, size in sizes.items() if is_tiny(size))
    if tiny:
        what = "image is" if len(tiny) == 1 else "images are"
        shown = [f"{name} ({sizes[name][1]} x {sizes[name][0]})" for name in tiny]
        yield (
            f"{len(tiny):,} {what} too small to show anything: {few(shown)}; drop such images "
            "with `data: {drop: [unreadable]}`"
        )


def summarise_sizes(sizes: Iterable[tuple[int, int]]) -> ImageSizes | None:
    """Return the usual and the extreme of sizes `(height, width)`; None without any."""
    counts = Counter((int(width), int(height)) for height, width in sizes)
    if not counts:
        return None
    by_area = sorted(counts, key=lambda size: (size[0] * size[1], size))
    common = sorted(counts, key=lambda size: (-counts[size], size))[:_MAX_COMMON]
    return ImageSizes(
        images=counts.total(),
        distinct=len(counts),
        common=tuple((*size, counts[size]) for size in common),
        smallest=by_area[0],
        largest=by_area[-1],
    )


def _counts(audit: Audit, shown: Callable[[Sample], list[str]]) -> Facts:
    """Return how often each class is shown, by split."""
    by_split: Facts = {}
    for split, samples in audit.placed.items():
        counts = Counter(name for sample in samples for name in shown(sample))
        by_split[split] = {name: counts[name] for name in audit.classes}
    return by_split


def _box_facts(audit: Audit) -> Facts:
    """Return the fields of `DatasetFacts` about boxes; crowds do not count as boxes of a class."""
    boxes = [box for samples in audit.placed.values() for sample in samples for box in sample.boxes]
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
    }
