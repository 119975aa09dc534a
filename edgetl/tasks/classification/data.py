"""The data of classification: a class for each image, and synthetic images of single parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.config.recipe import SyntheticData
from edgetl.data.sources import Box, Listing, Sample
from edgetl.data.synthetic.generated import GeneratedImages
from edgetl.data.synthetic.parts import CLASSES, VERSION, class_of
from edgetl.data.task_data import TaskData
from edgetl.hashing import digest_value
from edgetl.tasks import tasks_with
from edgetl.types import LabelKind

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray


class SyntheticImages(GeneratedImages):
    """Images made on demand; all are different."""

    def __init__(self, synthetic: SyntheticData) -> None:
        self._synthetic = synthetic
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
        """Return the digest of count, seed and version of the generator."""
        del digest_file
        return digest_value(["drawn", VERSION, self._synthetic.images, self._synthetic.seed])

    def content(self, name: str) -> str:
        """Return the digest of version, index and seed, which determine the pixels."""
        return digest_value(["drawn", VERSION, self._indices[name], self._synthetic.seed])

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Make the image."""
        from edgetl.data.synthetic.part_images import make_part_image

        return make_part_image(self._indices[name], self._synthetic.seed).pixels

    def size(self, name: str) -> tuple[int, int]:
        """Return the size that all have."""
        from edgetl.data.synthetic.part_images import SIZE

        del name
        return SIZE, SIZE

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return nothing: the image as a whole is labelled."""
        del name
        return ()


def _write(folder: Path, images: int, seed: int) -> None:
    from edgetl.data.synthetic.part_images import write_part_folder

    write_part_folder(folder, images, seed)


DATA = TaskData("classification", LabelKind.CLASSES, tasks_with, SyntheticImages, _write)
