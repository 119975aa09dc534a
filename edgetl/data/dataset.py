"""A dataset on disk: its index, and a view of its images for one network input.

The index holds no pixels: `index.json` has task, role, classes and, per split, names, labels and
digests; `annotations.npz` the sizes of the images and the boxes on them, in the order train, val,
test. A view is a folder with the same two files and the images in the same order: `images.npy`,
uint8 `(N, H, W, 3)`, RGB, fitted to the input that `view.json` describes.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from edgetl.data.annotations import Annotations
from edgetl.data.findings import DroppedItem
from edgetl.runtime.preprocess import Preprocess
from edgetl.types import Fact, Role, Split

INDEX_FILE = "index.json"
ANNOTATIONS_FILE = "annotations.npz"
INDEX_FILES = (INDEX_FILE, ANNOTATIONS_FILE)
IMAGES_FILE = "images.npy"
VIEW_FILE = "view.json"
_SCHEMA = 4


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a dataset."""

    name: str
    """POSIX path below the data folder."""
    label: int
    """Position of its class in the classes; for detection that of the rarest class on the image,
    the number of classes for an image without boxes."""
    sha256: str
    """Of the file's content; for synthetic images, of the parameters of rendering."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The labelled boxes of one image."""

    boxes: NDArray[np.float32]
    """Shape `(T, 4)`, xyxy, pixels of the upright image, inside it, not empty."""
    labels: NDArray[np.int64]
    """Shape `(T,)`."""
    crowd: NDArray[np.bool_]
    """Shape `(T,)`: a group labelled as one (COCO's iscrowd), which is neither trained on nor
    counted as true or false positive."""


@dataclass(frozen=True, slots=True, eq=False)
class DatasetIndex:
    """A dataset without its pixels, independent of the network that sees it."""

    task: str
    role: Role
    has_boxes: bool
    """Whether objects are labelled; not for other tasks, or without labels."""
    classes: tuple[str, ...]
    items: Mapping[Split, tuple[Item, ...]]
    annotations: Annotations

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the index in `folder`.

        Raises:
            ValueError: If the files contradict each other.
        """
        index = json.loads((folder / INDEX_FILE).read_text("utf-8"))
        if index["schema"] != _SCHEMA:
            raise ValueError(f"{INDEX_FILE} has schema {index['schema']}, not {_SCHEMA}")
        items = {split: tuple(Item(*row) for row in index["splits"][split]) for split in Split}
        annotations = Annotations.read(folder / ANNOTATIONS_FILE)
        num_items = sum(len(rows) for rows in items.values())
        if len(annotations.sizes) != num_items:
            raise ValueError(
                f"{INDEX_FILE} lists {num_items} images, "
                f"{ANNOTATIONS_FILE} {len(annotations.sizes)}"
            )
        return cls(
            task=index["task"],
            role=Role(index["role"]),
            has_boxes=index["boxes"],
            classes=tuple(index["classes"]),
            items=items,
            annotations=annotations,
        )

    def rows(self, split: Split) -> range:
        """Return the positions of a split's images in the files."""
        start = 0
        for earlier in Split:
            if earlier == split:
                break
            start += len(self.items[earlier])
        return range(start, start + len(self.items[split]))

    def image_sizes(self, split: Split) -> NDArray[np.int32]:
        """Return height and width of a split's upright images, pixels; shape `(N, 2)`."""
        rows = self.rows(split)
        return self.annotations.sizes[rows.start : rows.stop]

    def truths(self, split: Split) -> tuple[Truth, ...]:
        """Return the boxes of each image of a split.

        Raises:
            ValueError: If no objects are labelled.
        """
        if not self.has_boxes:
            raise ValueError(f"a dataset for {self.task} with role {self.role} has no boxes")
        return tuple(Truth(*self.annotations.row(row)) for row in self.rows(split))


class Dataset:
    """A dataset as one network sees it: the images are mapped into memory and read-only.

    Pages are read when touched, and stay resident until the system or `release` frees them.
    """

    def __init__(
        self,
        index: DatasetIndex,
        images: NDArray[np.uint8],
        mapping: mmap.mmap,
        *,
        preprocess: Preprocess,
    ) -> None:
        self.task = index.task
        self.role = index.role
        self.has_boxes = index.has_boxes
        self.classes = index.classes
        self.preprocess = preprocess
        self._index = index
        self._images = images
        self._mapping = mapping
        self._labels = {
            split: np.array([item.label for item in rows], np.int64)
            for split, rows in index.items.items()
        }

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Map the view in `folder`; costs no memory for images until they are read.

        Raises:
            ValueError: If the files contradict each other.
        """
        index = DatasetIndex.read(folder)
        images, mapping = _map_images(folder / IMAGES_FILE)
        num_items = sum(len(rows) for rows in index.items.values())
        if num_items != len(images):
            raise ValueError(
                f"{INDEX_FILE} lists {num_items} images, {IMAGES_FILE} has {len(images)}"
            )
        preprocess = Preprocess(**json.loads((folder / VIEW_FILE).read_text("utf-8")))
        return cls(index, images, mapping, preprocess=preprocess)

    @property
    def size(self) -> int:
        """Height and width of the images, pixels."""
        return self.preprocess.height

    def items(self, split: Split) -> tuple[Item, ...]:
        """Return names, labels and digests of a split, in the order of `images`."""
        return self._index.items[split]

    def names(self, split: Split) -> tuple[str, ...]:
        """Return the names of a split's images, in the order of `images`."""
        return tuple(item.name for item in self._index.items[split])

    def labels(self, split: Split) -> NDArray[np.int64]:
        """Return the class of each image of a split; shape `(N,)`, read-only by convention.

        For detection it is the image's class with the fewest boxes in all the data, or the number
        of classes for an image without boxes; only for balanced sampling.
        """
        return self._labels[split]

    def image_sizes(self, split: Split) -> NDArray[np.int32]:
        """Return height and width of a split's upright images, pixels; shape `(N, 2)`."""
        return self._index.image_sizes(split)

    def truths(self, split: Split) -> tuple[Truth, ...]:
        """Return the boxes of each image of a split, in the order of `images`.

        Raises:
            ValueError: If no objects are labelled.
        """
        return self._index.truths(split)

    def images(self, split: Split) -> NDArray[np.uint8]:
        """Return a split's images; shape `(N, H, W, 3)`, RGB, a read-only view of the mapping."""
        rows = self._index.rows(split)
        return self._images[rows.start : rows.stop]

    def release(self) -> None:
        """Release all mapped pages; views stay valid and read their pages again when touched."""
        self._mapping.madvise(mmap.MADV_DONTNEED)


def write_index(  # noqa: PLR0913 - one keyword for each part of the files
    folder: Path,
    *,
    task: str,
    role: Role = Role.DATA,
    classes: Sequence[str],
    items: Mapping[Split, Sequence[Item]],
    dropped: Sequence[DroppedItem] = (),
    truths: Mapping[Split, Sequence[Truth]] | None = None,
    image_sizes: Mapping[Split, Sequence[tuple[int, int]]] | None = None,
    preprocess: Preprocess | None = None,
) -> None:
    """Write the files of an index, byte for byte the same for the same arguments.

    Args:
        folder: The folder to write to.
        task: Of the labels.
        role: Of the dataset.
        classes: Their names, by label.
        items: The images of each split in the order of `images.npy`.
        dropped: Items that were dropped, with reasons.
        truths: The boxes labelled on each of them; None if no objects are labelled.
        image_sizes: Height and width of each of them, upright, pixels; may be omitted if all have
            the size of the input.
        preprocess: How the images were fitted, if `folder` is also a view.

    Raises:
        ValueError: If `truths` or `image_sizes` do not match `items`, or the sizes are unknown.
    """
    if preprocess is not None:
        write_view(folder, preprocess)
    if image_sizes is None:
        if preprocess is None or truths is not None:
            raise ValueError("the sizes of the images are missing")
        size = (preprocess.height, preprocess.width)
        image_sizes = {split: [size] * len(items[split]) for split in Split}
    none = Truth(np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, np.bool_))
    boxes = truths or {split: [none] * len(items[split]) for split in Split}
    for split in Split:
        if not len(items[split]) == len(boxes[split]) == len(image_sizes[split]):
            raise ValueError(
                f"{split} has {len(items[split])} items, {len(boxes[split])} truths "
                f"and {len(image_sizes[split])} image sizes"
            )
    Annotations.of(
        [size for split in Split for size in image_sizes[split]],
        [truth for split in Split for truth in boxes[split]],
    ).write(folder / ANNOTATIONS_FILE)
    index: dict[str, Fact] = {
        "schema": _SCHEMA,
        "task": task,
        "role": role.value,
        "boxes": truths is not None,
        "classes": list(classes),
        "splits": {
            split.value: [[item.name, item.label, item.sha256] for item in items[split]]
            for split in Split
        },
        "dropped": [asdict(dropped_item) for dropped_item in dropped],
    }
    text = json.dumps(index, indent=None, separators=(",", ":"), sort_keys=True)
    (folder / INDEX_FILE).write_text(text + "\n", "utf-8")


def write_view(folder: Path, preprocess: Preprocess) -> None:
    """Write how the images of a view were fitted."""
    (folder / VIEW_FILE).write_text(json.dumps(asdict(preprocess)) + "\n", "utf-8")


def write_images(
    file: BinaryIO, images: Iterable[NDArray[np.uint8]], shape: tuple[int, int, int, int]
) -> None:
    """Write an `.npy` file image by image, so that memory does not grow with their number.

    Args:
        file: Opened for writing, at its start.
        images: Each `(H, W, 3)`, uint8.
        shape: `(N, H, W, 3)`; `images` must yield N of them.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    file.writelines(image.tobytes() for image in images)


def _map_images(path: Path) -> tuple[NDArray[np.uint8], mmap.mmap]:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        offset = file.tell()
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if dtype != np.uint8:
        raise ValueError(f"{path.name} has {dtype}, not uint8")
    images: NDArray[np.uint8] = np.ndarray(shape, np.uint8, buffer=mapping, offset=offset)
    return images, mapping
