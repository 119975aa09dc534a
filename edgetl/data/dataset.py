"""A dataset on disk: decoded photos of all splits in one memory-mapped array, and their index.

`images.npy` holds uint8 `(N, H, W, 3)`, RGB, fitted to the network's input, in the order train,
val, test; `index.json` holds classes, preprocessing, and per split the names, labels and digests.
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

from edgetl.data.audit import Omission
from edgetl.runtime.preprocess import Preprocess
from edgetl.types import Fact, Split

IMAGES_FILE = "images.npy"
INDEX_FILE = "index.json"
_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One photo of a dataset."""

    name: str
    """POSIX path below the data folder."""
    label: int
    """Position of its class in the classes."""
    sha256: str
    """Of the file's content; of the drawing order for drawn photos."""


class Dataset:
    """The photos of a dataset artifact, mapped into memory and read-only.

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
    ) -> None:
        self.classes = classes
        self.preprocess = preprocess
        self._images = images
        self._mapping = mapping
        self._items = items
        self._labels = {
            split: np.array([item.label for item in found], np.int64)
            for split, found in items.items()
        }

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Map the dataset in `folder`; costs no memory for photos until they are read.

        Raises:
            ValueError: If the two files do not belong together.
        """
        index = json.loads((folder / INDEX_FILE).read_text("utf-8"))
        items = {
            split: tuple(Item(*row) for row in index["splits"][split.value]) for split in Split
        }
        images, mapping = _map_images(folder / IMAGES_FILE)
        num_items = sum(len(found) for found in items.values())
        if index["schema"] != _SCHEMA or num_items != len(images):
            raise ValueError(
                f"{INDEX_FILE} (schema {index['schema']}) lists {num_items} photos, "
                f"{IMAGES_FILE} holds {len(images)}"
            )
        return cls(
            images,
            mapping,
            classes=tuple(index["classes"]),
            preprocess=Preprocess(**index["preprocess"]),
            items=items,
        )

    @property
    def size(self) -> int:
        """Height and width of the photos, pixels."""
        return self.preprocess.height

    def items(self, split: Split) -> tuple[Item, ...]:
        """Return names, labels and digests of a split, in the order of `images`."""
        return self._items[split]

    def names(self, split: Split) -> tuple[str, ...]:
        """Return the names of a split's photos, in the order of `images`."""
        return tuple(item.name for item in self._items[split])

    def labels(self, split: Split) -> NDArray[np.int64]:
        """Return the class of each photo of a split; shape `(N,)`, read-only by convention."""
        return self._labels[split]

    def images(self, split: Split) -> NDArray[np.uint8]:
        """Return a split's photos; shape `(N, H, W, 3)`, RGB, a read-only view of the mapping."""
        start = 0
        for earlier in Split:
            if earlier == split:
                break
            start += len(self._items[earlier])
        return self._images[start : start + len(self._items[split])]

    def release(self) -> None:
        """Give all mapped pages back; views stay good and read their pages again when touched."""
        self._mapping.madvise(mmap.MADV_DONTNEED)


def write_index(
    folder: Path,
    *,
    classes: Sequence[str],
    preprocess: Preprocess,
    items: Mapping[Split, Sequence[Item]],
    omissions: Sequence[Omission],
) -> None:
    """Write `index.json`, byte for byte the same for the same arguments."""
    index: dict[str, Fact] = {
        "schema": _SCHEMA,
        "classes": list(classes),
        "preprocess": asdict(preprocess),
        "splits": {
            split.value: [[item.name, item.label, item.sha256] for item in items[split]]
            for split in Split
        },
        "left_out": [asdict(omission) for omission in omissions],
    }
    text = json.dumps(index, indent=None, separators=(",", ":"), sort_keys=True)
    (folder / INDEX_FILE).write_text(text + "\n", "utf-8")


def write_images(
    file: BinaryIO, photos: Iterable[NDArray[np.uint8]], shape: tuple[int, int, int, int]
) -> None:
    """Write an `.npy` file photo by photo, so that memory does not grow with their number.

    Args:
        file: Opened for writing, at its start.
        photos: Each `(H, W, 3)`, uint8.
        shape: `(N, H, W, 3)`; `photos` must yield N of them.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    file.writelines(photo.tobytes() for photo in photos)


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
