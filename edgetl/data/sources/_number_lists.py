"""Compare lists of images and class numbers with class folders: `train.txt` of ImageNet exports.

A line is a path and a number (`cat/1.jpg 0`). `synsets.txt`, or another text with the names of all
classes, says which name has which number; without it, the folders of most images do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgetl.data.container import Container
from edgetl.data.listing import Sample
from edgetl.data.sources._files import read_text, with_suffix
from edgetl.data.sources._lookup import ImageLookup
from edgetl.errors import DataError, first_of

_LINE = re.compile(r"(?P<path>.+?)[\s,;]+(?P<number>\d+)")
_MIN_AGREED = 0.7
"""Of the lines, those that agree with the folders if the numbers are those of classes."""
_MAX_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Numbered:
    """An image in a list."""

    image: str
    number: int
    line: int


def agreeing_lists(container: Container, samples: Sequence[Sample]) -> tuple[str, ...]:
    """Return the lists whose class numbers agree with the folders, and the files with names.

    Args:
        container: The files.
        samples: Images that are labelled by their folders.

    Raises:
        DataError: If a list agrees for most images and contradicts the folders for others.
    """
    labels = {sample.name: sample.label for sample in samples}
    lookup = ImageLookup(labels)
    texts = with_suffix(container, ".txt", ".lst")
    names = {each: lines for each in texts if (lines := _names(container, each, labels))}
    agreed: list[str] = []
    for file in texts:
        numbered = [*_numbered(container, file, lookup)]
        if numbered:
            named_in, classes = _classes(numbered, labels, names)
            wrong = [each for each in numbered if classes.get(each.number) != labels[each.image]]
            if len(wrong) > (1 - _MIN_AGREED) * len(numbered):
                continue
            if wrong:
                raise _contradiction(file, named_in, wrong, classes)
            agreed += [file, *([named_in] if named_in else [])]
    return tuple(dict.fromkeys(agreed))


def _numbered(container: Container, file: str, lookup: ImageLookup) -> Iterator[_Numbered]:
    """Yield the images of a list; nothing if a line is not a path and a number."""
    images: list[_Numbered] = []
    for number, line in enumerate(_lines(container, file), start=1):
        match = _LINE.fullmatch(line)
        matches = lookup.find(match["path"], file) if match else []
        if match is None or len(matches) != 1:
            return
        images.append(_Numbered(matches[0], int(match["number"]), number))
    yield from images


def _names(container: Container, file: str, labels: Mapping[str, str]) -> list[str]:
    """Return the lines of a text that has nothing but the names of all classes; else empty."""
    lines = _lines(container, file)
    return lines if sorted(lines) == sorted(set(labels.values())) else []


def _classes(
    numbered: Sequence[_Numbered], labels: Mapping[str, str], names: Mapping[str, list[str]]
) -> tuple[str, dict[int, str]]:
    """Return the file that names the numbers, and the class of each; of most images without it."""
    for file, lines in names.items():
        return file, dict(enumerate(lines))
    counts = Counter((each.number, labels[each.image]) for each in numbered)
    classes: dict[int, str] = {}
    for (number, label), _ in counts.most_common():
        if number not in classes and label not in classes.values():
            classes[number] = label
    return "", classes


def _contradiction(
    file: str, named_in: str, wrong: Sequence[_Numbered], classes: Mapping[int, str]
) -> DataError:
    by = f" in {named_in}" if named_in else " for most images"
    shown = [
        f"{file}:{each.line}: '{each.image}' is {each.number}, "
        + (f"which is '{classes[each.number]}'{by}" if each.number in classes else "no class" + by)
        for each in wrong[:_MAX_SHOWN]
    ]
    verb = "line contradicts" if len(wrong) == 1 else "lines contradict"
    return DataError(
        f"{len(wrong):,} {verb} the folders: {first_of(shown, _MAX_SHOWN)}",
        remedy=f"move these images, fix {file}, or read the folders alone with `data: {{layout: "
        "folder}`",
    )


def _lines(container: Container, file: str) -> list[str]:
    try:
        return [line.strip() for line in read_text(container, file).splitlines() if line.strip()]
    except ValueError:
        return []
