"""The names by which folders and files say which split they hold; every layout reads them here."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from edgetl.types import Split

_SPELLINGS: Mapping[Split, tuple[str, ...]] = {
    Split.TRAIN: ("train", "training", "trn", "trainval"),
    Split.VAL: ("val", "valid", "validation", "validate", "validating", "dev", "development"),
    Split.TEST: ("test", "testing", "tst", "eval", "evaluation", "evaluate", "holdout"),
}
_FOREIGN: Mapping[Split, tuple[str, ...]] = {
    Split.TRAIN: (
        *("trainings", "entrainement", "entra\u00eenement", "apprentissage", "entrenamiento"),
        *("treino", "treinamento", "addestramento", "\u8bad\u7ec3", "\u8bad\u7ec3\u96c6"),
    ),
    Split.VAL: (
        *("validierung", "validierungs", "validacion", "validaci\u00f3n", "validacao"),
        *("valida\u00e7\u00e3o", "validazione", "\u9a8c\u8bc1", "\u9a8c\u8bc1\u96c6"),
    ),
    Split.TEST: (
        "tests",
        "prueba",
        "pruebas",
        "teste",
        "testes",
        "\u6d4b\u8bd5",
        "\u6d4b\u8bd5\u96c6",
    ),
}
"""Spellings in German, French, Spanish, Portuguese, Italian and Chinese."""
_SPLIT_OF_WORD = {
    word: split
    for table in (_SPELLINGS, _FOREIGN)
    for split, words in table.items()
    for word in words
}
_FILLERS = frozenset(
    {"set", "sets", "data", "dataset", "datasets", "ds", "split", "splits", "subset", "part"}
    | {"image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "frames"}
    | {"sample", "samples", "examples", "file", "files", "folder", "dir", "seg"}
    | {"classes", "label", "labels", "labeled", "labelled", "all", "only", "full", "raw", "final"}
    | {"jpg", "jpeg", "png", "resized", "cropped", "daten", "datensatz", "satz", "bilder"}
)
"""Words beside the name of a split that say nothing about classes: `seg_train`, `Test Images`."""
_GLUED = re.compile(
    "(?P<before>{fillers})?(?P<split>{splits})(?P<after>{fillers})?".format(
        splits="|".join(sorted(_SPLIT_OF_WORD, key=len, reverse=True)),
        fillers="|".join(sorted((word for word in _FILLERS if len(word) > 2), key=len)),  # noqa: PLR2004
    )
)
_NUMBER = re.compile(r"\d+(?:x\d+)*")
_WORD = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")

KNOWN_SPLITS = "; ".join(f"{split}: {', '.join(words)}" for split, words in _SPELLINGS.items())
"""All spellings, for messages. Case, numbers and words like `set` or `images` do not matter."""


def split_of(name: str) -> Split | None:
    """Return the split that the name of one folder stands for: `Training`, `test_set`, `val2017`.

    None if there is another word in it, since `train station` is a class.
    """
    splits, rest = _parse(name)
    return None if rest else _single(splits)


def splits_of(names: Iterable[str]) -> dict[str, Split]:
    """Return the splits that the names of neighbouring folders stand for, by name.

    Names with other words count if the same words occur with another split: `signs_train` beside
    `signs_test`.
    """
    splits: dict[str, Split] = {}
    alike: dict[tuple[str, ...], dict[str, Split]] = defaultdict(dict)
    for name in names:
        words, rest = _parse(name)
        split = _single(words)
        if split and rest:
            alike[rest][name] = split
        elif split:
            splits[name] = split
    for members in alike.values():
        if len(set(members.values())) > 1:
            splits |= members
    return splits


def is_like_a_split(name: str) -> bool:
    """Return whether a name has nothing but words of splits: also `test-dev`, which is none."""
    splits, rest = _parse(name)
    return bool(splits) and not rest


def words_beside(name: str) -> tuple[str, ...]:
    """Return the words of a name that are neither of a split nor without meaning."""
    return _parse(name)[1]


def split_in(text: str) -> Split | None:
    """Return the split that the first fitting word of a file name stands for."""
    for word in _words(text):
        if word in _SPLIT_OF_WORD:
            return _SPLIT_OF_WORD[word]
    return None


def splits_in_names(names: Iterable[str]) -> dict[str, Split]:
    """Return the splits that the first or last word of each name stands for: `train_0001`.

    Empty unless every name has one and one of several splits is that for training.
    """
    splits: dict[str, Split] = {}
    for name in names:
        words = _words(name)
        ends = [word for word in (*words[:1], *words[-1:]) if word in _SPLIT_OF_WORD]
        if not ends:
            return {}
        splits[name] = _SPLIT_OF_WORD[ends[0]]
    several = set(splits.values())
    return splits if len(several) > 1 and Split.TRAIN in several else {}


class SplitFolders:
    """The splits that the folders of some files stand for."""

    def __init__(self, files: Iterable[str]) -> None:
        inside: dict[str, set[str]] = defaultdict(set)
        for folder in {name.rpartition("/")[0] for name in files} - {""}:
            while folder:
                parent, _, name = folder.rpartition("/")
                inside[parent].add(name)
                folder = parent  # noqa: PLW2901 - walks up
        self._splits = {
            f"{parent}/{name}" if parent else name: split
            for parent, names in inside.items()
            for name, split in splits_of(sorted(names)).items()
        }

    def of(self, file: str) -> Split | None:
        """Return the split of the innermost folder around a file that stands for one."""
        folder = file.rpartition("/")[0]
        while folder:
            if folder in self._splits:
                return self._splits[folder]
            folder = folder.rpartition("/")[0]
        return None


def _parse(name: str) -> tuple[frozenset[Split], tuple[str, ...]]:
    """Return the splits that are named in a name, and its other words; fillers are neither."""
    splits: set[Split] = set()
    rest: list[str] = []
    for word in _words(name):
        glued = _GLUED.fullmatch(word)
        if glued:
            splits.add(_SPLIT_OF_WORD[glued["split"]])
        elif word not in _FILLERS:
            rest.append(word)
    return frozenset(splits), tuple(rest)


def _single(splits: frozenset[Split]) -> Split | None:
    """Return the split that is meant: `train_val` is what is left for training beside a test."""
    if splits == {Split.TRAIN, Split.VAL}:
        return Split.TRAIN
    return next(iter(splits)) if len(splits) == 1 else None


def _words(name: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(_HUMP.sub(" ", _NUMBER.sub(" ", name)))]
