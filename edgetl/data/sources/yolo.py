"""YOLO: one text file per image with one line per box, and a file with class names.

A line has the class number, then centre x, centre y, width and height as fractions of the image;
or the points of an outline, which a repair of the recipe makes a box of. Key points after the box
are ignored where `data.yaml` states their number as `kpt_shape`.
The labels of `.../images/a.jpg` are `.../labels/a.txt`; without a folder `images` they are next to
the image. Names are in `data.yaml`, which may also define the splits, or in `classes.txt`. Without
splits there and in the folders, lists such as `train.txt` and `valid.txt` name them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from posixpath import basename, dirname, splitext

from edgetl.config.recipe import Drop, Repair
from edgetl.data.container import Container
from edgetl.data.listing import BoxForm
from edgetl.data.sources import Box, LabelProblem, Listing, Sample
from edgetl.data.sources._files import (
    composed,
    find_images,
    given_splits,
    read_text,
    with_suffix,
)
from edgetl.data.sources._outlines import around_points
from edgetl.data.sources._split_lists import read_split_lists
from edgetl.data.sources._yaml import read_table
from edgetl.data.sources._yolo_names import find_names, is_plain, names_files
from edgetl.data.split_names import SplitFolders
from edgetl.types import LabelKind

_IMAGE_FOLDER, _LABEL_FOLDER = "images", "labels"
_COLUMNS = 5
_EXPECTED = "class, centre x, centre y, width, height"
_LEAST_OUTLINE = 7
"""Columns of a class and three points."""
_KEY_POINTS = "label line that seems to have a box and key points"
_LEAST_WITH_POINTS = 3
_LEAST_POINTS = 4
"""Numbers after a box that may be key points."""
_SLACK = 0.02
"""Share of a side by which a key point may lie outside of its box."""
_REWRITE = (
    "write the numbers with decimal points and with spaces between them, for example with "
    "`sed -i 's/,/./g'` for decimal commas"
)
_CUT = "remove the sixth column, for example with `cut -d' ' -f1-5`"
_LIMIT = 2.0
"""Larger values cannot be fractions; they are probably pixels."""
_NO_IMAGE = "labels without an image"
_BROKEN = "broken label line"
_NO_NAME = "label line with the number of a class without a name"
_MIN_UNNAMED, _UNNAMED_SHARE = 3, 0.1
"""With at least this many lines, and this share of all lines, with unnamed classes, the names are
wrong, not single lines. If no line has the number 0, classes were counted from 1."""
_LOOKED_AT = 50
"""Texts beside images that decide whether they are labels."""
_DATA_KEYS = frozenset({"train", "val", "test", "path", "nc", "kpt_shape"})
"""Keys beside `names` in a table of YOLO."""
_NO_LABELS = frozenset({"classes.txt", "obj.names", "notes.txt", "readme.txt"})


class YoloSource:
    """One text file per image."""

    version = 4
    label_kind = LabelKind.BOXES
    expects = "YOLO, data.yaml with images/ and labels/*.txt"

    def recognises(self, container: Container) -> bool:
        """Return whether there are class names, label folders, or images beside label lines."""
        files = names_files(container)
        texts = with_suffix(container, ".txt")
        # Names alone may be those of class folders.
        if not texts and all(_names_folders(container, name) for name in files):
            return False
        if any(
            not is_plain(name) and (texts or read_table(container, name).keys() & _DATA_KEYS)
            for name in files
        ):
            return True
        if any(_LABEL_FOLDER in name.lower().split("/")[:-1] for name in texts):
            return True
        by_stem = {composed(splitext(name)[0]): name for name in texts}
        stems = (composed(splitext(name)[0]) for name in find_images(container))
        beside = [by_stem[stem] for stem in stems if stem in by_stem]
        return bool(beside) and (bool(files) or _have_lines(container, beside))

    def list(self, container: Container) -> Listing:
        """Return the images with the boxes of their label files.

        Raises:
            DataError: If class names are missing or wrong, or splits contradict each other.
        """
        images = find_images(container)
        names = find_names(container, images)
        texts = _Texts(container)
        reading = _Reading(container, names.classes, names.num_key_columns)
        folders = SplitFolders(images)
        splits = names.splits or {name: folders.of(name) for name in images}
        lists: tuple[str, ...] = ()
        if not any(splits.values()):
            listed, lists = read_split_lists(container, images)
            splits = {name: listed.get(name) for name in images if not lists or name in listed}
        samples: list[Sample] = []
        problems: list[LabelProblem] = list(names.problems)
        files: dict[str, str] = {}
        for image in images:
            file = texts.find(image)
            if file in files and image not in container.excluded:
                what = f"{file}: matches {files[file]} and {image}"
                problems.append(LabelProblem("labels that fit several images", what))
            labelled = file is not None and file not in {*names.files, *lists}
            boxes: tuple[Box, ...] = ()
            if file is not None and labelled:
                files.setdefault(file, image)
                if image in splits:
                    boxes = reading.read(file, image)
            if image in splits:
                split = splits[image]
                samples.append(Sample(image, "", split, boxes, relative=True, labelled=labelled))
        if reading.has_key_points:  # which is the problem, not that they are outlines
            samples = [
                replace(one, boxes=tuple(replace(box, needs=None) for box in one.boxes))
                for one in samples
            ]
        stray = [name for name in _stray(texts.names, files) if name not in {*names.files, *lists}]
        problems.extend(reading.final_problems(names.files[0]))
        problems.extend(LabelProblem(_NO_IMAGE, name, Drop.STRAY_LABELS) for name in stray)
        known = {*images, *files, *stray, *names.files, *lists}
        return Listing(
            samples=tuple(sorted(samples, key=lambda sample: sample.name)),
            classes=names.classes,
            given=given_splits(
                {sample.name: sample.split for sample in samples}, "YOLO", container.excluded
            ),
            unlabelled=(),
            others=tuple(name for name in container.files if name not in known),
            labels=(*files, *stray, *names.files, *lists),
            unlisted=tuple(name for name in images if name not in splits),
            problems=tuple(problems),
            label_kind=self.label_kind,
            named_in=names.files[0],
            form=BoxForm.CENTRE,
        )


def _have_lines(container: Container, texts: Sequence[str]) -> bool:
    """Return whether most of the first texts with a content start with a line of numbers."""
    hits = 0
    contents = [_first_line(container, name) for name in texts[:_LOOKED_AT]]
    filled = [words for words in contents if words]
    for words in filled:
        try:
            hits += len([float(word) for word in words]) >= _COLUMNS
        except ValueError:
            continue
    return hits > len(filled) / 2


def _first_line(container: Container, name: str) -> list[str]:
    try:
        lines = read_text(container, name).split("\n")
    except ValueError:
        return []
    return next((line.split() for line in lines if line.strip()), [])


class _Texts:
    """The text files that may contain labels."""

    def __init__(self, container: Container) -> None:
        self.names = with_suffix(container, ".txt")
        self._by_stem = {splitext(name)[0]: name for name in self.names}
        self._by_composed = {composed(stem): name for stem, name in self._by_stem.items()}

    def find(self, image: str) -> str | None:
        """Return the label file of an image, preferably with exactly the same name."""
        keys = list(_label_keys(image))
        exact = next((self._by_stem[key] for key in keys if key in self._by_stem), None)
        similar = (self._by_composed.get(composed(key)) for key in keys)
        return exact or next(filter(None, similar), None)


def _label_keys(image: str) -> Iterator[str]:
    """Yield possible label paths of an image, without suffix: in `labels`, or next to it."""
    stem = splitext(image)[0]
    parts = stem.split("/")
    for position in range(len(parts) - 2, -1, -1):
        if parts[position].lower() == _IMAGE_FOLDER:
            for folder in (_LABEL_FOLDER, _LABEL_FOLDER.capitalize(), _LABEL_FOLDER.upper()):
                yield "/".join([*parts[:position], folder, *parts[position + 1 :]])
            break
    yield stem


def _stray(texts: Iterable[str], files: Mapping[str, str]) -> Iterator[str]:
    """Yield text files in label folders that belong to no image."""
    folders = {name.rpartition("/")[0] for name in files}
    for name in texts:
        folder, _, file = name.rpartition("/")
        among = folder in folders or _LABEL_FOLDER in folder.lower().split("/")
        if among and name not in files and file.lower() not in _NO_LABELS:
            yield name


class _NoNameError(ValueError):
    """A label line has a class without a name."""


def _names_folders(container: Container, file: str) -> bool:
    """Return whether all names in a YAML file are those of folders with images."""
    names = read_table(container, file).get("names") if not is_plain(file) else None
    listed = names.values() if isinstance(names, dict) else names
    folders = {basename(dirname(name)) for name in find_images(container)}
    return isinstance(names, list | dict) and {*map(str, listed or ())} <= folders


@dataclass(slots=True)
class _Reading:
    """Problems of the label files read so far."""

    container: Container
    classes: Sequence[str]
    num_key_columns: int = 0
    problems: list[LabelProblem] = field(default_factory=list)
    unnamed: set[LabelProblem] = field(default_factory=set)
    """The problems of lines with unnamed classes."""
    with_points: list[str] = field(default_factory=list)
    """Outlines whose first numbers are a box around all others, as of key points."""
    num_outlines: int = 0
    numbers: list[int] = field(default_factory=list)
    """Class numbers, one per line, including unnamed classes."""

    def read(self, file: str, image: str) -> tuple[Box, ...]:
        """Return the boxes of an image; record problems of its label lines."""
        boxes: list[Box] = []
        try:
            text = read_text(self.container, file)
        except ValueError as error:
            what = f"{file}: {error}"
            problem = LabelProblem("label file that cannot be read", what, Drop.BAD_LABELS, image)
            self.problems.append(problem)
            return ()
        for position, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            where = f"{file}:{position}"
            try:
                boxes.append(self._parse(line, where))
            except ValueError as error:
                advice = next((text for kind, text in _ADVICE if isinstance(error, kind)), "")
                what = f"{where}: {error}"
                problem = LabelProblem(_BROKEN, what, Drop.BAD_LABELS, image, advice=advice)
                self.problems.append(problem)
                if isinstance(error, _NoNameError):
                    self.unnamed.add(problem)
        return tuple(boxes)

    @property
    def has_key_points(self) -> bool:
        """Whether all outlines read so far are rather boxes with key points."""
        return len(self.with_points) >= max(_LEAST_WITH_POINTS, self.num_outlines)

    def final_problems(self, file: str) -> list[LabelProblem]:
        """Return all problems; if the class names in `file` are wrong, the remedy names them."""
        if self.has_key_points:
            fix = f"state how many they are in {file}, for example `kpt_shape: [17, 3]`"
            self.problems += [
                LabelProblem(_KEY_POINTS, where, fix=fix) for where in self.with_points
            ]
        num_slips = _UNNAMED_SHARE * len(self.numbers) if 0 in self.numbers else 0
        if len(self.unnamed) < max(_MIN_UNNAMED, num_slips):
            return self.problems
        count = len(self.classes)
        has = (
            f"1 class, '{self.classes[0]}'"
            if count == 1
            else f"{count} classes, from 0 to {count - 1}"
        )
        place = file if is_plain(file) else f"`names` in {file}"
        fix = (
            f"fix {place}: it has {has}, but the labels have numbers from "
            f"{min(self.numbers)} to {max(self.numbers)}"
        )
        if count == 1 and " " in self.classes[0]:
            fix += "; write one name per line" if is_plain(file) else "; put commas between names"
        return [
            replace(one, title=_NO_NAME, fix=fix) if one in self.unnamed else one
            for one in self.problems
        ]

    def _parse(self, line: str, where: str) -> Box:
        """Return the box of a line; raises ValueError with the reason if it is wrong."""
        words = line.split()
        if self.num_key_columns:
            if len(words) != _COLUMNS + self.num_key_columns:
                raise ValueError(
                    f"has {len(words)} columns; expected {_EXPECTED} and {self.num_key_columns} "
                    "numbers of key points, by `kpt_shape`"
                )
            del words[_COLUMNS:]
        is_outline = len(words) >= _LEAST_OUTLINE and len(words) % 2 == 1
        if len(words) != _COLUMNS and not is_outline:
            raise _miscounted(words)
        values = [_number(word) for word in words]
        number, count = values[0], len(self.classes)
        if not number.is_integer():
            raise ValueError(f"class '{words[0][:40]}' is not a whole number")
        if number >= 0:
            self.numbers.append(int(number))
        if not 0 <= number < count:
            named = "only 0 is named" if count == 1 else f"{count} are named, from 0 to {count - 1}"
            what = f"there is no class {words[0][:40]}; {named}"
            raise _NoNameError(what) if number >= 0 else ValueError(what)
        too_large = [
            word for word, value in zip(words[1:], values[1:], strict=True) if abs(value) > _LIMIT
        ]
        in_pixels = len(too_large) == _COLUMNS - 1 and not is_outline
        if too_large and not in_pixels:
            raise ValueError(
                f"'{too_large[0][:40]}' is not a fraction of the image, 0 to 1; is it in pixels?"
            )
        label = self.classes[int(number)]
        around = around_points(values[1:]) if is_outline else None
        if around is not None:
            self.num_outlines += 1
            if _is_box_with_points(values[1:]):
                self.with_points.append(where)
            return Box(label, around, where, needs=Repair.OUTLINES)
        x, y, width, height = values[1:]
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return Box(label, corners, where, needs=Repair.PIXELS if in_pixels else None)


def _is_box_with_points(values: Sequence[float]) -> bool:
    """Return whether the first four numbers are a box with all the points after it inside."""
    x, y, width, height = values[:4]
    points = values[4:]
    xs, ys = points[::2], points[1::2]
    return (
        len(points) >= _LEAST_POINTS
        and all(abs(each - x) <= width / 2 + _SLACK for each in xs)
        and all(abs(each - y) <= height / 2 + _SLACK for each in ys)
    )


class _SeparatorError(ValueError):
    """The numbers of a label line are not separated or not written as the format wants it."""


class _SurplusError(ValueError):
    """A label line has one number too many."""


def _miscounted(words: Sequence[str]) -> ValueError:
    """Return the problem of a line with too few or too many columns."""
    parts = [part for part in ",".join(words).replace(";", ",").split(",") if part]
    if len(words) == 1 and len(parts) > 1:
        return _SeparatorError(f"has no spaces; separate by spaces, not by commas: {_EXPECTED}")
    if len(words) == _COLUMNS + 1:
        return _SurplusError(
            f"has 6 columns; expected {_EXPECTED}; is the last one the confidence of a prediction?"
        )
    columns = "1 column" if len(words) == 1 else f"{len(words)} columns"
    return ValueError(f"has {columns}; expected {_EXPECTED}")


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError as error:
        what = f"'{word[:40]}' is not a number"
        if word.endswith((",", ";")):
            raise _SeparatorError(f"{what}; separate by spaces only") from error
        if "," in word:
            raise _SeparatorError(f"{what}; use a decimal point") from error
        raise ValueError(what) from error
    if not math.isfinite(value):
        raise ValueError(f"'{word[:40]}' is not a finite number")
    return value


_ADVICE = ((_SeparatorError, _REWRITE), (_SurplusError, _CUT))
SOURCE = YoloSource()
