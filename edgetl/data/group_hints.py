"""Recognise images that belong together: frames of a video, images of a patient, pairs of sensors.

Split by chance, they would be in training and test alike. Nothing is grouped here: the hint has the
line of the recipe that groups them. Class folders with `img_0001.jpg`, `img_0002.jpg`, ... are
ordinary; there must be several groups with several images each, in most classes.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from posixpath import basename, splitext

from edgetl.data.groups import straddling
from edgetl.data.listing import Listing
from edgetl.data.sources._class_names import are_parts, is_holder
from edgetl.data.sources._csv import ImageTable, plain
from edgetl.data.sources._lookup import ImageLookup
from edgetl.data.split_names import is_like_a_split
from edgetl.types import Split

_SUBJECTS = (
    *("patient", "subject", "participant", "person", "volunteer", "specimen", "individual"),
    *("video", "clip", "sequence", "scene", "session", "recording", "slide"),
)
"""Words that a number follows in the names of images of one subject, or of one recording."""
_COLUMNS = frozenset(
    {"case", "caseid", "lesion", "lesionid", "study", "studyid", "group", "groupid", "eyeid"}
    | {f"{word}{end}" for word in _SUBJECTS for end in ("", "id", "name", "number", "no")}
)
"""Names of columns that say what an image belongs to, without anything but letters."""
_RECORDING = re.compile(r"frame|mvi|gopro|dji|take|shot|track|cam(?![^\W\d_])", re.IGNORECASE)
"""In what stands in front of the number of a frame."""
_FRAME = r"([^/]*[^/\d])\d+\.\w+$"
_FRAME_NUMBER = re.compile(r"(\d+)\.\w+$")
_EXPORTED = r"([^/]+)_(?:mp4|mov|avi|mkv|webm|MP4|MOV|AVI)-\d+"
"""A frame that Roboflow took of a video: `belt_mp4-12_jpg.rf.HASH.jpg`."""
_SENSORS = "rgb|ir|nir|tir|swir|thermal|infrared|visible|vis|left|right"
_PAIR = re.compile(rf"[\s_.-]({_SENSORS})\.\w+$", re.IGNORECASE)
_PAIR_START = re.compile(rf"(?:^|/)({_SENSORS})[\s_.-][^/]+\.\w+$", re.IGNORECASE)
_PAIR_FOLDER = re.compile(rf"(?:^|/)({_SENSORS})/(?:[^/]+/)*[^/]+$", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_MIN_GROUPS = 3
_MIN_RUN = 3
"""Frames of a video."""
_MIN_SHARE = 0.5
"""Of the images, those in groups of several."""
_MIN_SHARE_STATED = 0.1
"""Likewise, where a column says so."""
_MIN_STEADY = 0.8
"""Of the steps between the numbers of frames, those that are equal."""
_MAX_SHOWN = 3

_Groups = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A way to group the images."""

    what: str
    """Kind of groups, for the hint."""
    entry: str
    """The value of `data.group`, as YAML."""
    groups: _Groups


def group_hint(listing: Listing, tables: Sequence[ImageTable]) -> str:
    """Return what images seem to belong together and how to state it; empty if none do.

    Args:
        listing: Images with their classes and splits.
        tables: Those that name images.
    """
    names = [sample.name for sample in listing.samples]
    given = {sample.name: sample.split for sample in listing.samples if sample.split}
    labels = {sample.name: sample.label for sample in listing.samples}
    for candidate in (*_columns(tables, names), *_by_names(names, labels)):
        if not _are_likely(candidate, labels):
            continue
        across = straddling(_by_image(candidate.groups), given)
        if across:
            return _hint(
                candidate,
                f"{len(across):,} of them are in several splits",
                "move the images of each into one split; what is left is refused with",
            )
        if not {Split.VAL, Split.TEST} <= listing.given:
            return _hint(
                candidate, "a split by chance would divide them", "keep each in one split with"
            )
    return ""


def _hint(candidate: _Candidate, danger: str, remedy: str) -> str:
    several = sorted(name for name, members in candidate.groups.items() if len(members) > 1)
    count = sum(len(candidate.groups[name]) for name in several)
    more = ", ..." if len(several) > _MAX_SHOWN else ""
    return (
        f"{count:,} images seem to be of {len(several):,} {candidate.what} "
        f"({', '.join(several[:_MAX_SHOWN])}{more}), and {danger}, so that measured accuracy may "
        f"be too high; {remedy} `data: {{group: {candidate.entry}}}`"
    )


def _are_likely(candidate: _Candidate, labels: Mapping[str, str]) -> bool:
    """Return whether several groups have several images, in most classes.

    By names, images of different classes are no group: each class may count from 1.
    """
    stated = candidate.entry.startswith("{")
    several: set[str] = set()
    num_images = 0
    in_class: dict[str, set[str]] = defaultdict(set)
    for name, members in candidate.groups.items():
        counts = Counter(labels[image] for image in members)
        largest = max(counts.values(), default=0)
        if (len(members) if stated else largest) > 1:
            several.add(name)
            num_images += len(members)
        for label in counts:
            in_class[label].add(name)
    least = _MIN_SHARE_STATED if stated else _MIN_SHARE
    with_several = sum(len(each) > 1 for each in in_class.values())
    return (
        len(several) >= _MIN_GROUPS
        and num_images >= least * len(labels)
        and with_several > len(in_class) / 2
    )


def _columns(tables: Sequence[ImageTable], names: Sequence[str]) -> Iterator[_Candidate]:
    lookup = ImageLookup(names)
    for table in tables:
        for position in table.other_columns:
            if not table.has_header or plain(table.header[position]) not in _COLUMNS:
                continue
            groups: dict[str, list[str]] = defaultdict(list)
            for row in table.rows:
                images = lookup.find(row.cells[table.file_column], table.file)
                if len(images) == 1 and row.cells[position]:
                    groups[row.cells[position]].append(images[0])
            unique = {name: sorted(set(members)) for name, members in groups.items()}
            column = table.header[position]
            yield _Candidate(
                f"groups, by the column '{column}' of {table.file}",
                f"{{file: {_quoted(table.file)}, column: {_quoted(column)}}}",
                unique,
            )


def _by_names(names: Sequence[str], labels: Mapping[str, str]) -> Iterator[_Candidate]:
    yield from _candidates(names, _EXPORTED, "videos", lambda _: True)
    yield from _folders(names, labels)
    for word in _SUBJECTS:
        if sum(word in name.casefold() for name in names) >= _MIN_SHARE * len(names):
            pattern = rf"(?i)({word}[\s_-]*\d+)"
            yield from _candidates(names, pattern, f"{word}s, by their names", lambda _: True)
    are_frames = partial(_are_frames, labels=labels)
    yield from _candidates(names, _FRAME, "recordings, by the numbers of their names", are_frames)
    yield from _pairs(names)


def _folders(names: Sequence[str], labels: Mapping[str, str]) -> Iterator[_Candidate]:
    """Yield the groups by the outermost folder in each class, if such folders only count."""
    inside = {name: _inside(name, labels[name]) for name in names}
    depths = {len(each) for each in inside.values()}
    by_class: dict[str, set[str]] = defaultdict(set)
    for name, folders in inside.items():
        by_class[labels[name]].update(folders[:1])
    own = set().union(*by_class.values())
    if len(depths) != 1 or 0 in depths or are_parts(own) or any(map(_is_known, own)):
        return
    if not all(len(each) == 1 or _only_count(each) for each in by_class.values()):
        return
    below = "/[^/]+" * min(depths) + "$"
    unique = sum(map(len, by_class.values())) == len(own)
    pattern = ("([^/]+)" if unique else "([^/]+/[^/]+)") + below
    yield from _candidates(names, pattern, "recordings, by their folders", lambda _: True)


def _inside(name: str, label: str) -> list[str]:
    """Return the folders around an image inside that of its class; the last one without a class."""
    *folders, _ = name.split("/")
    if label not in folders:
        return folders[-1:]
    return folders[folders.index(label) + 1 :]


def _is_known(folder: str) -> bool:
    """Return whether a folder has the name of a split, or of one for the images of a camera."""
    return is_like_a_split(folder) or is_holder(folder)


def _candidates(
    names: Sequence[str], pattern: str, what: str, accepts: Callable[[_Groups], bool]
) -> Iterator[_Candidate]:
    """Yield the groups by a pattern, if they are accepted; other images are alone."""
    fitting = re.compile(pattern)
    groups: dict[str, list[str]] = defaultdict(list)
    rest: list[str] = []
    for name in names:
        match = fitting.search(name)
        if match:
            groups[match[1]].append(name)
        else:
            rest.append(name)
    if not groups or not accepts(groups):
        return
    if rest:
        pattern = f"{pattern[:-1]}|[^/]+$)" if pattern.endswith(")") else ""
    if pattern:
        alone = {basename(name): [name] for name in rest}
        yield _Candidate(what, f"'{pattern}'", {**alone, **groups})


def _are_frames(groups: _Groups, labels: Mapping[str, str]) -> bool:
    """Return whether most images are in runs of numbers after names of recordings."""
    runs = {name: members for name, members in groups.items() if _is_run(members)}
    if sum(map(len, runs.values())) < _MIN_SHARE * sum(map(len, groups.values())):
        return False
    by_class: dict[str, set[str]] = defaultdict(set)
    for name, members in runs.items():
        by_class[labels[members[0]]].add(name)
    return all(map(_RECORDING.search, runs)) or all(map(_only_count, by_class.values()))


def _is_run(names: Sequence[str]) -> bool:
    """Return whether the numbers at the end of names have equal steps, as those of frames have."""
    matches = (_FRAME_NUMBER.search(name) for name in names)
    numbers = sorted({int(match[1]) for match in matches if match})
    if len(numbers) < _MIN_RUN:
        return False
    steps = Counter(after - before for before, after in pairwise(numbers))
    return steps.most_common(1)[0][1] >= _MIN_STEADY * (len(numbers) - 1)


def _only_count(names: set[str]) -> bool:
    """Return whether names differ in numbers alone: `clip01_`, `clip02_`."""
    return (
        len(names) > 1
        and all(map(_DIGITS.search, names))
        and len({_DIGITS.sub("", name).casefold() for name in names}) == 1
    )


def _pairs(names: Sequence[str]) -> Iterator[_Candidate]:
    """Yield pairs of two sensors, by the ends of their names or by their folders."""
    for find, where in ((_PAIR, "names"), (_PAIR_START, "names"), (_PAIR_FOLDER, "folders")):
        matches = {name: match for name in names if (match := find.search(name))}
        sensors = sorted({match[1] for match in matches.values()})
        if len(sensors) < 2 or len(matches) < len(names):  # noqa: PLR2004
            continue
        either = "|".join(sensors)
        pattern = rf"([^/]+)[\s_.-](?:{either})\.\w+$"
        if find is _PAIR_START:
            pattern = rf"(?:{either})[\s_.-]([^/]+)\.\w+$"
        elif find is _PAIR_FOLDER:
            pattern = rf"(?:{either})/(?:.+/)?([^/]+)\.\w+$"
        elif all("/" in name for name in names):  # stems may repeat in other folders
            pattern = f"([^/]+/{pattern[1:]}"
        kinds = {sensor.casefold() for sensor in sensors}

        def have_all(groups: _Groups, count: int = len(kinds)) -> bool:
            stems = {stem: {splitext(name)[0] for name in each} for stem, each in groups.items()}
            return sum(len(each) >= count for each in stems.values()) > len(stems) / 2

        what = f"pairs of {' and '.join(sensors)}, by their {where}"
        yield from _candidates(names, pattern, what, have_all)


def _by_image(groups: _Groups) -> dict[str, str]:
    return {image: name for name, members in groups.items() for image in members}


def _quoted(text: str) -> str:
    """Return a text as YAML reads it in a table on one line."""
    plain_text = re.fullmatch(r"[A-Za-z][\w./-]*", text)
    return text if plain_text else "'{}'".format(text.replace("'", "''"))
