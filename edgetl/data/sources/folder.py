"""Image folders: one folder per class, in `train/ val/ test/`, around them, or without splits.

A single outer folder around everything is skipped, and so is a folder in a split folder that only
repeats its name or holds all its classes (`training_set/training_set/cats`, `train/images/cats`).
Other images in subfolders of a class folder belong to the class. Without split folders, lists such
as `meta/train.txt` and `meta/test.txt` name the splits, or the names of all images (`train_1.jpg`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.hidden_files import is_hidden
from edgetl.data.listing import LabelOrigin, Listing, Sample
from edgetl.data.sources._class_names import check_classes, check_forms, is_holder
from edgetl.data.sources._files import find_images
from edgetl.data.sources._split_lists import read_split_lists
from edgetl.data.split_names import (
    KNOWN_SPLITS,
    is_like_a_split,
    split_of,
    splits_in_names,
    splits_of,
    words_beside,
)
from edgetl.errors import DataError
from edgetl.types import LabelKind, Split

_KNOWN = f"the names of splits are {KNOWN_SPLITS}"


class FolderSource:
    """One folder per class, with or without splits."""

    version = 4
    label_kind = LabelKind.CLASSES
    label_origin = LabelOrigin.FOLDERS
    expects = "one folder per class, or train/ val/ test/ with one folder per class each"

    def recognises(self, container: Container) -> bool:
        """Return whether there is an image in a folder."""
        return any("/" in name for name in _images(container))

    def list(self, container: Container) -> Listing:
        """Return the images, labelled by their folders.

        Raises:
            DataError: If folders with the names of splits contradict each other, have no class
                folders or stand beside other folders, there is no `train/`, or the folders are no
                classes.
        """
        images = _images(container)
        tree = _Tree(images, [name for name in container.folders if not is_hidden(name)])
        places = _places(tree)
        samples: list[Sample] = []
        classes: set[str] = set()
        for place in places:
            if not place.label:
                tree.check_forms(place.base)
            classes.update([place.label] if place.label else tree.children(place.base))
            for name in tree.below(place.base):
                label, inside, _ = name.removeprefix(place.base).partition("/")
                if place.label or inside:
                    samples.append(Sample(name, place.label or label, place.split))
        check_classes(tree.root, classes, {sample.label for sample in samples})
        labelled = {sample.name for sample in samples}
        lists: tuple[str, ...] = ()
        if not any(place.split for place in places):
            splits, lists = read_split_lists(container, images)
            if not lists:
                stems = splits_in_names({splitext(basename(name))[0] for name in labelled})
                splits = {name: stems[splitext(basename(name))[0]] for name in labelled if stems}
            samples = [
                replace(sample, split=splits.get(sample.name))
                for sample in samples
                if not lists or sample.name in splits
            ]
        known = {*images, *lists}
        return Listing(
            samples=tuple(sorted(samples, key=lambda sample: sample.name)),
            classes=tuple(sorted(classes)),
            given=frozenset(sample.split for sample in samples if sample.split)
            | frozenset(place.split for place in places if place.split),
            unlabelled=tuple(name for name in images if name not in labelled),
            others=tuple(name for name in container.files if name not in known),
            labels=lists,
            unlisted=tuple(sorted(labelled - {sample.name for sample in samples})),
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder with images of one split."""

    base: str
    """Empty or ending in a slash."""
    split: Split | None = None
    label: str = ""
    """The class of all images in it; empty if its folders are classes."""


class _Tree:
    """The visible folders and the images in them; a base is a folder with a slash, or empty."""

    def __init__(self, images: Sequence[str], folders: Iterable[str]) -> None:
        self._images = images
        self._children: dict[str, list[str]] = defaultdict(list)
        for folder in folders:
            base, slash, name = folder.rpartition("/")
            self._children[base + slash].append(name)
        self._direct: set[str] = set()
        self._any: set[str] = set()
        for name in images:
            base = "".join(name.rpartition("/")[:2])
            self._direct.add(base)
            while base:
                self._any.add(base)
                base = "".join(base[:-1].rpartition("/")[:2])
        self.root = self._unwrap()

    def children(self, base: str) -> list[str]:
        """Return the names of the direct subfolders."""
        return self._children.get(base, [])

    def filled(self, base: str) -> list[str]:
        """Return the names of the direct subfolders with an image at any depth."""
        return [name for name in self.children(base) if f"{base}{name}/" in self._any]

    def below(self, base: str) -> list[str]:
        """Return the images at any depth."""
        return [name for name in self._images if name.startswith(base)]

    def holds_images(self, base: str) -> bool:
        """Return whether there are images directly in a folder."""
        return base in self._direct

    def check_forms(self, base: str) -> None:
        """Raise an error if the folders are forms of the same images; see `check_forms`."""
        check_forms(base, {name: self.filled(f"{base}{name}/") for name in self.filled(base)})

    def enter(self, base: str) -> str:
        """Return the folder that has the classes of a split."""
        while True:
            filled = self.filled(base)
            if self.holds_images(base) or len(filled) != 1:
                return base
            (name,) = filled
            repeats = name.casefold() == base[:-1].rpartition("/")[2].casefold()
            if not (is_holder(name) or split_of(name) or repeats):
                return base
            base = f"{base}{name}/"

    def _only(self, base: str) -> tuple[str, str]:
        """Return the name and base of the only folder with images, if it has folders in turn.

        Folders without images beside it are empty classes, unless its name is that of a folder for
        all images. Both are empty if there is no such folder.
        """
        filled = self.filled(base)
        if self.holds_images(base) or len(filled) != 1:
            return "", ""
        (name,) = filled
        inner = f"{base}{name}/"
        alone = len(self.children(base)) == 1 or is_holder(name)
        if not alone or self.holds_images(inner) or not self.children(inner):
            return "", ""
        return name, inner

    def _unwrap(self) -> str:
        """Return the folder with the classes or splits."""
        root = ""
        while True:
            name, inner = self._only(root)
            if not inner or is_like_a_split(name):
                return root
            root = inner


def _images(container: Container) -> list[str]:
    excluded = frozenset(container.excluded)
    return [name for name in find_images(container) if name not in excluded]


def _places(tree: _Tree) -> list[_Place]:
    """Return the folders with classes, or those that are classes of a split.

    Raises:
        DataError: If the folders contradict each other.
    """
    root = tree.root
    inside = tree.children(root)
    named = splits_of(inside)
    splits = {name: tree.enter(f"{root}{name}/") for name in named}
    with_classes = [name for name, base in splits.items() if tree.children(base)]
    without = [name for name in splits if name not in with_classes and name in tree.filled(root)]
    beside = sorted(set(tree.filled(root)) - set(splits))
    if not with_classes and not without:
        tree.check_forms(root)
        return _around_splits(tree) or [_Place(root)]
    if not with_classes:
        raise _no_classes(tree, without, beside)
    if beside:
        raise DataError(
            f"folder '{root}{beside[0]}' is next to the splits {', '.join(sorted(splits))}",
            remedy=f"move it (a class into train/), or exclude it with {_exclude(root, beside)}; "
            + _KNOWN,
        )
    if without:
        raise DataError(
            f"folder '{root}{without[0]}' has images but no class folders, as "
            f"{', '.join(sorted(with_classes))} has",
            remedy=f"exclude images without labels with {_exclude(root, without)}; edgetl then "
            "takes its images from train/ if a split is missing",
        )
    _refuse_wrong_splits({name: named[name] for name in with_classes})
    return [_Place(splits[name], named[name]) for name in with_classes]


def _refuse_wrong_splits(splits: Mapping[str, Split]) -> None:
    names = sorted(splits)
    if len({words_beside(name) for name in names}) > 1:
        raise DataError(
            f"folders are named by splits and by something else: {', '.join(names)}",
            remedy="move them so that each split has one folder with the class folders in it, such "
            "as train/cats",
        )
    if len(set(splits.values())) < len(splits):
        raise DataError(
            f"several folders name the same split: {', '.join(names)}",
            remedy="keep one of them, or exclude one with `data: {exclude: [...]}`; " + _KNOWN,
        )
    if Split.TRAIN not in splits.values():
        raise DataError(
            f"there is {', '.join(f'{name}/' for name in names)} but no train/",
            remedy="add train/ with one folder per class, or put all class folders in one folder; "
            + _KNOWN,
        )


def _no_classes(tree: _Tree, splits: Sequence[str], beside: Sequence[str]) -> DataError:
    """Return the error of folders that are named like splits and have no class folders."""
    names = ", ".join(f"'{tree.root}{name}'" for name in sorted(splits))
    verb = "is named like a split and has" if len(splits) == 1 else "are named like splits and have"
    if beside:
        # Several folders beside a split are classes, a single one may be anything.
        either = "" if len(beside) > 1 else f"{_exclude(tree.root, beside)} or "
        return DataError(
            f"{names} {verb} no class folders, but {', '.join(beside[:3])} is beside it",
            remedy=f"if '{splits[0]}' is a class, rename its folder, for example to "
            f"'{splits[0]} class'; else exclude what is no class with {either}"
            f"{_exclude(tree.root, splits)}; {_KNOWN}",
        )
    return DataError(
        f"{names} {verb} no class folders, so nothing names the class of an image",
        remedy="sort the images into one folder per class in each split, such as train/cat",
    )


def _around_splits(tree: _Tree) -> list[_Place]:
    """Return the split folders in class folders (`cat/train/1.jpg`); none if there are none."""
    places: list[_Place] = []
    plain: list[str] = []
    for label in tree.filled(tree.root):
        base = f"{tree.root}{label}/"
        filled = tree.filled(base)
        splits = splits_of(filled)
        if splits.keys() != {*filled} or not filled or tree.holds_images(base):
            plain.append(label)
            continue
        _refuse_wrong_splits({f"{base}{name}": split for name, split in splits.items()})
        deeper = [name for name in splits if len(tree.filled(tree.enter(f"{base}{name}/"))) > 1]
        if deeper:
            raise DataError(
                f"folder '{base}{deeper[0]}' has several folders inside, as if they were classes, "
                f"but '{tree.root}{label}' around it would be the class",
                remedy="merge the splits of several sets of images, so that each split has one "
                "folder with the class folders in it, or set `data.path` to one of the sets",
            )
        places += [_Place(f"{base}{name}/", split, label) for name, split in splits.items()]
    if places and plain:
        raise DataError(
            f"folder '{places[0].base[:-1]}' is named like a split, but the class "
            f"'{tree.root}{plain[0]}' has other images or folders",
            remedy="give every class the same splits, or exclude what is no class with "
            f"{_exclude(tree.root, plain)}; {_KNOWN}",
        )
    return places


def _exclude(root: str, names: Collection[str]) -> str:
    patterns = ", ".join(f"'{root}{name}/*'" for name in sorted(names))
    return f"`data: {{exclude: [{patterns}]}}`"


SOURCE = FolderSource()
