"""The data of detection: boxes with classes, and synthetic scenes of several parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.config.recipe import SyntheticData
from edgetl.data.sources import Box, Listing, Sample
from edgetl.data.synthetic.generated import GeneratedImages
from edgetl.data.synthetic.parts import CLASSES, SCENE_VERSION, main_class
from edgetl.data.task_data import TaskData
from edgetl.hashing import digest_value
from edgetl.tasks import tasks_with
from edgetl.types import LabelKind

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray


class SyntheticScenes(GeneratedImages):
    """Scenes of several parts, made on demand; no two are equal.

    Planning makes no boxes. Until they exist, a scene has the class of its first part as label, an
    empty one none; the scenes are divided among splits by it.
    """

    def __init__(self, synthetic: SyntheticData) -> None:
        self._synthetic = synthetic
        self._indices = {f"{index:06d}": index for index in range(synthetic.images)}
        self.listing = Listing(
            samples=tuple(
                Sample(name, main_class(index) or "", None) for name, index in self._indices.items()
            ),
            classes=CLASSES,
            given=frozenset(),
            unlabelled=(),
            others=(),
            label_kind=LabelKind.BOXES,
        )

    def digest(self, digest_file: Callable[[Path], str]) -> str:
        """Return the digest of count, seed and version of the generator."""
        del digest_file
        return digest_value(["scenes", SCENE_VERSION, self._synthetic.images, self._synthetic.seed])

    def content(self, name: str) -> str:
        """Return the digest of version, index and seed, which determine pixels and boxes."""
        return digest_value(["scene", SCENE_VERSION, self._indices[name], self._synthetic.seed])

    def decode(self, name: str) -> NDArray[np.uint8]:
        """Make the scene."""
        from edgetl.data.synthetic.scenes import make_scene

        return make_scene(self._indices[name], self._synthetic.seed).pixels

    def size(self, name: str) -> tuple[int, int]:
        """Return the size that all have."""
        from edgetl.data.synthetic.scenes import SIZE

        del name
        return SIZE, SIZE

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return the boxes, computed without pixels."""
        from edgetl.data.synthetic.scenes import scene_boxes

        corners, labels = scene_boxes(self._indices[name], self._synthetic.seed)
        return tuple(
            Box(CLASSES[label], (left, top, right, bottom), f"{name}, part {number}")
            for number, (label, (left, top, right, bottom)) in enumerate(
                zip(labels.tolist(), corners.tolist(), strict=True), start=1
            )
        )


def _write(folder: Path, images: int, seed: int) -> None:
    from edgetl.data.synthetic.scenes import write_scene_folder

    write_scene_folder(folder, images, seed)


DATA = TaskData("detection", LabelKind.BOXES, tasks_with, SyntheticScenes, _write)
