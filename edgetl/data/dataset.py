"""A dataset on disk: decoded images of all splits in one memory-mapped array, and their index.

`images.npy` holds uint8 `(N, H, W, 3)`, RGB, fitted to the network's input, in the order train,
val, test; `index.json` holds classes, preprocessing, and per split the names, labels and digests.
Detection adds `annotations.npz`: the sizes of the images and the boxes on them, in the same order.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgetl.data.findings import DroppedItem
from edgetl.runtime.preprocess import Preprocess
from edgetl.types import Fact, Split, Task

IMAGES_FILE = "images.npy"
INDEX_FILE = "index.json"
ANNOTATIONS_FILE = "annotations.npz"
_SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a dataset."""

    name: str
    """POSIX path below the data folder."""
    label: int
    """Position of its class in the classes; for detection that of the rarest class on the image,
    the number of classes for an image without boxes."""
    sha256: str
    """Of the file's content; of the drawing order for drawn images."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is labelled on one image."""

    boxes: NDArray[np.float32]
    """Shape `(T, 4)`, xyxy, pixels of the upright image, inside it and larger than nothing."""
    labels: NDArray[np.int64]
    """Shape `(T,)`."""
    crowd: NDArray[np.bool_]
    """Shape `(T,)`: a group that nobody told apart (COCO's iscrowd), which is neither trained on
    nor counted as hit or miss."""


class Dataset:
    """The images of a dataset artifact, mapped into memory and read-only.

    Pages are read when they are touched and stay resident until the system or `release` takes them.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        mapping: mmap.mmap,
        *,
        classes: tuple[str, ...],
        preprocess: Preprocess,
        items: Mapping[Split, tuple[Item, ...]],
        annotations: _Annotations | None,
    ) -> None:
        self.classes = classes
        self.preprocess = preprocess
        self.task = Task.CLASSIFICATION if annotations is None else Task.DETECTION
        self._annotations = annotations
        self._images = images
        self._mapping = mapping
        self._items = items
        self._labels = {
            split: np.array([item.label for item in found], np.int64)
            for split, found in items.items()
        }

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Map the dataset in `folder`; costs no memory for images until they are read.

        Raises:
            ValueError: If the files do not belong together.
        """
        index = json.loads((folder / INDEX_FILE).read_text("utf-8"))
        items = {
            split: tuple(Item(*row) for row in index["splits"][split.value]) for split in Split
        }
        images, mapping = _map_images(folder / IMAGES_FILE)
        num_items = sum(len(found) for found in items.values())
        if index["schema"] != _SCHEMA or num_items != len(images):
            raise ValueError(
                f"{INDEX_FILE} (schema {index['schema']}) lists {num_items} images, "
                f"{IMAGES_FILE} holds {len(images)}"
            )
        annotations = None
        if index["task"] == Task.DETECTION:
            annotations = _Annotations.read(folder / ANNOTATIONS_FILE)
            if len(annotations.sizes) != num_items:
                raise ValueError(
                    f"{INDEX_FILE} lists {num_items} images, "
                    f"{ANNOTATIONS_FILE} {len(annotations.sizes)}"
                )
        return cls(
            images,
            mapping,
            classes=tuple(index["classes"]),
            preprocess=Preprocess(**index["preprocess"]),
            items=items,
            annotations=annotations,
        )

    @property
    def size(self) -> int:
        """Height and width of the images, pixels."""
        return self.preprocess.height

    def items(self, split: Split) -> tuple[Item, ...]:
        """Return names, labels and digests of a split, in the order of `images`."""
        return self._items[split]

    def names(self, split: Split) -> tuple[str, ...]:
        """Return the names of a split's images, in the order of `images`."""
        return tuple(item.name for item in self._items[split])

    def labels(self, split: Split) -> NDArray[np.int64]:
        """Return the class of each image of a split; shape `(N,)`, read-only by convention.

        For detection it is the class on the image that has the fewest boxes in all the data, and
        the number of classes for an image without boxes: good for balanced choices, nothing else.
        """
        return self._labels[split]

    def image_sizes(self, split: Split) -> NDArray[np.int32]:
        """Return height and width of a split's upright images, pixels; shape `(N, 2)`.

        Raises:
            ValueError: If the task is not detection.
        """
        rows = self._rows(split)
        return self._with_boxes().sizes[rows.start : rows.stop]

    def truths(self, split: Split) -> tuple[Truth, ...]:
        """Return what is labelled on each image of a split, in the order of `images`.

        Raises:
            ValueError: If the task is not detection.
        """
        annotations = self._with_boxes()
        return tuple(annotations.truth(row) for row in self._rows(split))

    def images(self, split: Split) -> NDArray[np.uint8]:
        """Return a split's images; shape `(N, H, W, 3)`, RGB, a read-only view of the mapping."""
        rows = self._rows(split)
        return self._images[rows.start : rows.stop]

    def release(self) -> None:
        """Give all mapped pages back; views stay good and read their pages again when touched."""
        self._mapping.madvise(mmap.MADV_DONTNEED)

    def _rows(self, split: Split) -> range:
        """Return the positions of a split's images in the files."""
        start = 0
        for earlier in Split:
            if earlier == split:
                break
            start += len(self._items[earlier])
        return range(start, start + len(self._items[split]))

    def _with_boxes(self) -> _Annotations:
        if self._annotations is None:
            raise ValueError(f"a dataset for {self.task} holds no boxes")
        return self._annotations


def write_index(
    folder: Path,
    *,
    classes: Sequence[str],
    preprocess: Preprocess,
    items: Mapping[Split, Sequence[Item]],
    dropped: Sequence[DroppedItem],
    truths: Mapping[Split, Sequence[Truth]] | None = None,
    image_sizes: Mapping[Split, Sequence[tuple[int, int]]] | None = None,
) -> None:
    """Write `index.json`, and `annotations.npz` for detection.

    Byte for byte the same for the same arguments.

    Args:
        folder: Where to.
        classes: Their names, by label.
        preprocess: How the images were fitted.
        items: The images of each split in the order of `images.npy`.
        dropped: What was left out.
        truths: The boxes on each of `items`; None for classification.
        image_sizes: Height and width of each of `items`, upright, pixels; for detection only.

    Raises:
        ValueError: If one of `truths` and `image_sizes` is missing, or does not fit `items`.
    """
    if (truths is None) != (image_sizes is None):
        raise ValueError("truths and image_sizes belong together")
    if truths is not None and image_sizes is not None:
        for split in Split:
            if not len(items[split]) == len(truths[split]) == len(image_sizes[split]):
                raise ValueError(
                    f"{split} has {len(items[split])} items, {len(truths[split])} truths "
                    f"and {len(image_sizes[split])} image sizes"
                )
        _Annotations.of(
            [size for split in Split for size in image_sizes[split]],
            [truth for split in Split for truth in truths[split]],
        ).write(folder / ANNOTATIONS_FILE)
    index: dict[str, Fact] = {
        "schema": _SCHEMA,
        "task": (Task.CLASSIFICATION if truths is None else Task.DETECTION).value,
        "classes": list(classes),
        "preprocess": asdict(preprocess),
        "splits": {
            split.value: [[item.name, item.label, item.sha256] for item in items[split]]
            for split in Split
        },
        "dropped": [asdict(dropped_item) for dropped_item in dropped],
    }
    text = json.dumps(index, indent=None, separators=(",", ":"), sort_keys=True)
    (folder / INDEX_FILE).write_text(text + "\n", "utf-8")


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


@dataclass(frozen=True, slots=True, eq=False)
class _Annotations:
    """The boxes on all images of a dataset, in one table."""

    sizes: NDArray[np.int32]
    """Shape `(N, 2)`, height and width."""
    offsets: NDArray[np.int64]
    """Shape `(N + 1,)`: image `n` has the boxes `offsets[n]` up to `offsets[n + 1]`."""
    boxes: NDArray[np.float32]
    """Shape `(M, 4)`."""
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]

    @classmethod
    def of(cls, sizes: Sequence[tuple[int, int]], truths: Sequence[Truth]) -> _Annotations:
        return cls(
            sizes=np.array(sizes, np.int32).reshape(-1, 2),
            offsets=np.cumsum([0, *(len(truth.boxes) for truth in truths)], dtype=np.int64),
            boxes=np.concatenate(
                [np.empty((0, 4), np.float32), *(truth.boxes for truth in truths)]
            ).astype(np.float32),
            labels=np.concatenate([[], *(truth.labels for truth in truths)]).astype(np.int64),
            crowd=np.concatenate([[], *(truth.crowd for truth in truths)]).astype(np.bool_),
        )

    @classmethod
    def read(cls, path: Path) -> _Annotations:
        with np.load(path, allow_pickle=False) as found:
            return cls(**{name: found[name] for name in cls.__slots__})

    def write(self, path: Path) -> None:
        # Entries of numpy's zip carry no time: the same arrays give the same bytes.
        np.savez(path, **{name: getattr(self, name) for name in self.__slots__})

    def truth(self, row: int) -> Truth:
        found = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return Truth(self.boxes[found], self.labels[found], self.crowd[found])


def _map_images(path: Path) -> tuple[NDArray[np.uint8], mmap.mmap]:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        offset = file.tell()
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if dtype != np.uint8:
        raise ValueError(f"{path.name} holds {dtype}, not uint8")
    images: NDArray[np.uint8] = np.ndarray(shape, np.uint8, buffer=mapping, offset=offset)
    return images, mapping
