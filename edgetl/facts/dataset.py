"""Facts of the stages that index and fit images."""

from __future__ import annotations

from pydantic import Field

from edgetl.config.recipe import InputTable
from edgetl.facts import FactsModel
from edgetl.types import Role, Split


class DatasetFacts(FactsModel):
    """Facts of the images of one role."""

    role: Role
    task: str
    classes: tuple[str, ...]
    images: dict[Split, int]
    """Images used of each split."""
    dropped: dict[str, tuple[str, ...]]
    """Names of the images that are not used, by the reason."""
    duplicates: int
    """Images that repeat the content of another; they stay in its split."""
    other_files: int
    """Files in the folder that are not images."""
    ignored: dict[str, int] = Field(default_factory=dict)
    """Images that are no examples, by their kind: masks, hidden ones, those of the system."""
    groups: int = 0
    """Groups of images that stay in one split, by `data.group` or as copies of one image."""
    near_copies: int = 0
    """Images that look almost like one of another split; equal ones are an error."""
    counts: dict[Split, dict[str, int]] = Field(default_factory=dict)
    """Images of each class by split, if an image has one label."""
    boxes: dict[Split, dict[str, int]] | None = None
    """Boxes of each class by split, without crowds; None if labels are not boxes."""
    backgrounds: dict[Split, int] = Field(default_factory=dict)
    """Images without a box."""
    crowds: int = 0
    difficult: int = 0
    repaired: dict[str, int] = Field(default_factory=dict)
    """Repaired boxes by the kind of repair."""
    unlisted: int = 0
    """Images that belong to no split."""
    transductive: bool = False
    """Whether unlabelled images may be those of the evaluation."""
    shared_with_evaluation: int = 0
    """Unlabelled images that are also measured on."""


class ImageSizes(FactsModel):
    """Sizes of images, each as width and height of the upright image, pixels."""

    images: int
    """Number of images whose sizes are known."""
    distinct: int
    """Number of different sizes."""
    common: tuple[tuple[int, int, int], ...]
    """The most frequent sizes, each with its number of images."""
    smallest: tuple[int, int]
    """By area, as `largest`."""
    largest: tuple[int, int]


class DataOverview(FactsModel):
    """What is shown of the images of one role before anything is trained."""

    facts: DatasetFacts
    sizes: ImageSizes | None
    """None if no size is known."""
    notes: tuple[str, ...] = ()
    """What is ignored, unused or recognised by its content, in sentences."""


class DataOverviews(FactsModel):
    """The overviews of all roles of a recipe."""

    rows: tuple[DataOverview, ...]


class ViewFacts(FactsModel):
    """Facts of the view stage: a dataset as one network sees it."""

    role: Role
    input: InputTable
    images: int
    size_bytes: int
    boxes: int = 0
    """Labelled boxes of all splits; 0 if labels are not boxes."""
    too_small: dict[Split, int] = Field(default_factory=dict)
    """Boxes that training does not see because they are too small at the input's size."""
    cropped: dict[Split, int] = Field(default_factory=dict)
    """Boxes that training does not see because the fit crops them."""
