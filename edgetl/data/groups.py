"""Groups of images that must be in one split: of one object, or made from one source image.

A split that has a copy of a training image measures memory. The recipe states groups as
`data.group`; copies made by augmentation are recognised by their names.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from posixpath import splitext

from edgetl.config.recipe import GroupColumn
from edgetl.data.container import Container
from edgetl.data.sources._csv import image_table
from edgetl.data.sources._lookup import ImageLookup
from edgetl.data.split_names import is_like_a_split
from edgetl.errors import DataError
from edgetl.types import Split

_ROBOFLOW = re.compile(r"(?P<source>.+)\.rf\.[^.]+")
_AUGMENTED = re.compile(
    r"(?P<source>.+?)(?:[\s_.-]+(?:aug|augmented|augmentation|[hv]?flip(?:ped)?(?:lr|tb|ud)?|mirror|"
    r"mirrored|rot|rotated?|rotation|(?:new)?\d+deg\w*|bright|brighter|brightness|dark|darker|"
    r"contrast|blur|blurred|noise|noisy|zoom|zoomed|shear|sheared|shift|shifted|jitter|hue|"
    r"saturation|gamma|gray|grey|grayscale|invert|inverted|overlay|annotated|contours?)[\s_.-]*\d*)+",
    re.IGNORECASE,
)
_AUGMENTOR = re.compile(
    r".*_original_(?P<source>.+)\.(?:jpe?g|png|bmp|tiff?|gif)_[\da-f-]+", re.IGNORECASE
)
"""The stem of a copy by Augmentor, with the whole name of its source."""
_PREFIXED = re.compile(
    r"(?:aug|augmented|copy of|flip(?:ped)?|mirror(?:ed)?|rot(?:ated)?)[\s_.-]+(?P<source>.+)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[\s_.-]+\d+$")
"""The stem of a copy with a word in front, and perhaps a number behind."""
_HINT = re.compile(
    r"\.rf\.|_original_|copy|aug|flip|mirror|rot|deg|bright|dark|contrast|blur|nois|zoom|shear|"
    r"shift|jitter|hue|saturation|gamma|gr[ae]y|invert|overlay|annotated|contour",
    re.IGNORECASE,
)
"""A part of all these names."""
_MAX_COPIES = 60
"""More images of one name are not copies: cameras and browsers repeat names."""
_MAX_SHOWN = 3


def copies_of(images: Iterable[str]) -> dict[str, str]:
    """Return the source of images that augmentation made, and of the source if it is there.

    `a_jpg.rf.HASH.jpg` (Roboflow) are copies of each other; `a_flip.jpg`, `a_90deg.jpg`,
    `aug_a_1.jpg` and `cat_original_a.jpg_UUID.jpg` are copies of `a.jpg` if that exists. Folders of
    splits do not matter.

    Returns:
        Image to source, for sources with several images.
    """
    named = [*images]
    if not any(map(_HINT.search, named)):
        return {}
    stems = {name: splitext(_without_splits(name))[0] for name in named}
    present = frozenset(stems.values())
    members: dict[str, list[str]] = defaultdict(list)
    for name, stem in stems.items():
        roboflow, augmented = _ROBOFLOW.fullmatch(stem), _AUGMENTED.fullmatch(stem)
        source = stem
        if roboflow:
            source = roboflow["source"]
        elif augmented and augmented["source"] in present:
            source = augmented["source"]
        else:
            source = next((each for each in _in_front(stem) if each in present), stem)
        members[source].append(name)
    return {
        name: source
        for source, names in members.items()
        if 1 < len(names) <= _MAX_COPIES
        and (len({stems[name] for name in names}) > 1 or _ROBOFLOW.fullmatch(stems[names[0]]))
        for name in names
    }


def _in_front(stem: str) -> Iterator[str]:
    """Yield the sources of a copy with a word in front: `cat_original_a.jpg_UUID`, `aug_a_1`."""
    folder, slash, file = stem.rpartition("/")
    for pattern in (_AUGMENTOR, _PREFIXED):
        match = pattern.fullmatch(file)
        if match:
            source = f"{folder}{slash}{match['source']}"
            yield source
            yield _NUMBER.sub("", source)


def stated_groups(
    container: Container, images: Iterable[str], group: str | GroupColumn
) -> dict[str, str]:
    """Return the group of every image as the recipe states it.

    Args:
        container: Holds the table, if groups are in one.
        images: Names of all images.
        group: A regular expression with one group, or a column of a table.

    Raises:
        DataError: If an image has no group, or there is no such table.
    """
    names = [*images]
    if isinstance(group, str):
        matches = {name: re.search(group, name) for name in names}
        groups = {name: match[1] for name, match in matches.items() if match and match[1]}
        where = f"`data.group` '{group}'"
    else:
        groups = _column(container, names, group)
        where = f"the column '{group.column}' of {group.file}"
    lacking = [name for name in names if name not in groups]
    if lacking:
        shown = ", ".join(lacking[:_MAX_SHOWN]) + (", ..." if len(lacking) > _MAX_SHOWN else "")
        verb = "image has" if len(lacking) == 1 else "images have"
        raise DataError(
            f"{len(lacking):,} {verb} no group by {where}: {shown}",
            remedy="change `data.group` so that every image has a group; it may be the name of the "
            "image for those that stand alone",
        )
    return groups


def straddling(groups: Mapping[str, str], splits: Mapping[str, Split]) -> dict[str, list[str]]:
    """Return the images of each group that is in several splits.

    Args:
        groups: Image to group.
        splits: Image to split.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for name, split in splits.items():
        if name in groups and split:
            members[groups[name]].append(name)
    return {
        group: names
        for group, names in sorted(members.items())
        if len({splits[name] for name in names}) > 1
    }


def _without_splits(name: str) -> str:
    *folders, file = name.split("/")
    return "/".join([*(part for part in folders if not is_like_a_split(part)), file])


def _column(container: Container, images: list[str], group: GroupColumn) -> dict[str, str]:
    lookup = ImageLookup(images)
    table = image_table(container, group.file, lookup) if group.file in container.files else None
    if table is None or group.column not in table.header:
        what = "there is no such file"
        if group.file in container.files:
            what = "no column of it names the images"
            if table is not None:
                what = f"it has the columns {', '.join(table.header)}"
        raise DataError(
            f"`data.group` names the column '{group.column}' of '{group.file}', but {what}",
            remedy="write `data: {group: {file: ..., column: ...}}` with a CSV below the data path",
        )
    column = table.header.index(group.column)
    groups: dict[str, str] = {}
    for row in table.rows:
        for image in lookup.find(row.cells[table.file_column], table.file):
            if row.cells[column]:
                groups[image] = row.cells[column]
    return groups
