"""YOLO: one text file per photo, one line per box, and the names of the classes.

A line holds the number of the class, then centre x, centre y, width and height as fractions of the
photo. The labels of `.../images/a.jpg` are `.../labels/a.txt`; without a folder `images` they lie
beside the photo. Names are in `data.yaml`, which may also name the splits, or in `classes.txt`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from posixpath import splitext

from edgetl.config.recipe import Leave
from edgetl.data.container import Container
from edgetl.data.sources import Box, Fault, Listing, Sample
from edgetl.data.sources._files import (
    find_photos,
    given_splits,
    read_text,
    split_by_folder,
    with_suffix,
)
from edgetl.data.sources._yolo_names import find_names, is_plain, names_files
from edgetl.types import Task

_ROOM, _LABEL_ROOM = "images", "labels"
_COLUMNS = 5
_LIMIT = 2.0
"""Fractions beyond this are none: somebody wrote pixels."""
_NO_PHOTO = "labels without a photo"
_BROKEN = "broken label line"
_NO_LABELS = frozenset({"classes.txt", "obj.names", "notes.txt", "readme.txt"})


class YoloSource:
    """One text file per photo."""

    task = Task.DETECTION
    expects = "YOLO, data.yaml with images/ and labels/*.txt"

    def recognises(self, container: Container) -> bool:
        """Return whether there are names of classes, or labels in folders named so."""
        files = names_files(container)
        if any(not is_plain(name) for name in files):
            return True
        texts = with_suffix(container, ".txt")
        if any(_LABEL_ROOM in name.lower().split("/")[:-1] for name in texts):
            return True
        stems = {splitext(name)[0] for name in texts}
        return bool(files) and any(splitext(name)[0] in stems for name in find_photos(container))

    def list(self, container: Container) -> Listing:
        """Return photos with the boxes of their label files.

        Raises:
            DataError: If the names of the classes are missing or wrong, or splits contradict.
        """
        photos = find_photos(container)
        names = find_names(container, photos)
        texts = {splitext(name)[0]: name for name in with_suffix(container, ".txt")}
        splits = names.splits or {name: split_by_folder(name) for name in photos}
        samples: list[Sample] = []
        faults: list[Fault] = list(names.faults)
        files: dict[str, str] = {}
        for photo in photos:
            file = next((texts[key] for key in _label_keys(photo) if key in texts), None)
            if file in files and photo not in container.excluded:
                what = f"{file}: can be about {files[file]} or {photo}"
                faults.append(Fault("labels that fit several photos", what))
            labelled = file is not None and file not in names.files
            boxes: tuple[Box, ...] = ()
            if file is not None and labelled:
                files.setdefault(file, photo)
                if photo in splits:
                    boxes, broken = _read_labels(container, file, names.classes, photo)
                    faults.extend(broken)
            if photo in splits:
                split = splits[photo]
                samples.append(Sample(photo, "", split, boxes, relative=True, labelled=labelled))
        stray = [name for name in _stray(texts.values(), files) if name not in names.files]
        faults.extend(Fault(_NO_PHOTO, name, Leave.STRAY_LABELS) for name in stray)
        known = {*photos, *files, *stray, *names.files}
        return Listing(
            samples=tuple(sorted(samples, key=lambda sample: sample.name)),
            classes=names.classes,
            given=given_splits((sample.split for sample in samples), "YOLO"),
            unlabelled=(),
            others=tuple(name for name in container.files if name not in known),
            labels=(*files, *stray, *names.files),
            unlisted=tuple(name for name in photos if name not in splits),
            faults=tuple(faults),
            task=self.task,
        )


def _label_keys(photo: str) -> Iterator[str]:
    """Yield where the labels of a photo can be, without suffix: in `labels`, or beside it."""
    stem = splitext(photo)[0]
    parts = stem.split("/")
    for position in range(len(parts) - 2, -1, -1):
        if parts[position].lower() == _ROOM:
            for room in (_LABEL_ROOM, _LABEL_ROOM.capitalize(), _LABEL_ROOM.upper()):
                yield "/".join([*parts[:position], room, *parts[position + 1 :]])
            break
    yield stem


def _stray(texts: Iterable[str], files: Mapping[str, str]) -> Iterator[str]:
    """Yield text files that lie among labels but belong to no photo."""
    folders = {name.rpartition("/")[0] for name in files}
    for name in texts:
        folder, _, file = name.rpartition("/")
        among = folder in folders or _LABEL_ROOM in folder.lower().split("/")
        if among and name not in files and file.lower() not in _NO_LABELS:
            yield name


def _read_labels(
    container: Container, file: str, classes: Sequence[str], photo: str
) -> tuple[tuple[Box, ...], list[Fault]]:
    """Return the boxes of a label file, and what is wrong with its lines."""
    boxes: list[Box] = []
    faults: list[Fault] = []
    try:
        text = read_text(container, file)
    except ValueError as error:
        what = f"{file}: {error}"
        return (), [Fault("label file that cannot be read", what, Leave.BAD_LABELS, photo)]
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            boxes.append(_parse(line.split(), classes, where))
        except ValueError as error:
            what = f"{where}: {error}"
            faults.append(Fault(_BROKEN, what, Leave.BAD_LABELS, photo))
    return tuple(boxes), faults


def _parse(words: Sequence[str], classes: Sequence[str], where: str) -> Box:
    """Return the box of a line; a ValueError says what is wrong with it."""
    if len(words) != _COLUMNS:
        outline = " (an outline? only boxes are read)" if len(words) > _COLUMNS + 1 else ""
        raise ValueError(
            f"has {len(words)} columns{outline}; expected class, centre x, centre y, width, height"
        )
    values = [_number(word) for word in words]
    number = values[0]
    if not number.is_integer():
        raise ValueError(f"class '{words[0][:40]}' is not a whole number")
    if not 0 <= number < len(classes):
        raise ValueError(
            f"there is no class {words[0][:40]}; {len(classes)} are named, from 0 to "
            f"{len(classes) - 1}"
        )
    for word, value in zip(words[1:], values[1:], strict=True):
        if abs(value) > _LIMIT:
            raise ValueError(f"'{word[:40]}' is no fraction of the photo, 0 to 1; is it in pixels?")
    x, y, width, height = values[1:]
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Box(classes[int(number)], corners, where)


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError as error:
        raise ValueError(f"'{word[:40]}' is not a number") from error
    if not math.isfinite(value):
        raise ValueError(f"'{word[:40]}' is not a finite number")
    return value


SOURCE = YoloSource()
