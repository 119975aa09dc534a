"""Image folders: one folder per class, in `train/ val/ test/` or not split at all.

A single folder that wraps everything is looked through. Photos in folders below a class folder
belong to the class.
"""

from __future__ import annotations

from posixpath import splitext

from edgetl.data.container import Container
from edgetl.data.sources import Listing, Sample
from edgetl.errors import DataError
from edgetl.types import Split

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp"}
    | {".ppm", ".pgm", ".pnm", ".jp2", ".avif", ".heic", ".heif"}
)
"""Files that mean to be photos, also those that Pillow may be unable to read: nothing is lost
silently."""

_SPLIT_FOLDERS = {
    "train": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
}


class FolderSource:
    """One folder per class, split or not."""

    def recognises(self, container: Container) -> bool:
        """Return whether there is a photo below some folder."""
        return any("/" in name and _is_photo(name) for name in container.files)

    def list(self, container: Container) -> Listing:
        """Return samples by the names of their folders.

        Raises:
            DataError: If two folders name the same split, a folder stands beside the splits, or
                there is no `train/`.
        """
        photos = [name for name in container.files if _is_photo(name)]
        folders = [name for name in container.folders if not _is_hidden(name)]
        root = _unwrap(photos, folders)
        split_folders = _find_splits(root, photos, folders)
        bases = split_folders or {root: None}
        samples: list[Sample] = []
        classes: set[str] = set()
        labelled: set[str] = set()
        for base, split in bases.items():
            classes.update(_children(base, folders))
            for name in photos:
                label, inside, _ = name.removeprefix(base).partition("/")
                if name.startswith(base) and inside:
                    samples.append(Sample(name, label, split))
                    labelled.add(name)
        known = set(photos)
        return Listing(
            samples=tuple(sorted(samples, key=lambda sample: sample.name)),
            classes=tuple(sorted(classes)),
            given=frozenset(split for split in split_folders.values() if split),
            unlabelled=tuple(name for name in photos if name not in labelled),
            others=tuple(name for name in container.files if name not in known),
        )


def _is_hidden(name: str) -> bool:
    """Return whether some part of the path is a hidden or a packer's folder or file."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _is_photo(name: str) -> bool:
    return splitext(name)[1].lower() in PHOTO_SUFFIXES and not _is_hidden(name)


def _children(base: str, folders: list[str]) -> list[str]:
    """Return the names of the folders directly in `base`, which is empty or ends in a slash."""
    below = (name.removeprefix(base) for name in folders if name.startswith(base))
    return [name for name in below if name and "/" not in name]


def _unwrap(photos: list[str], folders: list[str]) -> str:
    """Return the folder that holds classes or splits, empty or ending in a slash."""
    root = ""
    while True:
        inside = _children(root, folders)
        if len(inside) != 1 or inside[0].lower() in _SPLIT_FOLDERS:
            return root
        inner = f"{root}{inside[0]}/"
        holds_photos = any(
            "/" not in name.removeprefix(base)
            for base in (root, inner)
            for name in photos
            if name.startswith(base)
        )
        if holds_photos or not _children(inner, folders):
            return root
        root = inner


def _find_splits(root: str, photos: list[str], folders: list[str]) -> dict[str, Split | None]:
    """Return split folders (ending in a slash) with their split; empty for a flat layout."""
    inside = _children(root, folders)
    found = {
        name: _SPLIT_FOLDERS[name.lower()]
        for name in inside
        if name.lower() in _SPLIT_FOLDERS and _children(f"{root}{name}/", folders)
    }
    if not found:
        return {}
    beside = sorted(
        name
        for name in inside
        if name not in found and any(photo.startswith(f"{root}{name}/") for photo in photos)
    )
    if beside:
        raise DataError(
            f"folder '{root}{beside[0]}' stands beside the splits {', '.join(sorted(found))}",
            remedy=f"move it, or leave it out with `data: {{exclude: ['{root}{beside[0]}/*']}}`",
        )
    if len(set(found.values())) < len(found):
        raise DataError(
            f"several folders name the same split: {', '.join(sorted(found))}",
            remedy="keep one of them, or leave one out with `data: {exclude: [...]}`",
        )
    if Split.TRAIN not in found.values():
        raise DataError(
            f"there is {', '.join(f'{name}/' for name in sorted(found))} but no train/",
            remedy="add train/ with one folder per class, or put all class folders in one folder",
        )
    return {f"{root}{name}/": split for name, split in found.items()}


SOURCE = FolderSource()
