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
from edgetl.data.parts import CLASSES, VERSION, class_of
from edgetl.data.sources import Listing, Sample, list_samples
from edgetl.hashing import digest_value

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


class StoredPhotos:
    """The photos of a folder or zip."""

    def __init__(self, container: Container, listing: Listing) -> None:
        self._container = container
        self.listing = listing

    def digest(self, digest_file: Callable[[Path], str]) -> str:
        """Return the digest of names, classes (also empty ones) and contents."""
        names = tuple(sample.name for sample in self.listing.samples) + self.listing.unlabelled
        content = self._container.digest(names, digest_file)
        return digest_value([content, list(self.listing.classes)])

    def content(self, name: str) -> str:
        """Return the SHA-256 of the file; errors as `Photos.content`."""
        return hashlib.sha256(self._container.read(name)).hexdigest()

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Return the pixels of a file; errors as `Photos.decode`."""
        from edgetl.runtime.preprocess import read_photo

        return read_photo(io.BytesIO(self._container.read(name)), name=name)


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


@contextmanager
def open_photos(
    path: Path | None, drawn: DrawnData | None, exclude: tuple[str, ...]
) -> Iterator[Photos]:
    """Open what a recipe's data table names, by names only.

    Args:
        path: Folder or zip; None for drawn photos.
        drawn: What to draw; only read without `path`.
        exclude: Glob patterns of files to leave out, as `open_container` takes them.

    Raises:
        DataError: If the data cannot be found or listed.
    """
    if path is None:
        yield DrawnPhotos(drawn or DrawnData())
        return
    container = open_container(path, exclude=exclude)
    try:
        yield StoredPhotos(container, list_samples(container, str(path)))
    finally:
        container.close()
