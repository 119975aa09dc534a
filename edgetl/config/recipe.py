"""The recipe: data, models, training and targets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from edgetl.config.table import Table
from edgetl.types import Fact

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


RefineEntry = dict[str, dict[str, Fact] | None]
"""One key, the name of a refining stage, to its options; null takes the defaults."""


class Drop(StrEnum):
    """Kinds of unusable data that a recipe can allow edgetl to drop."""

    UNREADABLE = "unreadable"
    """Images that cannot be decoded, are fully transparent, or have so few pixels that they
    show nothing."""
    EMPTY_CLASSES = "empty-classes"
    """Classes without images or boxes."""
    DUPLICATES = "duplicates"
    """Copies of an image in another split or another class."""
    BAD_LABELS = "bad-labels"
    """Images with unreadable labels or an unknown class."""
    BAD_BOXES = "bad-boxes"
    """Boxes without area or entirely outside their image; an image that loses its last box is
    dropped too, since its content is unknown."""
    REPEATED_BOXES = "repeated-boxes"
    """All but one of several equal boxes in an image."""
    STRAY_LABELS = "stray-labels"
    """Labels without an image."""
    UNLABELLED = "unlabelled"
    """Images without labels."""
    WRONG_SIZES = "wrong-sizes"
    """Images whose size differs from the size stated in their labels."""


class Repair(StrEnum):
    """Repairs of boxes that a recipe can allow."""

    CLIP_BOXES = "clip-boxes"
    """Clip boxes to their image."""
    SCALE_BOXES = "scale-boxes"
    """Scale boxes whose labels state another size of the same image."""
    TURN_BOXES = "turn-boxes"
    """Turn boxes that were drawn on the pixels as stored, before the EXIF orientation of an image
    is applied; labels that state the size of the upright image stay as they are."""
    SWAP_SIZES = "swap-sizes"
    """Read the other way round a stated size whose height and width are exchanged."""
    OUTLINES = "enclose-outlines"
    """Draw boxes around polygons, oriented boxes and masks."""
    CORNERS = "corner-boxes"
    """Read numbers as corners where a format has a centre or a size, and they look like corners."""
    PIXELS = "pixel-boxes"
    """Read coordinates as pixels where a format has fractions, and they are too large for these."""
    FRACTIONS = "fraction-boxes"
    """Read coordinates as fractions of the sides where a format has pixels, and none is above 1."""


class Accept(StrEnum):
    """Unusual properties of data that a recipe can declare as intended."""

    BACKGROUND = "background"
    """Images without labels contain no objects."""
    MISSING_CLASSES = "missing-classes"
    """A split lacks a class that another split has, so that class is not evaluated there. A class
    without any box is still an error, since no model can learn it; `drop: [empty-classes]` removes
    it from the model. A split without boxes is an error as well."""
    UNUSED_BITS = "unused-bits"
    """16-bit images whose values use few of their bits, all or those of one class or folder, are
    meant to be that dark."""


class SyntheticData(Table):
    """Synthetic images of small parts on a conveyor, rendered by edgetl."""

    images: int = Field(default=1200, ge=60)
    """Number of images over all six classes: single parts, or scenes with boxes for detection."""
    seed: int = Field(default=0, ge=0)
    """Equal seeds give equal bytes on every machine."""


class GroupColumn(Table):
    """A column of a table that names the group of each image."""

    file: str
    """CSV with a header, relative to `data.path`; one of its columns names the images."""
    column: str
    """Name of the column with the groups."""


class DataTable(Table):
    """Location of the labelled images, and how to split them."""

    path: str | None = None
    """Folder or zip, relative to the recipe: `train/ val/ test/` or one folder per class, or label
    files that edgetl knows; for detection COCO, Pascal VOC, YOLO or another known one."""
    synthetic: SyntheticData | None = None
    """Use synthetic images instead of `path`."""
    val: Fraction = 0.15
    """Fraction to split off for validation if the data have no `val/`."""
    test: Fraction | Literal["val"] = 0.20
    """Fraction to split off for testing if the data have no `test/`; `val` tests on `val/`."""
    seed: int = Field(default=0, ge=0)
    """Seed of the stratified split."""
    group: str | GroupColumn | None = None
    """Images of one group, such as an object, patient or video, are always in one split. A regular
    expression for the image's path with one group in parentheses, for example `(patient\\d+)/`, or
    a column of a CSV. Copies named by augmentation tools are groups in any case."""
    exclude: tuple[str, ...] = ()
    """Files to ignore, as glob patterns relative to `path`."""
    layout: str = ""
    """File name in `edgetl/data/sources/`, where several layouts lie side by side, or labels that
    edgetl does not read; empty to recognise it."""
    drop: tuple[Drop, ...] = ()
    """Kinds of unusable data to drop and report instead of refusing the whole folder."""
    repair: tuple[Repair, ...] = ()
    """Repairs of boxes to apply and report."""
    accept: tuple[Accept, ...] = ()
    """Unusual properties of the data that are intended."""

    @field_validator("group")
    @classmethod
    def _has_one_group(cls, group: str | GroupColumn | None) -> str | GroupColumn | None:
        if isinstance(group, str):
            try:
                count = re.compile(group).groups
            except re.error as error:
                raise ValueError(f"is no regular expression: {error}") from error
            if count != 1:
                raise ValueError(
                    f"needs one group in parentheses, for example '(patient\\d+)', not {count}"
                )
        return group

    @model_validator(mode="after")
    def _one_source(self) -> DataTable:
        if (self.path is None) == (self.synthetic is None):
            raise ValueError("give either `path` or `synthetic`")
        if isinstance(self.test, float) and self.val + self.test >= 1.0:
            raise ValueError("val + test must be below 1 to leave images for training")
        return self


class UnlabelledTable(Table):
    """Images without labels, from where the model will work."""

    path: str
    """Folder or zip, relative to the recipe; every image in it counts."""
    exclude: tuple[str, ...] = ()
    """Files to ignore, as glob patterns relative to `path`."""
    drop: tuple[Literal[Drop.UNREADABLE, Drop.DUPLICATES], ...] = ()
    """`unreadable` images, and `duplicates`: images that another role holds."""
    transductive: bool = False
    """Allow images that are also in `evaluation`: the model then adapts to what it is measured on,
    which is written beside every such figure."""


class EvaluationTable(Table):
    """Labelled images from where the model will work, to measure on and nothing else."""

    path: str
    """Folder or zip, relative to the recipe, laid out as for `data`; all splits are measured on."""
    exclude: tuple[str, ...] = ()
    """Files to ignore, as glob patterns relative to `path`."""
    layout: str = ""
    """As for `data`."""
    drop: tuple[Drop, ...] = ()
    """As for `data`; `duplicates` also drops images that are in `data`."""
    repair: tuple[Repair, ...] = ()
    """As for `data`."""
    accept: tuple[Accept, ...] = ()
    """As for `data`; `missing-classes` allows that some classes of `data` are not shown."""


class InputTable(Table):
    """How images become the network's input; identical in training and on the device."""

    size: int = Field(default=160, ge=8, le=1024, multiple_of=8)
    """Height and width in pixels."""
    fit: Literal["letterbox", "stretch", "crop"] = "letterbox"
    """Keep the aspect ratio and pad, stretch to a square, or crop the centre square."""
    filter: Literal["bilinear", "bicubic", "area"] = "bilinear"
    """Resampling filter; all of them antialias when downscaling."""
    pad: int = Field(default=114, ge=0, le=255)
    """Grey level of the letterbox border."""
    anchor: Literal["centre", "top-left"] = "centre"
    """Position of the image in the letterbox."""


class ModelTable(Table):
    """A model: where its chain begins, and the steps that refine it."""

    refine: tuple[RefineEntry, ...] = ()
    """Steps that change the model, in order, each `{stage: {options}}`."""


class TeacherTable(ModelTable):
    """The pretrained model to fine-tune."""

    family: Name
    """File name in `edgetl/models/`."""
    width: float = Field(default=1.0, gt=0.0, le=2.0)
    """Width multiplier of the channels."""
    weights: str = "imagenet"
    """`imagenet` (torchvision's download), `none`, or a file that ends in .pth, .pt, .ckpt,
    .pth.tar, .bin or .safetensors."""
    input: InputTable | None = None
    """Input of this network where it differs from the recipe's `input`."""


class StudentTable(ModelTable):
    """The small model that is distilled from the teacher and deployed."""

    family: Name
    """File name in `edgetl/models/`."""
    width: float = Field(default=1.0, gt=0.0, le=2.0)
    """Width multiplier of the channels."""
    weights: str = "none"
    """As for the teacher."""
    input: InputTable | None = None
    """Input of this network where it differs from the recipe's `input`."""


class SavedModelTable(ModelTable):
    """A model that was trained elsewhere, to deploy in place of a teacher or a student."""

    path: str
    """Folder with a model as edgetl saves it, `model.json` and `model.safetensors`, relative to the
    recipe."""


class NmsTable(Table):
    """Non-maximum suppression of a detector; does not affect training and its metrics."""

    mode: Literal["class-aware", "per-class", "class-agnostic"] = "class-aware"
    """Which boxes compete: boxes of the same class, with only the best class per anchor
    (`class-aware`) or every class above the threshold (`per-class`); or all boxes
    (`class-agnostic`)."""
    iou: float = Field(default=0.65, ge=0.0, le=1.0)
    """A box suppresses boxes that overlap it by more than this intersection over union."""
    score_threshold: float | None = Field(default=None, ge=0.0, le=1.0)
    """Lowest score of a detection; `null`: the threshold with the best F1 on the val split."""
    max_detections: int | None = Field(default=None, ge=1, le=3000)
    """Maximum number of detections per image, best first; `null`: 1.5 times the largest number of
    objects in an image of train and val, rounded up to hundreds."""


class Recipe(Table):
    """The fixed part of a recipe; each stage adds a table with its name."""

    name: Name
    """Name of the model, used in file names and reports."""
    task: str
    """What the model predicts: name of a folder in `edgetl/tasks/`, or of a task that an installed
    package provides."""
    data: DataTable
    unlabelled: UnlabelledTable | None = None
    """Images to adapt to; omit if there are none."""
    evaluation: EvaluationTable | None = None
    """Images to evaluate on in addition to the test split of `data`; omit if there are none."""
    input: InputTable = InputTable()
    """Input of the teacher and the student; a saved `model` brings its own."""
    teacher: TeacherTable | None = None
    """Omit with `model`."""
    student: StudentTable | None = None
    """Omit to deploy the teacher itself."""
    model: SavedModelTable | None = None
    """A saved model, in place of `teacher` and `student`."""
    nms: NmsTable | None = None
    """Only for detectors; omit for the defaults."""
    calibration: Name = "balanced-256"
    """File name in `calibration/`: images and method that set the ranges of int8 files."""
    targets: tuple[Name, ...] = Field(default=("host",), min_length=1)
    """File names in `targets/`."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything random except the split: initial weights, order, augmentation."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Training device; `auto` uses a GPU if there is one."""


def model_tables() -> dict[str, type[ModelTable]]:
    """Return the tables of the fixed part that describe models, by their keys in its order."""
    return {
        name: kind
        for name, field in Recipe.model_fields.items()
        for kind in get_args(field.annotation)
        if isinstance(kind, type) and issubclass(kind, ModelTable)
    }


def models_of(recipe: Recipe, tables: Mapping[str, Table]) -> dict[str, ModelTable]:
    """Return the models of a recipe by their keys, each after its teacher.

    Args:
        recipe: The fixed part.
        tables: Those of its stages, among them the models that stages of other packages read.
    """
    named = {**dict(recipe), **tables}
    return {name: table for name, table in named.items() if isinstance(table, ModelTable)}
