"""What layouts have in common whose label files name the class of each image."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgetl.data.container import Container
from edgetl.data.listing import LabelProblem, Listing, Sample
from edgetl.data.sources._files import find_images, given_splits
from edgetl.data.sources._lookup import ImageLookup, Matching
from edgetl.data.split_names import SplitFolders
from edgetl.types import LabelKind, Split

SEVERAL = "image with several classes"
"""Title of a problem."""
_ONE = "give each image one class, or exclude it with `data: {exclude: [...]}`"


@dataclass(slots=True)
class ClassReading:
    """The class of each image from the label files read so far, and their problems."""

    container: Container
    layout: str
    """Name in messages."""
    named_in: str
    """Origin of the class names."""
    matching: Matching = field(init=False)
    files: list[str] = field(default_factory=list)
    """Label files."""
    labels: dict[str, str] = field(default_factory=dict)
    unclear: set[str] = field(default_factory=set)
    """Images with several classes or none, which is a problem of its own."""
    splits: dict[str, Split] = field(default_factory=dict)
    """Split of an image, where the labels state it."""

    def __post_init__(self) -> None:
        """Look at the images."""
        self.matching = Matching(ImageLookup.of(self.container))

    def several(self, what: str, image: str = "") -> None:
        """Record that an image, which is not one without a class then, has more than one."""
        if image:
            self.unclear.add(image)
        self.matching.problems.append(LabelProblem(SEVERAL, what, fix=_ONE))

    def add(self, image: str, label: str, where: str, split: Split | None = None) -> None:
        """Record the class of an image, and a problem if it has another one already."""
        known = self.labels.setdefault(image, label)
        if known != label:
            self.several(f"{where}: {image} is '{label}', and '{known}' before", image)
        if split:
            self.matching.place(self.splits, image, split, where)

    def listing(self) -> Listing:
        """Return the contents of the layout.

        Raises:
            DataError: If only some images are in a split, or none is in train.
        """
        images = find_images(self.container)
        excluded = frozenset(self.container.excluded)
        folders = SplitFolders((*images, *self.files))
        splits = {name: self.splits.get(name) or folders.of(name) for name in self.labels}
        known = {*images, *self.files}
        return Listing(
            samples=tuple(
                Sample(name, label, splits[name]) for name, label in sorted(self.labels.items())
            ),
            classes=tuple(sorted(set(self.labels.values()))),
            given=given_splits(splits, self.layout, excluded),
            unlabelled=tuple(
                name
                for name in images
                if name not in self.labels and name not in excluded and name not in self.unclear
            ),
            others=tuple(name for name in self.container.files if name not in known),
            labels=tuple(self.files),
            problems=tuple(self.matching.problems),
            label_kind=LabelKind.CLASSES,
            named_in=self.named_in,
        )
