"""Pascal VOC: one XML file per image, with or without `ImageSets/Main`.

Labels are in `Annotations/`, in a folder with another common name, or next to the images; an image
and its labels have the same name. Splits are the lists in `ImageSets/Main`, else folder names.

Coordinates are not changed. The development kit of VOC2012 numbers pixels from 1 and includes the
last one, so the left and top edges of its boxes are `xmin - 1` and `ymin - 1`. Current tools store
zero-based edges in this format (labelImg only changes 0 to 1, its issue 4). Files do not state
which convention they use, and subtracting a pixel by mistake costs as much as keeping one.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from posixpath import basename, splitext
from typing import TYPE_CHECKING

from edgetl.config.recipe import Drop, Repair
from edgetl.data.container import Container
from edgetl.data.sources import Box, LabelProblem, Listing, Sample
from edgetl.data.sources._files import (
    ImageNames,
    composed,
    decoded,
    find_images,
    given_splits,
    pair_key,
    read_text,
    with_suffix,
)
from edgetl.data.sources._outlines import around_oriented, around_points
from edgetl.data.split_names import SplitFolders
from edgetl.errors import DataError
from edgetl.runtime.errors import ImageError
from edgetl.types import LabelKind, Split

if TYPE_CHECKING:  # planning other layouts must not wait for a parser
    from xml.etree.ElementTree import Element

_PAIRED_FOLDERS = frozenset(
    {"annotations", "annotation", "xmls", "xml", "labels"} | {"jpegimages", "images", "image"}
)
_LISTS = "ImageSets/Main/"
_MARK = re.compile(r"<annotation[\s/>]")
_ENCODING = re.compile(rb"<\?xml[^>]*encoding=[\"']([\w-]+)[\"']")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_NUMBERED = re.compile(r"x\d+")
_ORIENTED = ("cx", "cy", "w", "h", "angle")
_NO_IMAGE = "labels without an image"
_BROKEN = "label file that cannot be read"


@dataclass(frozen=True, slots=True)
class _Annotation:
    """The content of one XML file."""

    filename: str
    """Last part of the image path in the file."""
    size: tuple[int, int] | None
    """Height and width."""
    boxes: tuple[Box, ...]


class VocSource:
    """One XML file per image."""

    version = 2
    label_kind = LabelKind.BOXES
    expects = "Pascal VOC, Annotations/*.xml with JPEGImages/ or beside the images"

    def recognises(self, container: Container) -> bool:
        """Return whether an XML file has an `<annotation>`."""
        names = with_suffix(container, ".xml")
        return any(_MARK.search(decoded(_read_bytes(container, name))) for name in names)

    def list(self, container: Container) -> Listing:
        """Return the images with the boxes of their XML files.

        Raises:
            DataError: If the split lists contradict each other.
        """
        images = find_images(container)
        pairs = _Pairs(images, frozenset(container.excluded))
        files: list[str] = []
        labelled: dict[str, Sample] = {}
        problems: list[LabelProblem] = []
        for name in with_suffix(container, ".xml"):
            content = _read_bytes(container, name)
            if not _MARK.search(decoded(content)) and not pairs.by_name(name):
                continue
            files.append(name)
            sample = _label(name, content, pairs, labelled)
            if isinstance(sample, LabelProblem):
                problems.append(sample)
                if sample.image:
                    labelled.setdefault(sample.image, Sample(sample.image, "", None))
            else:
                labelled[sample.name] = sample
        lists = tuple(name for name in container.files if _is_split_list(name))
        folders = SplitFolders(images)
        splits: dict[str, Split | None] = {name: folders.of(name) for name in images}
        if lists:
            splits, missing = _read_lists(container, lists, images)
            problems = [
                problem for problem in problems if not problem.image or problem.image in splits
            ]
            problems.extend(missing)
        samples = tuple(
            replace(labelled.get(name, Sample(name, "", None, labelled=False)), split=splits[name])
            for name in sorted(images)
            if name in splits
        )
        known = {*images, *files, *lists}
        return Listing(
            samples=samples,
            classes=tuple(sorted({box.label for sample in samples for box in sample.boxes})),
            given=given_splits(
                {sample.name: sample.split for sample in samples}, "Pascal VOC", container.excluded
            ),
            unlabelled=(),
            others=tuple(name for name in container.files if name not in known),
            labels=(*files, *lists),
            unlisted=tuple(name for name in images if name not in splits),
            problems=tuple(problems),
            label_kind=self.label_kind,
            named_in="<name> of the XML files",
        )


class _Pairs:
    """Matches XML files with images."""

    def __init__(self, images: Sequence[str], excluded: frozenset[str]) -> None:
        self._excluded = excluded
        self._by_key: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in images:
            self._by_key[pair_key(name, _PAIRED_FOLDERS)].append(name)
            self._by_stem[_stem(name)].append(name)
        self.names = ImageNames(images)

    def by_name(self, name: str) -> list[str]:
        """Return the images with the name of an XML file, preferably in a neighbouring folder."""
        by_key = self._by_key.get(pair_key(name, _PAIRED_FOLDERS))
        images = by_key or self._by_stem.get(_stem(name), [])
        return [image for image in images if image not in self._excluded] or images


def _stem(name: str) -> str:
    """Return the composed last part of a path, without suffix."""
    return splitext(composed(basename(name)))[0]


def _label(
    name: str, content: bytes, pairs: _Pairs, labelled: Mapping[str, Sample]
) -> Sample | LabelProblem:
    """Return the image of an XML file with its boxes, or the problem of the file."""
    by_name = pairs.by_name(name)
    image = by_name[0] if by_name else ""
    try:
        annotation = _parse(name, content)
    except ValueError as error:
        return LabelProblem(_BROKEN, f"{name}: {error}", Drop.BAD_LABELS, image)
    by_filename = pairs.names.ending(annotation.filename)
    candidates = by_name or by_filename
    if not candidates:
        return LabelProblem(_NO_IMAGE, name, Drop.STRAY_LABELS)
    if len(candidates) > 1:
        what = f"{name}: matches {' and '.join(candidates)}"
        return LabelProblem("labels that fit several images", what)
    image = candidates[0]
    if by_filename and image not in by_filename:
        what = f"{name}: refers to '{annotation.filename}', but its own name matches {image}"
        return LabelProblem("labels that name another image", what, Drop.BAD_LABELS, image)
    if image in labelled:
        return LabelProblem(
            "image with several label files", f"{image}: {name} is not the only one"
        )
    return Sample(image, "", None, annotation.boxes, stated_size=annotation.size)


def _parse(name: str, content: bytes) -> _Annotation:
    """Return the content of an XML file; raises ValueError with the reason if it is wrong."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        try:
            root: Element = fromstring(content)
        except ValueError:
            root = fromstring(_decoded_xml(content))
    except ParseError as error:
        raise ValueError(f"not valid XML ({error})") from error
    except DefusedXmlException as error:
        raise ValueError("declares XML entities, which are not supported") from error
    except LookupError as error:  # an unknown encoding
        raise ValueError(f"not valid XML ({error})") from error
    if root.tag != "annotation":
        raise ValueError(f"contains <{root.tag[:40]}>, not <annotation>")
    filename = (root.findtext("filename") or "").strip().replace("\\", "/")
    return _Annotation(
        filename=basename(filename),
        size=_size(root.find("size")),
        boxes=tuple(
            _box(node, f"{name}, object {number}")
            for number, node in enumerate(root.findall("object"), start=1)
        ),
    )


def _decoded_xml(content: bytes) -> str:
    """Return a text in the encoding that it states, where the parser does not know that one.

    It reads UTF-8, UTF-16 and encodings of one byte per character.
    """
    declared = _ENCODING.match(content)
    encoding = declared[1].decode() if declared else "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"not {encoding} text (byte {error.start})") from error


def _size(node: Element | None) -> tuple[int, int] | None:
    """Return height and width; None if they are missing or 0, which tools write for unknown."""
    if node is None:
        return None
    height, width = (_number(node, side, "size") for side in ("height", "width"))
    return (int(height), int(width)) if height and width else None


def _box(node: Element, where: str) -> Box:
    short = where.rpartition(", ")[2]
    label = (node.findtext("name") or "").strip()
    if not label:
        raise ValueError(f"{short}: has no <name>")
    difficult = (node.findtext("difficult") or "0").strip() not in {"0", ""}
    corners = node.find("bndbox")
    if corners is None:
        around = _outline(node, short)
        if around is None:
            raise ValueError(f"{short} ({label}): has no <bndbox>")
        return Box(label, around, where, difficult=difficult, needs=Repair.OUTLINES)
    left, top, right, bottom = (_number(corners, tag, short) for tag in _CORNERS)
    return Box(label, (left, top, right, bottom), where, difficult=difficult)


def _outline(node: Element, where: str) -> tuple[float, float, float, float] | None:
    """Return the box around a polygon, or an oriented box of roLabelImg; None without either."""
    oriented = node.find("robndbox")
    if oriented is not None:
        x, y, width, height, angle = (_number(oriented, tag, where) for tag in _ORIENTED)
        return around_oriented(x, y, width, height, angle)
    polygon = node.find("polygon")
    if polygon is None:
        return None
    points = polygon.findall("pt") or polygon.findall("point")
    if points:
        numbers = [_number(point, axis, where) for point in points for axis in ("x", "y")]
    else:
        count = sum(_NUMBERED.fullmatch(child.tag) is not None for child in polygon)
        tags = [f"{axis}{k}" for k in range(1, count + 1) for axis in ("x", "y")]
        numbers = [_number(polygon, tag, where) for tag in tags]
    return around_points(numbers)


def _number(node: Element, tag: str, where: str) -> float:
    text = (node.findtext(tag) or "").strip()
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"{where}: <{tag}> is '{text[:40]}', not a number") from error
    if not math.isfinite(value):
        raise ValueError(f"{where}: <{tag}> is '{text[:40]}', not a finite number")
    return value


def _read_bytes(container: Container, name: str) -> bytes:
    """Return the content of an XML file; empty if it cannot be read."""
    try:
        return container.read(name)
    except ImageError:
        return b""


def _is_split_list(name: str) -> bool:
    folder, slash, file = name.rpartition("/")
    inside = f"/{folder}{slash}".endswith(f"/{_LISTS}")
    return inside and file in {"train.txt", "val.txt", "test.txt", "trainval.txt"}


def _read_lists(
    container: Container, lists: Sequence[str], images: Sequence[str]
) -> tuple[dict[str, Split | None], list[LabelProblem]]:
    """Return the split of each listed image, and problems with listed names.

    `trainval.txt` replaces a missing `train.txt`, minus the images in other lists.

    Raises:
        DataError: If a list cannot be read, or two name the same image.
    """
    splits: dict[str, Split | None] = {}
    problems: list[LabelProblem] = []
    by_stem: dict[str, list[str]] = defaultdict(list)
    for image in images:
        by_stem[_stem(image)].append(image)
    for name in sorted(lists, key=lambda name: name.endswith("trainval.txt")):
        rest = name.endswith("trainval.txt")
        if rest and name.replace("trainval.txt", "train.txt") in lists:
            continue
        root = name[: -len(_LISTS + basename(name))]
        split = Split.TRAIN if rest else Split(splitext(basename(name))[0])
        for line, listed in _lines(container, name):
            key = composed(listed) if composed(listed) in by_stem else _stem(listed)
            matching = [image for image in by_stem.get(key, []) if image.startswith(root)]
            if not matching:
                what = f"{name}:{line}: there is no image '{listed}'"
                problems.append(LabelProblem(_NO_IMAGE, what, Drop.STRAY_LABELS))
            for image in matching:
                before = splits.get(image, split)
                if before is split or not rest:
                    splits[image] = split
                if before is not split and not rest:
                    raise DataError(
                        f"{image} is listed in {before}.txt and in {split}.txt",
                        remedy=f"remove one of the two lines in {root}{_LISTS}",
                    )
    return splits, problems


def _lines(container: Container, name: str) -> Iterator[tuple[int, str]]:
    try:
        text = read_text(container, name)
    except ValueError as error:
        raise DataError(f"{name}: {error}", remedy="save it again as UTF-8 text") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


SOURCE = VocSource()
