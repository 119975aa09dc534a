"""The contract of a data layout: which photos there are, of which class, in which split.

A source looks at names only, so that planning stays fast; contents are read when the data are
indexed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgetl.data.container import Container
from edgetl.errors import DataError
from edgetl.plugins import Slot
from edgetl.types import Split


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled photo, as its layout says."""

    name: str
    """POSIX path below the data path."""
    label: str
    """Name of its class."""
    split: Split | None
    """None where the layout has no splits."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a layout holds, by names alone."""

    samples: tuple[Sample, ...]
    """Sorted by name."""
    classes: tuple[str, ...]
    """Sorted; with those that have no photo."""
    given: frozenset[Split]
    """Splits that the layout has; none if it leaves the splitting to edgetl."""
    unlabelled: tuple[str, ...]
    """Photos that belong to no class."""
    others: tuple[str, ...]
    """Files that are no photos."""


class Source(Protocol):
    """A layout of labelled photos."""

    def recognises(self, container: Container) -> bool:
        """Return whether the files are laid out this way."""

    def list(self, container: Container) -> Listing:
        """Return what the layout holds.

        Raises:
            DataError: If the layout contradicts itself.
        """


SOURCES: Slot[Source] = Slot("edgetl.data.sources", "SOURCE", "data layout", {})


def list_samples(container: Container, path: str) -> Listing:
    """Return what the first layout that recognises `container` finds in it.

    Args:
        container: The files.
        path: What messages call the data.

    Raises:
        DataError: If no layout recognises it.
    """
    for name in SOURCES.names():
        source = SOURCES.load(name)
        if source.recognises(container):
            return source.list(container)
    raise DataError(
        f"no labelled photos found in '{path}'",
        remedy="expected one folder per class, or train/ val/ test/ with one folder per class each",
    )
