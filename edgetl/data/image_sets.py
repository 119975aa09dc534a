"""Images that a recipe names: stored in a folder or zip, or synthetic."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgetl.config.recipe import GroupColumn, SyntheticData
from edgetl.data.container import FIX_OR_EXCLUDE, Container, open_container
from edgetl.data.findings import for_table
from edgetl.data.group_hints import group_hint
from edgetl.data.groups import copies_of, stated_groups
from edgetl.data.near_copies import Sketch, sketch
from edgetl.data.sources import Box, Listing, guess_label_kind, list_samples, list_unlabelled
from edgetl.data.sources._csv import image_tables
from edgetl.data.task_data import TaskData
from edgetl.errors import DataError
from edgetl.hashing import digest_value
from edgetl.runtime.errors import ImageError
from edgetl.types import LabelKind, Role

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_COLOUR_SIDE = 32
"""Of the image that is looked at for colours."""
_MIN_SIDE, _MIN_PIXELS = 8, 1024
"""An image with less of both is a placeholder of a web page, or a failed crop."""


class Images(Protocol):
    """A listing with the means to read it; may be used by several threads at once."""

    @property
    def listing(self) -> Listing:
        """Names and labels.

        Raises:
            DataError: If the data cannot be listed.
        """

    def digest(self, digest_file: Callable[[Path], str]) -> str:
        """Return a digest that changes whenever an image, its name or its class does."""

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

    def orientation(self, name: str) -> int:
        """Return the EXIF orientation of an image that can be read, 1 to 8; 1 is upright."""

    @property
    def levels(self) -> Mapping[str, int]:
        """The highest grey level of each 16-bit image that was checked, by name."""

    @property
    def sketches(self) -> Mapping[str, Sketch]:
        """The sketch of each image that was checked and shows enough, by name."""

    @property
    def plain(self) -> Collection[str]:
        """The images of one colour, of those that were checked."""

    @property
    def stacks(self) -> Collection[str]:
        """The files with several frames or pages, of those that were checked."""

    @property
    def grey(self) -> Collection[str]:
        """The images without colours, of those that were checked."""

    def check(self, name: str) -> tuple[int, int]:
        """Return height and width after decoding, as cheaply as the format allows.

        Raises:
            ImageError: If it cannot be decoded, or transparency makes it all white.
        """

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return the labelled boxes of an image."""


class StoredImages:
    """The images of a folder or zip; labels are read on first use."""

    def __init__(
        self,
        container: Container,
        called: str,
        task: TaskData,
        *,
        role: Role,
        layout: str,
        group: str | GroupColumn | None,
    ) -> None:
        self._container = container
        self._called = called
        self._task = task
        self._role = role
        self._layout = layout
        self._group = group
        self.levels: dict[str, int] = {}
        self.sketches: dict[str, Sketch] = {}
        self.plain: set[str] = set()
        self.grey: set[str] = set()
        self.stacks: set[str] = set()

    @cached_property
    def listing(self) -> Listing:
        """Names and labels; errors as `Images.listing`."""
        if self._role is Role.UNLABELLED:
            return list_unlabelled(self._container, self._called)
        try:
            listing = list_samples(self._container, self._called, self._task, self._layout)
        except DataError as error:
            raise DataError(error.message, remedy=for_table(error.remedy, self._role)) from error
        names = [sample.name for sample in listing.samples]
        if self._group is None:
            listing = replace(listing, groups=copies_of(names))
            if self._role is not Role.DATA:  # nothing else is split
                return listing
            return replace(listing, group_hint=group_hint(listing, image_tables(self._container)))
        groups = stated_groups(self._container, names, self._group)
        tables = () if isinstance(self._group, str) else (self._group.file,)
        return replace(
            listing,
            groups=groups,
            states_groups=True,
            labels=tuple(dict.fromkeys((*listing.labels, *tables))),
            others=tuple(name for name in listing.others if name not in tables),
        )

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
        from edgetl.runtime.image_file import read_image

        return read_image(io.BytesIO(self._container.read(name)), name=name)

    def size(self, name: str) -> tuple[int, int]:
        """Return the size of a file's image; errors as `Images.size`."""
        from edgetl.data.image_size import read_size

        stream = io.BytesIO(self._container.read(name))
        size = read_size(stream)
        # Files that cannot be read this way are unusual, or damaged, which decoding reports.
        return size or self.decode(name).shape[:2]

    def orientation(self, name: str) -> int:
        """Return the EXIF orientation of a file; see `Images.orientation`."""
        from edgetl.data.image_size import read_orientation

        return read_orientation(io.BytesIO(self._container.read(name)))

    def check(self, name: str) -> tuple[int, int]:
        """Return the size of a file's image once decoded; errors as `Images.check`."""
        from PIL import Image

        from edgetl.data.image_size import has_frames, highest_level, reduced_jpeg, why_blank
        from edgetl.runtime.image_file import BACKGROUND

        content = self._container.read(name)
        reduced = reduced_jpeg(io.BytesIO(content))
        if reduced is not None:
            size, image = reduced
            self._keep_picture(name, image)
            return size
        pixels = self.decode(name)
        blank = why_blank(io.BytesIO(content)) if pixels.min() == BACKGROUND else ""
        if blank:
            raise ImageError(f"image '{name}' shows nothing: {blank}", remedy=FIX_OR_EXCLUDE)
        self._keep_picture(name, Image.fromarray(pixels))
        size = pixels.shape[:2]
        if has_frames(io.BytesIO(content)):
            self.stacks.add(name)
        highest = highest_level(io.BytesIO(content))
        if highest is not None:
            self.levels[name] = highest
        return size

    def _keep_picture(self, name: str, image: Image.Image) -> None:
        """Keep whether an image is of one colour or without any, and its sketch."""
        from PIL import Image, ImageChops

        if image.convert("RGB").getcolors(1):
            self.plain.add(name)
        small = image.convert("RGB").resize((_COLOUR_SIDE, _COLOUR_SIDE), Image.Resampling.NEAREST)
        red, green, blue = small.split()
        if not (
            ImageChops.difference(red, green).getbbox()
            or ImageChops.difference(green, blue).getbbox()
        ):
            self.grey.add(name)
        kept = sketch(image)
        if kept is not None:
            self.sketches[name] = kept

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return the boxes of the listing."""
        return self._boxes[name]


def is_tiny(size: tuple[int, int]) -> bool:
    """Return whether an image with this height and width is too small to show anything."""
    height, width = size
    return min(height, width) < _MIN_SIDE and height * width < _MIN_PIXELS


def find_label_kind(path: Path, exclude: tuple[str, ...] = (), layout: str = "") -> LabelKind:
    """Return the kind of labels that the images in a folder or zip have.

    Args:
        path: Folder or zip.
        exclude: Glob patterns of files to exclude, as for `open_container`.
        layout: Name of the layout to read; empty to recognise it.

    Raises:
        DataError: If there is no such folder or zip.
        UsageError: If there is no such layout.
    """
    container = open_container(path, exclude=exclude)
    try:
        return guess_label_kind(container, layout)
    finally:
        container.close()


@contextmanager
def open_images(
    path: Path | None,
    synthetic: SyntheticData | None,
    exclude: tuple[str, ...],
    task: TaskData,
    *,
    role: Role = Role.DATA,
    layout: str = "",
    group: str | GroupColumn | None = None,
) -> Iterator[Images]:
    """Open images by names; labels are read when the listing is first used.

    Args:
        path: Folder or zip; None for synthetic images.
        synthetic: Number of images, and the seed; only read without `path`.
        exclude: Glob patterns of files to exclude, as for `open_container`.
        task: Sets the kind of labels, or of synthetic images.
        role: Names the table of the recipe; no labels are read with `unlabelled`.
        layout: Name of the layout to read; empty to recognise it.
        group: Which images must be in one split, as a recipe states it.

    Raises:
        DataError: If the data do not exist.
    """
    if path is None:
        yield task.synthetic(synthetic or SyntheticData())
        return
    container = open_container(path, exclude=exclude, table=role)
    try:
        yield StoredImages(container, str(path), task, role=role, layout=layout, group=group)
    finally:
        container.close()
