"""Look at images and store them, by several threads, for the index stage."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from edgetl.data.image_sets import Images
from edgetl.data.prefetch import prefetched
from edgetl.data.sources import Box
from edgetl.runtime.errors import ImageError
from edgetl.stages import Progress, Workspace
from edgetl.types import Task

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from edgetl.runtime.preprocess import Preprocess

_PREFETCH_PER_CORE = 4
"""Images per core that are read before they are asked for."""
_STEPS = 100

Made = TypeVar("Made")


@dataclass(slots=True)
class Seen:
    """What is known of the images before they are decoded, by name."""

    contents: dict[str, str] = field(default_factory=dict)
    """Digests."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Why they cannot be read."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Height and width, upright; for detection only."""
    boxes: dict[str, tuple[Box, ...]] = field(default_factory=dict)
    """For detection only."""


@contextmanager
def reading_pool() -> Iterator[ThreadPoolExecutor]:
    """Return threads to read images with, while Pillow is quiet."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool, warnings.catch_warnings():
        # Pillow warns of odd metadata and palettes that it reads well all the same.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield pool


def look(images: Images, pool: ThreadPoolExecutor) -> Seen:
    """Look at every image without decoding it."""
    seen = Seen()
    wants_boxes = images.listing.task is Task.DETECTION

    def read(name: str) -> tuple[str, str | ImageError]:
        try:
            content = images.content(name)
            if wants_boxes:
                seen.boxes[name] = images.boxes(name)
                seen.sizes[name] = images.size(name)
        except ImageError as error:
            return name, error
        return name, content

    names = [sample.name for sample in images.listing.samples]
    for name, found in prefetched(read, names, pool, depth=_prefetch_depth()):
        if isinstance(found, ImageError):
            seen.unreadable[name] = found.message
        else:
            seen.contents[name] = found
    return seen


def store(
    names: Sequence[str],
    images: Images,
    preprocess: Preprocess,
    *,
    seen: Seen,
    pool: ThreadPoolExecutor,
    work: Workspace,
) -> dict[str, str]:
    """Write `images.npy` and return why images, if any, cannot be decoded.

    Where some cannot, the file is not complete, and the images must be placed anew.

    Args:
        names: The images in the order of the file.
        images: Where they are read from.
        preprocess: How they are fitted.
        seen: Gives the sizes that they must have.
        pool: Threads that decode.
        work: Where to write, and whom to tell.
    """
    from edgetl.data.dataset import IMAGES_FILE, write_images
    from edgetl.runtime.preprocess import fit_image

    failed: dict[str, str] = {}

    def decode(name: str) -> tuple[str, NDArray[np.uint8] | ImageError]:
        try:
            image = images.decode(name)
        except ImageError as error:
            return name, error
        if image.shape[:2] != seen.sizes.get(name, image.shape[:2]):
            what = f"cannot read image '{name}': its header states another size than it has"
            return name, ImageError(what, remedy="save it again, or leave it out")
        return name, fit_image(image, preprocess)

    def decoded() -> Iterator[NDArray[np.uint8]]:
        ready = prefetched(decode, names, pool, depth=_prefetch_depth())
        for name, found in _counted(ready, len(names), work.progress):
            if isinstance(found, ImageError):
                failed[name] = found.message
            else:
                yield found

    with (work.out / IMAGES_FILE).open("wb") as file:
        write_images(file, decoded(), (len(names), preprocess.height, preprocess.width, 3))
    return failed


def _prefetch_depth() -> int:
    return _PREFETCH_PER_CORE * len(os.sched_getaffinity(0))


def _counted(made: Iterable[Made], total: int, progress: Progress) -> Iterator[Made]:
    for done, one in enumerate(made, start=1):
        yield one
        if done % max(1, total // _STEPS) == 0 or done == total:
            progress.step(done, total, "images decoded")
