"""COCO: JSON files with `images`, `annotations` and `categories`, one per split or one for all.

Boxes are `bbox` = x, y, width, height in pixels; a segmentation is only read where there is none.
The split of a file follows from its name or folder (`instances_train2017.json`,
`train/_annotations.coco.json`). Ids may be written as text or with a decimal point.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from posixpath import basename, dirname, splitext

from edgetl.config.recipe import Drop, Repair
from edgetl.data.container import Container
from edgetl.data.listing import BoxForm
from edgetl.data.sources import Box, LabelProblem, Listing, Sample
from edgetl.data.sources._files import (
    ImageNames,
    find_images,
    given_splits,
)
from edgetl.data.sources._json import Form, json_files, read_json
from edgetl.data.sources._outlines import around_segmentation
from edgetl.data.split_names import SplitFolders, split_in
from edgetl.errors import DataError
from edgetl.types import Fact, LabelKind, Split

_BROKEN = "annotation that cannot be read"
_NO_IMAGE = "labels without an image"
_FAR = 1e9
"""Larger than any coordinate of an image."""
_MAX_NUMBER = 1 << 63


_Id = int | str
"""Of an image, a category or an annotation."""


class CocoSource:
    """COCO JSON files."""

    version = 3
    label_kind = LabelKind.BOXES
    expects = "COCO, a JSON file with images, annotations and categories"

    def recognises(self, container: Container) -> bool:
        """Return whether a JSON file has the three tables."""
        return bool(_files(container))

    def list(self, container: Container) -> Listing:
        """Return the images listed in the JSON files, with their boxes.

        Raises:
            DataError: If a file is not valid JSON, or files contradict each other.
        """
        images = find_images(container)
        files = _files(container)
        folders = SplitFolders((*images, *files))
        splits = {name: split_in(splitext(basename(name))[0]) or folders.of(name) for name in files}
        if len(set(splits.values())) < len(files):
            raise DataError(
                f"several COCO files have the same split: {', '.join(files)}",
                remedy="exclude some with `data: {exclude: [...]}`, or name them by split",
            )
        given = given_splits(splits, "COCO")
        reading = _Reading(ImageNames(images), frozenset(container.excluded))
        for name in sorted(files, key=lambda name: list(Split).index(splits[name] or Split.TRAIN)):
            reading.add(name, _load(container, name), splits[name])
        rest = _unlabelled(images, reading.samples, folders if given else None)
        known = {*images, *files}
        samples = sorted((*reading.samples.values(), *rest), key=lambda sample: sample.name)
        return Listing(
            samples=tuple(samples),
            classes=tuple(reading.classes),
            given=given,
            unlabelled=(),
            others=tuple(name for name in container.files if name not in known),
            labels=files,
            unlisted=tuple(sorted({*images} - {sample.name for sample in samples})),
            problems=tuple(reading.problems),
            label_kind=self.label_kind,
            named_in=f"`categories` of {', '.join(files)}",
            form=BoxForm.ORIGIN,
        )


@dataclass(slots=True)
class _Reading:
    """Images, boxes and problems from the files read so far."""

    images: ImageNames
    excluded: frozenset[str]
    classes: dict[str, None] = field(default_factory=dict)
    """Class names, ordered by their ids in the first file that has them."""
    samples: dict[str, Sample] = field(default_factory=dict)
    problems: list[LabelProblem] = field(default_factory=list)

    def add(self, file: str, content: Mapping[str, Fact], split: Split | None) -> None:
        """Read one file.

        Raises:
            DataError: If its categories are wrong, or an image is in another file as well.
        """
        annotations = content["annotations"]
        used = {_id(row.get("category_id")) for row in annotations if isinstance(row, dict)}
        categories = _categories(file, content["categories"], used)
        ordered = sorted(categories, key=lambda number: (isinstance(number, str), number))
        self.classes.update(dict.fromkeys(categories[number] for number in ordered))
        images = self._images(file, content["images"], split)
        boxes: dict[_Id, list[Box]] = {number: [] for number in images}
        for position, row in enumerate(annotations):
            box = _box(file, position, row, categories)
            number = _id(row["image_id"]) if _is_row(row, "image_id") else None
            sample = images.get(number) if number is not None else None
            if isinstance(box, str):
                image = sample.name if sample else ""
                self.problems.append(LabelProblem(_BROKEN, box, Drop.BAD_LABELS, image))
            elif number is not None and number in boxes:
                boxes[number].append(box)
            else:
                what = f"{box.where}: there is no image with id {number}"
                self.problems.append(LabelProblem(_NO_IMAGE, what, Drop.STRAY_LABELS))
        for number, sample in images.items():
            if sample is None:
                continue
            if sample.name in self.samples:
                raise DataError(
                    f"image '{sample.name}' is listed in {file} and in another COCO file",
                    remedy="remove it from one of them",
                )
            self.samples[sample.name] = replace(sample, boxes=tuple(boxes[number]))

    def _images(
        self, file: str, rows: Sequence[Fact], split: Split | None
    ) -> dict[_Id, Sample | None]:
        """Return the images by id, still without boxes; None if the file does not exist."""
        samples: dict[_Id, Sample | None] = {}
        taken: set[str] = set()
        for position, row in enumerate(rows):
            if not _is_row(row, "id") or not isinstance(row.get("file_name"), str):
                what = f"{file}, image at position {position}: needs a whole id and a file_name"
                self.problems.append(LabelProblem(_BROKEN, what))
                continue
            number, file_name = _known_id(row, "id"), row["file_name"]
            images = _nearest(self.images.ending(file_name), file)
            images = [name for name in images if name not in self.excluded] or images
            where = f"{file}, image {number}"
            if number in samples or (len(images) == 1 and images[0] in taken):
                what = f"{where}: its id or its image {file_name!r} occurs twice"
                self.problems.append(LabelProblem("image that is listed twice", what))
                continue
            samples[number] = None
            if len(images) > 1:
                what = f"{where}: {file_name!r} matches {' and '.join(images)}"
                self.problems.append(LabelProblem("labels that fit several images", what))
            elif images:
                samples[number] = Sample(images[0], "", split, stated_size=_stated_size(row))
                taken.add(images[0])
            else:
                what = f"{where}: there is no image {file_name!r}"
                self.problems.append(LabelProblem(_NO_IMAGE, what, Drop.STRAY_LABELS))
        return samples


def _unlabelled(
    images: Sequence[str], samples: Mapping[str, Sample], folders: SplitFolders | None
) -> list[Sample]:
    """Return the images not listed in any file, with the split of the others in their folder.

    An image in a folder without a split, or with several, belongs to no split.

    Args:
        images: Names of all images.
        samples: Those that are listed.
        folders: The splits that folders stand for; None if the files name no splits.
    """
    unlabelled = []
    splits: dict[str, set[Split | None]] = {}
    for name, sample in samples.items():
        splits.setdefault(dirname(name), set()).add(sample.split)
    for name in images:
        around = splits.get(dirname(name), {folders.of(name) if folders else None})
        split = next(iter(around)) if len(around) == 1 else None
        if name not in samples and (split or not folders):
            unlabelled.append(Sample(name, "", split, labelled=False))
    return unlabelled


def _files(container: Container) -> tuple[str, ...]:
    """Return the COCO files; only `instances_*` if there are any."""
    files = json_files(container, Form.COCO)
    return tuple(name for name in files if basename(name).startswith("instances")) or files


def _load(container: Container, name: str) -> Mapping[str, Fact]:
    try:
        content: Mapping[str, Fact] = read_json(container, name)
    except ValueError as error:
        raise DataError(f"{name}: {error}", remedy="export the file again") from error
    tables = ("images", "annotations", "categories")
    lacking = [
        table
        for table in tables
        if not isinstance(content, dict) or not isinstance(content.get(table), list)
    ]
    if lacking:
        raise DataError(
            f"{name}: needs the lists {', '.join(tables)}, but lacks {', '.join(lacking)}",
            remedy="export it again as COCO JSON, or exclude it with `data: {exclude: [...]}`",
        )
    return content


def _categories(file: str, rows: Sequence[Fact], used: Collection[_Id | None]) -> dict[_Id, str]:
    """Return category names by id, without a root that only groups the others.

    Roboflow adds such a root, with the name of the project or of one of its classes.

    Args:
        file: For messages.
        rows: The categories.
        used: Ids that annotations have.

    Raises:
        DataError: If a category has no id or name, or two have the same.
    """
    groups = {row.get("supercategory") for row in rows if isinstance(row, dict)}
    categories: dict[_Id, str] = {}
    for row in rows:
        name = row.get("name") if _is_row(row, "id") else None
        if not isinstance(name, str) or not name.strip():
            raise DataError(
                f"{file}: a category needs a whole id and a name",
                remedy="fix `categories` in the file",
            )
        number = _known_id(row, "id")
        is_root = row.get("supercategory") in {None, "", "none"} and name in groups
        if is_root and number not in used:
            continue
        if number in categories or name.strip() in categories.values():
            raise DataError(
                f"{file}: two categories have the id {row['id']} or the name '{name}'",
                remedy="fix `categories` in the file",
            )
        categories[number] = name.strip()
    return categories


def _box(file: str, position: int, row: Fact, categories: Mapping[_Id, str]) -> Box | str:
    """Return the box of an annotation, or its problem as text."""
    if not _is_row(row, "id", "image_id", "category_id"):
        return (
            f"{file}, annotation at position {position}: "
            "needs whole numbers id, image_id and category_id"
        )
    where = f"{file}, annotation {row['id']}"
    label = categories.get(_known_id(row, "category_id"))
    if label is None:
        return f"{where}: there is no category with id {row['category_id']}"
    crowd = row.get("iscrowd") == 1
    bbox = row.get("bbox")
    if not bbox:
        around = around_segmentation(row.get("segmentation"))
        if around is not None:
            return Box(label, around, where, crowd=crowd, needs=Repair.OUTLINES)
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):  # noqa: PLR2004
        return f"{where}: bbox must be four finite numbers, x, y, width and height"
    left, top, width, height = map(float, bbox)
    return Box(label, (left, top, left + width, top + height), where, crowd=crowd)


def _nearest(images: list[str], file: str) -> list[str]:
    """Return the images next to a JSON file, else those in a folder with its name, else all."""
    if len(images) < 2:  # noqa: PLR2004 - nothing to choose
        return images
    folder = dirname(file)
    beside = [name for name in images if dirname(name) == folder]
    stem = splitext(basename(file))[0]
    words = {stem, *stem.split("_")}
    named = [name for name in images if words & set(dirname(name).split("/"))]
    return beside or named or images


def _stated_size(row: Mapping[str, Fact]) -> tuple[int, int] | None:
    height, width = row.get("height"), row.get("width")
    if _is_number(height) and _is_number(width) and height and width:
        return int(height), int(width)
    return None


def _is_row(row: Fact, *keys: str) -> bool:
    """Return whether `row` is an object with ids at `keys`."""
    return isinstance(row, dict) and all(_id(row.get(key)) is not None for key in keys)


def _known_id(row: Mapping[str, Fact], key: str) -> _Id:
    """Return the id at `key` of a row that has one; see `_is_row`."""
    number = _id(row[key])
    if number is None:
        raise TypeError(f"'{key}' is no id")
    return number


def _id(value: Fact) -> _Id | None:
    """Return an id, equal for 1, 1.0 and "1"; None if the value is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _MAX_NUMBER else None
    if isinstance(value, int):
        return value if abs(value) < _MAX_NUMBER else None
    if isinstance(value, str) and value.strip():
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() else text
    return None


def _is_number(value: Fact) -> bool:
    """Return whether `value` is a finite number of a plausible size."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_FAR < value < _FAR


SOURCE = CocoSource()
