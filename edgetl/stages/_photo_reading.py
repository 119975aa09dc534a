"""Look at photos and store them, by several threads, for the index stage."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from edgetl.data.ahead import made_ahead
from edgetl.data.photos import Photos
from edgetl.data.sources import Box
from edgetl.runtime.errors import PhotoError
from edgetl.stages import Progress, Workspace
from edgetl.types import Task

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from edgetl.runtime.preprocess import Preprocess

_LOOK_AHEAD = 4
"""Photos per core that are read before they are asked for."""
_STEPS = 100

Made = TypeVar("Made")


@dataclass(slots=True)
class Seen:
    """What is known of the photos before they are decoded, by name."""

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
    """Return threads to read photos with, while Pillow is quiet."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool, warnings.catch_warnings():
        # Pillow warns of odd metadata and palettes that it reads well all the same.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield pool


def look(photos: Photos, pool: ThreadPoolExecutor) -> Seen:
    """Look at every photo without decoding it."""
    seen = Seen()
    wants_boxes = photos.listing.task is Task.DETECTION

    def read(name: str) -> tuple[str, str | PhotoError]:
        try:
            content = photos.content(name)
            if wants_boxes:
                seen.boxes[name] = photos.boxes(name)
                seen.sizes[name] = photos.size(name)
        except PhotoError as error:
            return name, error
        return name, content

    names = [sample.name for sample in photos.listing.samples]
    for name, found in made_ahead(read, names, pool, ahead=_look_ahead()):
        if isinstance(found, PhotoError):
            seen.unreadable[name] = found.message
        else:
            seen.contents[name] = found
    return seen


def store(
    names: Sequence[str],
    photos: Photos,
    preprocess: Preprocess,
    *,
    seen: Seen,
    pool: ThreadPoolExecutor,
    work: Workspace,
) -> dict[str, str]:
    """Write `images.npy` and return why photos, if any, cannot be decoded.

    Where some cannot, the file is not complete, and the photos must be placed anew.

    Args:
        names: The photos in the order of the file.
        photos: Where they are read from.
        preprocess: How they are fitted.
        seen: Gives the sizes that they must have.
        pool: Threads that decode.
        work: Where to write, and whom to tell.
    """
    from edgetl.data.dataset import IMAGES_FILE, write_images
    from edgetl.runtime.preprocess import fit_photo

    failed: dict[str, str] = {}

    def decode(name: str) -> tuple[str, NDArray[np.uint8] | PhotoError]:
        try:
            photo = photos.decode(name)
        except PhotoError as error:
            return name, error
        if photo.shape[:2] != seen.sizes.get(name, photo.shape[:2]):
            what = f"cannot read photo '{name}': its header states another size than it has"
            return name, PhotoError(what, remedy="save it again, or leave it out")
        return name, fit_photo(photo, preprocess)

    def decoded() -> Iterator[NDArray[np.uint8]]:
        ready = made_ahead(decode, names, pool, ahead=_look_ahead())
        for name, found in _counted(ready, len(names), work.progress):
            if isinstance(found, PhotoError):
                failed[name] = found.message
            else:
                yield found

    with (work.out / IMAGES_FILE).open("wb") as file:
        write_images(file, decoded(), (len(names), preprocess.height, preprocess.width, 3))
    return failed


def _look_ahead() -> int:
    return _LOOK_AHEAD * len(os.sched_getaffinity(0))


def _counted(made: Iterable[Made], total: int, progress: Progress) -> Iterator[Made]:
    for done, one in enumerate(made, start=1):
        yield one
        if done % max(1, total // _STEPS) == 0 or done == total:
            progress.step(done, total, "photos decoded")
