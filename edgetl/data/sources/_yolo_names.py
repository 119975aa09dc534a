"""The class names of YOLO, and the splits in `data.yaml`.

`data.yaml` often comes from another machine: `path` may be absolute, `train` may begin with `../`
although the folder is next to the file. The longest existing ending of such a path is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from posixpath import dirname

from edgetl.config.recipe import Drop
from edgetl.data.container import Container
from edgetl.data.listing import LabelProblem
from edgetl.data.sources._files import ImageNames, composed, read_text, with_suffix
from edgetl.data.sources._yaml import read_table, read_yaml
from edgetl.errors import DataError
from edgetl.types import Fact, Split

_PLAIN_NAMES = ("classes.txt", "obj.names", "_darknet.labels")
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
"""Values of a key without content."""
_KEYS = (("train", Split.TRAIN), ("val", Split.VAL), ("test", Split.TEST))


@dataclass(frozen=True, slots=True)
class Names:
    """Class names and splits."""

    classes: tuple[str, ...]
    """Names, indexed by class number."""
    splits: Mapping[str, Split | None]
    """Split of each image; empty if no file defines splits."""
    files: tuple[str, ...]
    """The files with this information."""
    problems: tuple[LabelProblem, ...]
    num_key_columns: int = 0
    """Columns of key points that follow the box in each label line."""


def names_files(container: Container) -> tuple[str, ...]:
    """Return the YAML files with a key `names`, else the files with one name per line."""
    tables = tuple(
        name
        for name in with_suffix(container, ".yaml", ".yml")
        if "names" in read_table(container, name)
    )
    return tables or tuple(name for name in container.files if is_plain(name))


def is_plain(name: str) -> bool:
    """Return whether the file has one name per line, by its file name."""
    return name.rpartition("/")[2].lower() in _PLAIN_NAMES


def find_names(container: Container, images: Sequence[str]) -> Names:
    """Return the names of the classes and the splits.

    Raises:
        DataError: If there is no file with names, more than one, or a wrong one.
    """
    files = names_files(container)
    if not files:
        broken = _broken(container)
        but = "; ".join(f"{name} cannot be read: {reason}" for name, reason in broken.items())
        raise DataError(
            f"there are labels/*.txt, but {but or 'no data.yaml'}, so their classes have no names",
            remedy=f"fix {' or '.join(broken)} and save it as UTF-8 text, for example `names: "
            "[nut, screw]`"
            if broken
            else "write data.yaml next to them, for example `names: [nut, screw]`",
        )
    file = files[0]
    plain = {file: _plain_names(container, file) for file in files if is_plain(file)}
    # labelImg and Darknet exports repeat the names in each split, others write data.yaml twice.
    tables = {each: read_table(container, each) for each in files if each not in plain}
    repeated = plain or tables
    if any(repeated[each] != repeated[file] for each in files):
        raise DataError(
            f"several files define class names: {', '.join(files)}",
            remedy="exclude all but one with `data: {exclude: [...]}`",
        )
    if plain:
        return Names(_checked(file, plain[file]), {}, files, ())
    content = tables[file]
    classes = _classes(file, content["names"])
    if content.get("nc", str(len(classes))) != str(len(classes)):
        raise DataError(
            f"{file}: `nc` is not {len(classes)}, the number of names",
            remedy="fix `nc` or `names`",
        )
    splits, lists, problems = _splits(container, file, content, images)
    columns = _key_columns(file, content.get("kpt_shape"))
    return Names(classes, splits, (*files, *lists), tuple(problems), columns)


def _key_columns(file: str, shape: Fact) -> int:
    """Return the columns that key points take: `kpt_shape: [17, 3]` has 51."""
    if shape is None:
        return 0
    sides = shape if isinstance(shape, list) else []
    if len(sides) != 2 or not all(str(side).isdecimal() for side in sides):  # noqa: PLR2004
        raise DataError(
            f"{file}: `kpt_shape` must be two whole numbers, points and values per point",
            remedy="write for example `kpt_shape: [17, 3]`, or remove it",
        )
    return int(str(sides[0])) * int(str(sides[1]))


def _plain_names(container: Container, file: str) -> list[str]:
    # Empty lines would shift the names after them, so only trailing ones are ignored.
    return [line.strip() for line in _text(container, file).rstrip().splitlines()]


def _text(container: Container, file: str) -> str:
    try:
        return read_text(container, file)
    except ValueError as error:
        raise DataError(f"{file}: {error}", remedy="save it again as UTF-8 text") from error


def _broken(container: Container) -> dict[str, str]:
    """Return the reasons why YAML files cannot be read, by name."""
    reasons = {}
    for name in with_suffix(container, ".yaml", ".yml"):
        try:
            read_yaml(container, name)
        except ValueError as error:
            reasons[name] = str(error)
    return reasons


def _classes(file: str, names: Fact) -> tuple[str, ...]:
    if isinstance(names, dict):
        numbers = [str(number) for number in range(len(names))]
        if sorted(names) != sorted(numbers):
            raise DataError(
                f"{file}: the keys of `names` must be the numbers 0 to {len(names) - 1}",
                remedy="name every number from 0 on, also those that no label has, as the labels "
                "use them",
            )
        names = [names[number] for number in numbers]
    if not isinstance(names, list) or not names:
        raise DataError(
            f"{file}: `names` must be a list of class names, or a table of number: name",
            remedy="write for example `names: [nut, screw]`",
        )
    if any(isinstance(name, list | dict) for name in names):
        raise DataError(
            f"{file}: a name in `names` is not text", remedy="write every name in quotes"
        )
    return _checked(file, [name.strip() for name in names])


def _checked(file: str, names: Sequence[str]) -> tuple[str, ...]:
    if len(set(names)) < len(names) or "" in names:
        raise DataError(
            f"{file}: two classes have the same name, or one has none",
            remedy="give every class a unique name",
        )
    return tuple(names)


def _splits(
    container: Container, file: str, content: Mapping[str, Fact], images: Sequence[str]
) -> tuple[dict[str, Split | None], list[str], list[LabelProblem]]:
    """Return the split of each image in a split, the list files, and problems with their lines."""
    splits: dict[str, Split | None] = {}
    lists: list[str] = []
    problems: list[LabelProblem] = []
    path = content.get("path", "")
    base = path if isinstance(path, str) and path not in _NOTHING else ""
    resolver = _PathResolver(container, images, dirname(file), base)
    for key, split in _KEYS:
        value = content.get(key, "")
        for entry in value if isinstance(value, list) else [value]:
            if not isinstance(entry, str):
                raise DataError(
                    f"{file}: `{key}` must be a folder, a list file, or a list of these",
                    remedy=f"fix the line `{key}:`, or remove it",
                )
            if entry in _NOTHING:
                continue
            for image in resolver.find(file, key, entry, lists, problems):
                if splits.setdefault(image, split) is not split:
                    raise DataError(
                        f"{file}: image '{image}' is in {splits[image]} and in {split}",
                        remedy=f"use other images for `{key}`, or remove the line to let edgetl "
                        "split the images",
                    )
    return splits, lists, problems


class _PathResolver:
    """Resolves the paths in `data.yaml` to images."""

    def __init__(self, container: Container, images: Sequence[str], base: str, path: str) -> None:
        self._container = container
        self._images = [(composed(name), name) for name in images]
        self._base = base
        self._path = path
        self._by_name = ImageNames(images)
        self._folders = {folder for name, _ in self._images for folder in _above(name)}
        self._files = {composed(name): name for name in container.files}

    def find(
        self, file: str, key: str, entry: str, lists: list[str], problems: list[LabelProblem]
    ) -> list[str]:
        """Return the images below a folder, or those listed in a list file."""
        for parts in self._candidates(entry):
            place = composed("/".join(parts))
            if place in self._folders or not parts:
                prefix = f"{place}/" if place else ""
                return [image for name, image in self._images if name.startswith(prefix)]
            if place in self._files:
                lists.append(self._files[place])
                return self._listed(self._files[place], problems)
        raise DataError(
            f"{file}: there is no folder or list '{entry}' with images (`{key}`)",
            remedy=f"fix the line `{key}:`, or remove it",
        )

    def _candidates(self, entry: str) -> list[list[str]]:
        """Return the paths that an entry may refer to, longest first."""
        tail = f"{self._path}/{entry}"
        parts = [part for part in tail.replace("\\", "/").split("/") if part not in {"", "."}]
        while ".." in parts[1:]:
            position = parts.index("..", 1)
            if parts[position - 1] == "..":
                break
            del parts[position - 1 : position + 1]
        parts = [part for part in parts if part != ".."]
        base = [part for part in self._base.split("/") if part]
        ends = [parts[start:] for start in range(len(parts))] or [[]]
        return [prefix + end for end in ends for prefix in ([*base], [])]

    def _listed(self, file: str, problems: list[LabelProblem]) -> list[str]:
        listed = []
        for number, line in enumerate(_text(self._container, file).splitlines(), start=1):
            if not line.strip():
                continue
            images = self._by_name.ending(line.strip())
            if len(images) == 1:
                listed.append(images[0])
                continue
            what = f"{file}:{number}: there is no image '{line.strip()}'"
            if images:
                what = f"{file}:{number}: '{line.strip()}' matches {' and '.join(images)}"
            problems.append(LabelProblem("labels without an image", what, Drop.STRAY_LABELS))
        return listed


def _above(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
