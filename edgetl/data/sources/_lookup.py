"""Find the image that a label file means, by a path or name from another machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from posixpath import basename, dirname, splitext

from edgetl.config.recipe import Drop
from edgetl.data.container import Container
from edgetl.data.listing import LabelProblem
from edgetl.data.sources._files import IMAGE_SUFFIXES, composed, find_images, local_path
from edgetl.types import Split

NO_IMAGE = "labels without an image"
"""Title of the problem; `data.drop` names it `stray-labels`."""
_SEVERAL_SPLITS = "image in several splits"
_ONE_SPLIT = (
    "list each image in one split, or exclude files with the same images, with "
    "`data: {exclude: [...]}`"
)


class ImageLookup:
    """Images by the endings of their paths, with and without suffix."""

    def __init__(self, images: Iterable[str], excluded: Collection[str] = ()) -> None:
        self._excluded = frozenset(excluded)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for image in images:
            self._by_name[composed(basename(image))].append(image)
            self._by_stem[_stem(basename(composed(image)))].append(image)

    @classmethod
    def of(cls, container: Container) -> ImageLookup:
        """Return the images of a container."""
        return cls(find_images(container), container.excluded)

    def find(self, path: str, file: str) -> list[str]:
        """Return the images that `path` in the label file `file` may mean; several if unclear.

        The longest common ending decides, with the suffix or without it. Of equally good images
        those beside the file, or in a folder with its name, are meant.
        """
        parts = local_path(path.strip())
        if not parts:
            return []
        images = self._by_name.get(parts[-1], [])
        without = not images
        if without:
            images = self._by_stem.get(_stem(parts[-1]), [])
        images = nearest(_longest(images, parts, without_suffix=without), file)
        return [image for image in images if image not in self._excluded] or images

    def is_excluded(self, image: str) -> bool:
        """Return whether the recipe excludes an image."""
        return image in self._excluded


@dataclass(slots=True)
class Matching:
    """Looks up the images of one label file after the other and keeps the problems."""

    lookup: ImageLookup
    problems: list[LabelProblem] = field(default_factory=list)

    def image(self, path: str, file: str, where: str) -> str | None:
        """Return the image that `path` means; None and a problem unless it is exactly one."""
        images = self.lookup.find(path, file)
        if len(images) == 1:
            return images[0]
        if images:
            what = f"{where}: '{path}' matches {' and '.join(images)}"
            self.problems.append(LabelProblem("labels that fit several images", what))
        else:
            what = f"{where}: there is no image '{path}'"
            self.problems.append(LabelProblem(NO_IMAGE, what, Drop.STRAY_LABELS))
        return None

    def place(
        self, splits: MutableMapping[str, Split], image: str, split: Split, where: str
    ) -> None:
        """Put an image into a split; it is a problem if it is in another one already."""
        known = splits.setdefault(image, split)
        if known is not split:
            what = f"{where}: {image} is in {split}, and in {known} before"
            self.problems.append(LabelProblem(_SEVERAL_SPLITS, what, fix=_ONE_SPLIT))


def nearest(images: Sequence[str], file: str) -> list[str]:
    """Return the images next to a label file, else those in a folder with its name, else all."""
    if len(images) < 2:  # noqa: PLR2004 - nothing to choose
        return list(images)
    folder = dirname(file)
    beside = [name for name in images if dirname(name) == folder]
    below = [name for name in images if folder and name.startswith(f"{folder}/")]
    stem = splitext(basename(file))[0]
    words = {stem, *stem.split("_")}
    named = [name for name in images if words & set(dirname(name).split("/"))]
    return beside or below or named or list(images)


def _longest(images: list[str], parts: Sequence[str], *, without_suffix: bool) -> list[str]:
    """Return the images whose path shares the longest ending with `parts`."""
    ends = [_stem(composed(image)) if without_suffix else composed(image) for image in images]
    last = _stem(parts[-1]) if without_suffix else parts[-1]
    for count in range(len(parts), 1, -1):
        ending = "/" + "/".join([*parts[-count:-1], last])
        longer = [
            image for image, end in zip(images, ends, strict=True) if f"/{end}".endswith(ending)
        ]
        if longer:
            return longer
    return images


def _stem(name: str) -> str:
    """Return a name without the suffix of an image; other endings belong to the name."""
    stem, suffix = splitext(name)
    return stem if suffix.lower() in IMAGE_SUFFIXES else name
