"""Read the images of a dataset by several threads."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from edgetl.data.container import FIX_OR_EXCLUDE
from edgetl.data.findings import DroppedItem, is_most, share_of
from edgetl.data.image_sets import Images, is_tiny
from edgetl.data.prefetch import prefetched
from edgetl.data.sources import Box, Listing
from edgetl.runtime.cores import usable_cores
from edgetl.runtime.errors import ImageError
from edgetl.stages import Progress
from edgetl.types import LabelKind

_PREFETCH_PER_CORE = 4
"""Images per core that are read ahead."""
_STEPS = 100

Made = TypeVar("Made")


@dataclass(slots=True)
class Seen:
    """What is known about the images before they are decoded, by name."""

    contents: dict[str, str] = field(default_factory=dict)
    """Digests."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Why they cannot be read."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Height and width, upright."""
    orientations: dict[str, int] = field(default_factory=dict)
    """EXIF orientations of images, where boxes may depend on them."""
    remedies: dict[str, str] = field(default_factory=dict)
    """How to make unreadable images readable."""
    boxes: dict[str, tuple[Box, ...]] = field(default_factory=dict)
    """Of the labelled objects."""
    dropped: Sequence[DroppedItem] = ()
    """Images that belong to another role."""

    def used(self, listing: Listing) -> Listing:
        """Return `listing` without the images that are dropped."""
        if not self.dropped:
            return listing
        names = {item.name for item in self.dropped}
        return replace(
            listing, samples=tuple(each for each in listing.samples if each.name not in names)
        )


@contextmanager
def reading_pool() -> Iterator[ThreadPoolExecutor]:
    """Return threads that read images, with Pillow's warnings off."""
    with ThreadPoolExecutor(usable_cores()) as pool, warnings.catch_warnings():
        # Pillow warns about odd metadata and palettes that it reads correctly.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield pool


def look(images: Images, pool: ThreadPoolExecutor, *, turns: bool = False) -> Seen:
    """Read the header and digest of every image without decoding it.

    Args:
        images: The source.
        pool: Threads that read.
        turns: Read all EXIF orientations, also where labels state the size of the upright image.
    """
    seen = Seen()
    stated_sizes = {sample.name: sample.stated_size for sample in images.listing.samples}
    wants_boxes = images.listing.label_kind is LabelKind.BOXES

    def read(name: str) -> tuple[str, str | ImageError]:
        try:
            content = images.content(name)
            seen.sizes[name] = images.size(name)
            if wants_boxes:
                seen.boxes[name] = images.boxes(name)
                # The size that labels state shows which way round the image is for them.
                if turns or stated_sizes[name] != seen.sizes[name]:
                    seen.orientations[name] = images.orientation(name)
        except ImageError as error:
            return name, error
        return name, content

    names = [sample.name for sample in images.listing.samples]
    for name, result in prefetched(read, names, pool, depth=prefetch_depth()):
        if isinstance(result, ImageError):
            seen.unreadable[name] = result.message
            seen.remedies[name] = result.remedy
        else:
            seen.contents[name] = result
    _set_aside_tiny(seen, len(names))
    return seen


def _set_aside_tiny(seen: Seen, total: int) -> None:
    """Count images that are too small to show anything as unreadable, unless most are small."""
    tiny = [name for name, size in seen.sizes.items() if is_tiny(size)]
    if is_most(share_of(len(tiny), total)):
        return
    for name in set(tiny) & seen.contents.keys():
        height, width = seen.sizes[name]
        del seen.contents[name]
        seen.unreadable[name] = f"image '{name}' shows nothing: it has {width} x {height} pixels"
        seen.remedies[name] = FIX_OR_EXCLUDE


def undecodable(
    names: Sequence[str], images: Images, seen: Seen, pool: ThreadPoolExecutor, progress: Progress
) -> dict[str, str]:
    """Return the images that cannot be decoded, by name, with the reasons.

    Args:
        names: The images to check.
        images: The source.
        seen: Holds the sizes that they must have; gets the remedies.
        pool: Threads that decode.
        progress: Receives the number of images checked.
    """

    def check(name: str) -> str | None:
        try:
            size = images.check(name)
        except ImageError as error:
            seen.remedies[name] = error.remedy
            return error.message
        if size != seen.sizes[name]:
            return f"cannot read image '{name}': its header states another size than it has"
        return None

    results = prefetched(check, names, pool, depth=prefetch_depth())
    checked = counted(results, len(names), progress, "images checked")
    return {name: reason for name, reason in zip(names, checked, strict=True) if reason}


def prefetch_depth() -> int:
    """Return how many images are read ahead."""
    return _PREFETCH_PER_CORE * usable_cores()


def counted(made: Iterable[Made], total: int, progress: Progress, text: str) -> Iterator[Made]:
    """Yield `made` unchanged and report how many of `total` are done; `text` names them."""
    for done, one in enumerate(made, start=1):
        yield one
        if done % max(1, total // _STEPS) == 0 or done == total:
            progress.step(done, total, text)
