"""Image folders: one folder per class, in `train/ val/ test/` or without splits.

A single outer folder around everything is skipped. Images in subfolders of a class folder belong to
the class.
"""

from __future__ import annotations

from edgetl.data.container import Container
from edgetl.data.sources import Listing, Sample
from edgetl.data.sources._files import SPLIT_NAMES, is_hidden, is_image
from edgetl.errors import DataError
from edgetl.types import LabelKind, Split


class FolderSource:
    """One folder per class, with or without splits."""

    version = 1
    label_kind = LabelKind.CLASSES
    expects = "one folder per class, or train/ val/ test/ with one folder per class each"

    def recognises(self, container: Container) -> bool:
        """Return whether there is an image in a folder."""
        return any("/" in name and is_image(name) for name in container.files)

    def list(self, container: Container) -> Listing:
        """Return the images, labelled by their folders.

        Raises:
            DataError: If two folders name the same split, another folder with images is next to
                the splits, or there is no `train/`.
        """
        images = [name for name in container.files if is_image(name)]
        folders = [name for name in container.folders if not is_hidden(name)]
        root = _unwrap(images, folders)
        split_folders = _find_splits(root, images, folders)
        bases = split_folders or {root: None}
        samples: list[Sample] = []
        classes: set[str] = set()
        labelled: set[str] = set()
        for base, split in bases.items():
            classes.update(_children(base, folders))
            for name in images:
                label, inside, _ = name.removeprefix(base).partition("/")
                if name.startswith(base) and inside:
                    samples.append(Sample(name, label, split))
                    labelled.add(name)
        known = set(images)
        return Listing(
            samples=tuple(sorted(samples, key=lambda sample: sample.name)),
            classes=tuple(sorted(classes)),
            given=frozenset(split for split in split_folders.values() if split),
            unlabelled=tuple(name for name in images if name not in labelled),
            others=tuple(name for name in container.files if name not in known),
        )


def _children(base: str, folders: list[str]) -> list[str]:
    """Return the names of the direct subfolders of `base`, which is empty or ends in a slash."""
    below = (name.removeprefix(base) for name in folders if name.startswith(base))
    return [name for name in below if name and "/" not in name]


def _unwrap(images: list[str], folders: list[str]) -> str:
    """Return the folder with the classes or splits, empty or ending in a slash."""
    root = ""
    while True:
        inside = _children(root, folders)
        if len(inside) != 1 or inside[0].lower() in SPLIT_NAMES:
            return root
        inner = f"{root}{inside[0]}/"
        holds_images = any(
            "/" not in name.removeprefix(base)
            for base in (root, inner)
            for name in images
            if name.startswith(base)
        )
        if holds_images or not _children(inner, folders):
            return root
        root = inner


def _find_splits(root: str, images: list[str], folders: list[str]) -> dict[str, Split | None]:
    """Return the split folders (ending in a slash) with their splits; empty for a flat layout."""
    inside = _children(root, folders)
    splits = {
        name: SPLIT_NAMES[name.lower()]
        for name in inside
        if name.lower() in SPLIT_NAMES and _children(f"{root}{name}/", folders)
    }
    if not splits:
        return {}
    beside = sorted(
        name
        for name in inside
        if name not in splits and any(image.startswith(f"{root}{name}/") for image in images)
    )
    if beside:
        raise DataError(
            f"folder '{root}{beside[0]}' is next to the splits {', '.join(sorted(splits))}",
            remedy=f"move it, or exclude it with `data: {{exclude: ['{root}{beside[0]}/*']}}`",
        )
    if len(set(splits.values())) < len(splits):
        raise DataError(
            f"several folders name the same split: {', '.join(sorted(splits))}",
            remedy="keep one of them, or exclude one with `data: {exclude: [...]}`",
        )
    if Split.TRAIN not in splits.values():
        raise DataError(
            f"there is {', '.join(f'{name}/' for name in sorted(splits))} but no train/",
            remedy="add train/ with one folder per class, or put all class folders in one folder",
        )
    return {f"{root}{name}/": split for name, split in splits.items()}


SOURCE = FolderSource()
