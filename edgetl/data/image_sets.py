"""Images that a recipe names: stored in a folder or zip, or drawn by edgetl."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgetl.config.recipe import SyntheticData
from edgetl.data.container import Container, open_container
from edgetl.data.sources import Box, Listing, Sample, guess_task, list_samples, list_unlabelled
from edgetl.data.synthetic.parts import CLASSES, SCENE_VERSION, VERSION, class_of, main_class
from edgetl.hashing import digest_value
from edgetl.types import Role, Task

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray


class Images(Protocol):
    """A listing with the means to read it; may be used by several threads at once."""

    @property
    def listing(self) -> Listing:
        """Names and labels.

        Raises:
            DataError: If the data cannot be listed.
        """

    def digest(self, digest_file: Callable[[Path], str]) -> str:
        """Return what changes whenever an image, its name or its class does."""

    def content(self, name: str) -> str:
        """Return the SHA-256 of an image's content; equal images have equal contents.

        Raises:
            ImageError: If it cannot be read.
        """

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Return the pixels, `(H, W, 3)`, RGB, upright.

        Raises:
            ImageError: If it cannot be decoded.
        """

    def size(self, name: str) -> tuple[int, int]:
        """Return height and width of the upright image, pixels, without decoding it.

        Raises:
            ImageError: If it cannot be read.
        """

    def check(self, name: str) -> tuple[int, int]:
        """Return height and width that `decode` gives, as cheaply as its format allows.

        Raises:
            ImageError: If it cannot be decoded.
        """

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return what is labelled on an image."""


class StoredImages:
    """The images of a folder or zip; labels are read when they are asked for."""

    def __init__(self, container: Container, called: str, task: Task, role: Role) -> None:
        self._container = container
        self._called = called
        self._task = task
        self._role = role

    @cached_property
    def listing(self) -> Listing:
        """Names and labels; errors as `Images.listing`."""
        if self._role is Role.UNLABELLED:
            return list_unlabelled(self._container, self._called)
        return list_samples(self._container, self._called, self._task)

    @cached_property
    def _boxes(self) -> dict[str, tuple[Box, ...]]:
        return {sample.name: sample.boxes for sample in self.listing.samples}

    def digest(self, digest_file: Callable[[Path], str]) -> str:
        """Return the digest of names, classes (also empty ones) and contents, labels among them."""
        names = tuple(sample.name for sample in self.listing.samples) + self.listing.unlabelled
        content = self._container.digest(names + self.listing.labels, digest_file)
        return digest_value([content, list(self.listing.classes)])

    def content(self, name: str) -> str:
        """Return the SHA-256 of the file; errors as `Images.content`."""
        return hashlib.sha256(self._container.read(name)).hexdigest()

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Return the pixels of a file; errors as `Images.decode`."""
        from edgetl.runtime.preprocess import read_image

        return read_image(io.BytesIO(self._container.read(name)), name=name)

    def size(self, name: str) -> tuple[int, int]:
        """Return the size of a file's image; errors as `Images.size`."""
        from edgetl.data.image_size import read_size

        stream = io.BytesIO(self._container.read(name))
        size = read_size(stream)
        # What cannot be read this way is either damaged, which decoding tells, or unusual.
        return size or self.decode(name).shape[:2]

    def check(self, name: str) -> tuple[int, int]:
        """Return the size of a file's image once decoded; errors as `Images.check`."""
        from edgetl.data.image_size import size_of_sound_jpeg

        size = size_of_sound_jpeg(io.BytesIO(self._container.read(name)))
        return size or self.decode(name).shape[:2]

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return the boxes of the listing."""
        return self._boxes[name]


class SyntheticImages:
    """Images drawn on demand; no two are equal."""

    def __init__(self, synthetic: SyntheticData) -> None:
        self._drawn = synthetic
        self._indices = {
            f"{index:06d}-{class_of(index)}": index for index in range(synthetic.images)
        }
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
        return digest_value(["drawn", VERSION, self._drawn.images, self._drawn.seed])

    def content(self, name: str) -> str:
        """Return the digest of the order to draw, which fixes the pixels."""
        return digest_value(["drawn", VERSION, self._indices[name], self._drawn.seed])

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Draw the image."""
        from edgetl.data.synthetic.part_images import make_part_image

        return make_part_image(self._indices[name], self._drawn.seed).pixels

    def size(self, name: str) -> tuple[int, int]:
        """Return the size that all have."""
        from edgetl.data.synthetic.part_images import SIZE

        del name
        return SIZE, SIZE

    def check(self, name: str) -> tuple[int, int]:
        """Return the size: there is nothing to go wrong."""
        return self.size(name)

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return nothing: the image as a whole is labelled."""
        del name
        return ()


class SyntheticScenes:
    """Scenes of several parts drawn on demand; no two are equal.

    Planning does not draw, so the listing has no boxes, and labels that stand for them when the
    scenes are divided among splits: the class of the first part, none for an empty belt.
    """

    def __init__(self, synthetic: SyntheticData) -> None:
        self._drawn = synthetic
        self._indices = {f"{index:06d}": index for index in range(synthetic.images)}
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
        return digest_value(["scenes", SCENE_VERSION, self._drawn.images, self._drawn.seed])

    def content(self, name: str) -> str:
        """Return the digest of the order to draw, which fixes pixels and boxes."""
        return digest_value(["scene", SCENE_VERSION, self._indices[name], self._drawn.seed])

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Draw the scene."""
        from edgetl.data.synthetic.scenes import make_scene

        return make_scene(self._indices[name], self._drawn.seed).pixels

    def size(self, name: str) -> tuple[int, int]:
        """Return the size that all have."""
        from edgetl.data.synthetic.scenes import SIZE

        del name
        return SIZE, SIZE

    def check(self, name: str) -> tuple[int, int]:
        """Return the size: there is nothing to go wrong."""
        return self.size(name)

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return the boxes, which are found without drawing."""
        from edgetl.data.synthetic.scenes import scene_boxes

        found, labels = scene_boxes(self._indices[name], self._drawn.seed)
        return tuple(
            Box(CLASSES[label], (left, top, right, bottom), f"{name}, part {number}")
            for number, (label, (left, top, right, bottom)) in enumerate(
                zip(labels.tolist(), found.tolist(), strict=True), start=1
            )
        )


def find_task(path: Path) -> Task:
    """Return what the images in a folder or zip seem to be labelled for.

    Raises:
        DataError: If there is no such folder or zip.
    """
    container = open_container(path)
    try:
        return guess_task(container)
    finally:
        container.close()


@contextmanager
def open_images(
    path: Path | None,
    synthetic: SyntheticData | None,
    exclude: tuple[str, ...],
    task: Task,
    *,
    role: Role = Role.DATA,
) -> Iterator[Images]:
    """Open images by names; labels are read when the listing is asked for.

    Args:
        path: Folder or zip; None for drawn images.
        synthetic: What to draw; only read without `path`.
        exclude: Glob patterns of files to leave out, as `open_container` takes them.
        task: What the images are labelled for.
        role: Names the table of the recipe; no labels are looked for with `unlabelled`.

    Raises:
        DataError: If the data cannot be found.
    """
    if path is None:
        kind = SyntheticImages if task is Task.CLASSIFICATION else SyntheticScenes
        yield kind(synthetic or SyntheticData())
        return
    container = open_container(path, exclude=exclude, table=role)
    try:
        yield StoredImages(container, str(path), task, role)
    finally:
        container.close()
