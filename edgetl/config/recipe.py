"""The recipe: what a user wants from which data, for which targets."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgetl.config.table import Table
from edgetl.types import Fact, Task

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


RefineEntry = dict[str, dict[str, Fact] | None]
"""One key, the name of a refining stage, to its options; null takes the defaults."""


class Drop(StrEnum):
    """Kinds of unusable data that a recipe can allow edgetl to leave out."""

    UNREADABLE = "unreadable"
    EMPTY_CLASSES = "empty-classes"
    DUPLICATES = "duplicates"
    BAD_LABELS = "bad-labels"
    """Images whose labels cannot be read, or name a class that there is none of."""
    BAD_BOXES = "bad-boxes"
    """Boxes without area or wholly outside of their image; an image that loses its last box goes,
    too, since nobody knows what it shows."""
    REPEATED_BOXES = "repeated-boxes"
    """All but one of the equal boxes on an image."""
    STRAY_LABELS = "stray-labels"
    """Labels without an image."""
    UNLABELLED = "unlabelled"
    """Images without labels."""
    WRONG_SIZES = "wrong-sizes"
    """Images of another size than their labels were made for."""


class Repair(StrEnum):
    """Kinds of boxes that a recipe can allow edgetl to change."""

    CLIP_BOXES = "clip-boxes"
    """Cut boxes at the border of their image."""
    SCALE_BOXES = "scale-boxes"
    """Where labels were made for another size of the same image, scale their boxes to it."""


class Accept(StrEnum):
    """Oddities of labelled boxes that a recipe can declare to be meant."""

    BACKGROUND = "background"
    """Images without labels show nothing that is looked for."""
    MISSING_CLASSES = "missing-classes"
    """Some split lacks a class that another one shows, so nothing can be said of it there. A class
    that no image shows is still refused, since no model learns it: `drop: [empty-classes]`
    takes it from the model, as it is wanted where the labels name more than the images show. A
    split without any box is refused, too."""


class SyntheticData(Table):
    """Images of small parts on a conveyor, drawn by edgetl itself."""

    images: int = Field(default=1200, ge=60)
    """How many images to draw, over all six classes: of one part each, or of scenes with boxes."""
    seed: int = Field(default=0, ge=0)
    """The same seed draws the same bytes on every machine."""


class DataTable(Table):
    """Where the labelled images are and how they are split."""

    path: str | None = None
    """Folder or zip, relative to the recipe: `train/ val/ test/` or one folder per class; for
    detection COCO, Pascal VOC or YOLO."""
    synthetic: SyntheticData | None = None
    """Use drawn images instead of `path`."""
    val: Fraction = 0.15
    """Fraction split off for validation where the data have no `val/` of their own."""
    test: Fraction | Literal["val"] = 0.20
    """Fraction split off for the test where the data have no `test/`; `val` measures on `val/`."""
    seed: int = Field(default=0, ge=0)
    """Seed of the stratified split."""
    exclude: tuple[str, ...] = ()
    """Files to leave out, as glob patterns relative to `path`."""
    drop: tuple[Drop, ...] = ()
    """Kinds of unusable data to leave out and report instead of refusing the whole folder."""
    repair: tuple[Repair, ...] = ()
    """Kinds of wrong boxes to change and report."""
    accept: tuple[Accept, ...] = ()
    """Oddities of labelled boxes that are meant to be so."""

    @model_validator(mode="after")
    def _one_source(self) -> DataTable:
        if (self.path is None) == (self.synthetic is None):
            raise ValueError("give either `path` or `synthetic`")
        if isinstance(self.test, float) and self.val + self.test >= 1.0:
            raise ValueError("val + test must leave images to train on, so stay below 1")
        return self


class InputTable(Table):
    """What the network sees of an image; the same on this machine and on the device."""

    size: int = Field(default=160, ge=32, le=1024, multiple_of=8)
    """Height and width in pixels."""
    fit: Literal["letterbox", "stretch", "crop"] = "letterbox"
    """Keep the shape and pad, stretch to a square, or cut the centre square."""
    filter: Literal["bilinear", "bicubic", "area"] = "bilinear"
    """Resampling filter of the resize; each averages when it shrinks."""
    pad: int = Field(default=114, ge=0, le=255)
    """Grey level of the letterbox border."""
    anchor: Literal["centre", "top-left"] = "centre"
    """Where the letterbox puts the image."""


class TeacherTable(Table):
    """The pretrained model that is fine-tuned."""

    family: Name
    """File name in `edgetl/models/`."""
    width: float = Field(default=1.0, gt=0.0, le=2.0)
    """Width multiplier of the channels."""
    weights: str = "imagenet"
    """`imagenet` (torchvision's download), `none`, or a .pth / .safetensors file."""
    refine: tuple[RefineEntry, ...] = ()
    """Steps that change the trained model, in order, each `{stage: {options}}`."""


class StudentTable(Table):
    """The small model that learns from the teacher and goes to the devices."""

    family: Name
    """File name in `edgetl/models/`."""
    width: float = Field(default=1.0, gt=0.0, le=2.0)
    """Width multiplier of the channels."""
    weights: str = "none"
    """As for the teacher."""
    refine: tuple[RefineEntry, ...] = ()
    """As for the teacher."""


class NmsTable(Table):
    """Which boxes of a detector are answers; training and its own figures do not depend on it."""

    mode: Literal["class-aware", "per-class", "class-agnostic"] = "class-aware"
    """Which boxes drop each other: those of one class, each place of the network answering with its
    best one; the same, but with every class of a place that scores enough; or all."""
    iou: float = Field(default=0.65, ge=0.0, le=1.0)
    """A box drops those that overlap it by more than this intersection over union."""
    score_threshold: float | None = Field(default=None, ge=0.0, le=1.0)
    """Least score of an answer; `null`: that of the best F1 on the val split."""
    max_detections: int | None = Field(default=None, ge=1, le=3000)
    """Most answers per image, the best ones; `null`: half as many again as any image of train and
    val has objects, rounded up to hundreds."""


class Recipe(Table):
    """The fixed part of a recipe; each stage adds the table that carries its name."""

    name: Name
    """Name of the model, used in file names and reports."""
    task: Task
    """What the model answers."""
    data: DataTable
    input: InputTable = InputTable()
    teacher: TeacherTable
    student: StudentTable | None = None
    """Leave out to deploy the teacher itself."""
    nms: NmsTable | None = None
    """Of a detector; leave out for what is usual."""
    calibration: Name = "balanced-256"
    """File name in `calibration/`: the images that set the ranges of int8 files."""
    targets: tuple[Name, ...] = Field(default=("host",), min_length=1)
    """File names in `targets/`."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything random but the split: initial weights, order, augmentation."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where training runs; `auto` takes a GPU if there is one."""
