"""Class names that are codes of a catalogue, and the table that has their names."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from edgetl.data.container import Container
from edgetl.data.listing import Listing, Sample
from edgetl.data.sources._files import read_text, with_suffix

OPEN_IMAGES = re.compile(r"/[mgt]/[\da-z_]+")
"""A class of Open Images, such as `/m/01yrx`."""
WORD_NET = re.compile(r"n\d{8}")
"""A class of ImageNet, such as `n02123045`."""
_COLUMNS = 2
_LOOKED_AT = 20


def with_names(listing: Listing, container: Container) -> Listing:
    """Return a listing in which codes of Open Images are names, where a table has these.

    The table is `class-descriptions.csv`, or another with a code and a name in each line.
    """
    codes = [each for each in listing.classes if OPEN_IMAGES.fullmatch(each)]
    file, names = _descriptions(container, codes) if codes else ("", {})
    if not names:
        return listing
    return replace(
        listing,
        samples=tuple(_named(sample, names) for sample in listing.samples),
        classes=tuple(sorted(names.get(each, each) for each in listing.classes)),
        labels=tuple(dict.fromkeys((*listing.labels, file))),
        others=tuple(name for name in listing.others if name != file),
    )


def _named(sample: Sample, names: Mapping[str, str]) -> Sample:
    boxes = tuple(replace(box, label=names.get(box.label, box.label)) for box in sample.boxes)
    return replace(sample, label=names.get(sample.label, sample.label), boxes=boxes)


def _descriptions(container: Container, codes: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the file that has names of most codes, and these; a name of several codes is none."""
    best: tuple[str, dict[str, str]] = ("", {})
    for file in with_suffix(container, ".csv", ".tsv"):
        table = _table(container, file)
        names = {code: table[code] for code in codes if table.get(code)}
        if len(names) > len(best[1]):
            best = (file, names)
    counts = Counter(best[1].values())
    return best[0], {code: name for code, name in best[1].items() if counts[name] == 1}


def _table(container: Container, file: str) -> dict[str, str]:
    """Return the second column by the first, if most lines have a code and a name."""
    try:
        text = read_text(container, file)
        rows = [*csv.reader(io.StringIO(text), delimiter="\t" if "\t" in text else ",")]
    except (ValueError, csv.Error):
        return {}
    rows = [row for row in rows if row]
    first = rows[:_LOOKED_AT]
    coded = [row for row in first if len(row) == _COLUMNS and OPEN_IMAGES.fullmatch(row[0])]
    if len(coded) * 2 < max(len(first), 1):
        return {}
    return {row[0]: row[1].strip() for row in rows if len(row) == _COLUMNS}
