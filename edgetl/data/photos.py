"""Photos that a recipe names: stored in a folder or zip, or drawn by edgetl."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgetl.config.recipe import DrawnData
from edgetl.data.container import Container, open_container
from edgetl.data.parts import CLASSES, SCENE_VERSION, VERSION, class_of, main_class
from edgetl.data.sources import Box, Listing, Sample, guess_task, list_samples
from edgetl.hashing import digest_value
from edgetl.types import Task

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray


class Photos(Protocol):
    """A listing with the means to read it; may be used by several threads at once."""

    listing: Listing

    def digest(self, digest_file: Callable[[Path], str]) -> str:
        """Return what changes whenever a photo, its name or its class does."""

    def content(self, name: str) -> str:
        """Return the SHA-256 of a photo's content; equal photos have equal contents.

        Raises:
            PhotoError: If it cannot be read.
        """

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Return the pixels, `(H, W, 3)`, RGB, upright.

        Raises:
            PhotoError: If it cannot be decoded.
        """

    def size(self, name: str) -> tuple[int, int]:
        """Return height and width of the upright photo, pixels, without decoding it.

        Raises:
            PhotoError: If it cannot be read.
        """

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return what is labelled on a photo."""


class StoredPhotos:
    """The photos of a folder or zip."""

    def __init__(self, container: Container, listing: Listing) -> None:
        self._container = container
        self._boxes = {sample.name: sample.boxes for sample in listing.samples}
        self.listing = listing

    def digest(self, digest_file: Callable[[Path], str]) -> str:
        """Return the digest of names, classes (also empty ones) and contents, labels among them."""
        names = tuple(sample.name for sample in self.listing.samples) + self.listing.unlabelled
        content = self._container.digest(names + self.listing.labels, digest_file)
        return digest_value([content, list(self.listing.classes)])

    def content(self, name: str) -> str:
        """Return the SHA-256 of the file; errors as `Photos.content`."""
        return hashlib.sha256(self._container.read(name)).hexdigest()

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Return the pixels of a file; errors as `Photos.decode`."""
        from edgetl.runtime.preprocess import read_photo

        return read_photo(io.BytesIO(self._container.read(name)), name=name)

    def size(self, name: str) -> tuple[int, int]:
        """Return the size of a file's photo; errors as `Photos.size`."""
        from edgetl.data.photo_size import read_size

        stream = io.BytesIO(self._container.read(name))
        found = read_size(stream)
        # What cannot be read this way is either damaged, which decoding tells, or unusual.
        return found or self.decode(name).shape[:2]

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return the boxes of the listing."""
        return self._boxes[name]


class DrawnPhotos:
    """Photos drawn on demand; no two are equal."""

    def __init__(self, drawn: DrawnData) -> None:
        self._drawn = drawn
        self._indices = {f"{index:06d}-{class_of(index)}": index for index in range(drawn.photos)}
        self.listing = Listing(
            samples=tuple(
                Sample(name, class_of(index), None) for name, index in self._indices.items()
            ),
            classes=tuple(sorted(CLASSES)),
            given=frozenset(),
            unlabelled=(),
            others=(),
        )

    def digest(self, digest_file: Callable[[Path], str]) -> str:
        """Return the digest of what is drawn: count, seed and version of the drawing."""
        del digest_file
        return digest_value(["drawn", VERSION, self._drawn.photos, self._drawn.seed])

    def content(self, name: str) -> str:
        """Return the digest of the order to draw, which fixes the pixels."""
        return digest_value(["drawn", VERSION, self._indices[name], self._drawn.seed])

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Draw the photo."""
        from edgetl.data.drawn import draw_part

        return draw_part(self._indices[name], self._drawn.seed).pixels

    def size(self, name: str) -> tuple[int, int]:
        """Return the size that all have."""
        from edgetl.data.drawn import SIZE

        del name
        return SIZE, SIZE

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return nothing: the photo as a whole is labelled."""
        del name
        return ()


class DrawnScenes:
    """Scenes of several parts drawn on demand; no two are equal.

    Planning does not draw, so the listing has no boxes, and labels that stand for them when the
    scenes are divided among splits: the class of the first part, none for an empty belt.
    """

    def __init__(self, drawn: DrawnData) -> None:
        self._drawn = drawn
        self._indices = {f"{index:06d}": index for index in range(drawn.photos)}
        self.listing = Listing(
            samples=tuple(
                Sample(name, main_class(index) or "", None) for name, index in self._indices.items()
            ),
            classes=CLASSES,
            given=frozenset(),
            unlabelled=(),
            others=(),
            task=Task.DETECTION,
        )

    def digest(self, digest_file: Callable[[Path], str]) -> str:
        """Return the digest of what is drawn: count, seed and version of the drawing."""
        del digest_file
        return digest_value(["scenes", SCENE_VERSION, self._drawn.photos, self._drawn.seed])

    def content(self, name: str) -> str:
        """Return the digest of the order to draw, which fixes pixels and boxes."""
        return digest_value(["scene", SCENE_VERSION, self._indices[name], self._drawn.seed])

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Draw the scene."""
        from edgetl.data.scenes import draw_scene

        return draw_scene(self._indices[name], self._drawn.seed).pixels

    def size(self, name: str) -> tuple[int, int]:
        """Return the size that all have."""
        from edgetl.data.scenes import SIZE

        del name
        return SIZE, SIZE

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return the boxes, which are found without drawing."""
        from edgetl.data.scenes import scene_boxes

        found, labels = scene_boxes(self._indices[name], self._drawn.seed)
        return tuple(
            Box(CLASSES[label], (left, top, right, bottom), f"{name}, part {number}")
            for number, (label, (left, top, right, bottom)) in enumerate(
                zip(labels.tolist(), found.tolist(), strict=True), start=1
            )
        )


def find_task(path: Path) -> Task:
    """Return what the photos in a folder or zip seem to be labelled for.

    Raises:
        DataError: If there is no such folder or zip.
    """
    container = open_container(path)
    try:
        return guess_task(container)
    finally:
        container.close()


@contextmanager
def open_photos(
    path: Path | None, drawn: DrawnData | None, exclude: tuple[str, ...], task: Task
) -> Iterator[Photos]:
    """Open what a recipe's data table names, by names and labels only.

    Args:
        path: Folder or zip; None for drawn photos.
        drawn: What to draw; only read without `path`.
        exclude: Glob patterns of files to leave out, as `open_container` takes them.
        task: What the photos are labelled for.

    Raises:
        DataError: If the data cannot be found or listed.
    """
    if path is None:
        kind = DrawnPhotos if task is Task.CLASSIFICATION else DrawnScenes
        yield kind(drawn or DrawnData())
        return
    container = open_container(path, exclude=exclude)
    try:
        yield StoredPhotos(container, list_samples(container, str(path), task))
    finally:
        container.close()
