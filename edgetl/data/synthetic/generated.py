"""What is the same for all images that are made on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

from edgetl.data.near_copies import Sketch


class GeneratedImages(ABC):
    """Images of one size that need not be looked at; the methods are those of `Images`."""

    @abstractmethod
    def size(self, name: str) -> tuple[int, int]:
        """Return the size that all have."""

    def check(self, name: str) -> tuple[int, int]:
        """Return the size, which is known."""
        return self.size(name)

    def orientation(self, name: str) -> int:
        """Return 1: they are upright."""
        del name
        return 1

    @property
    def levels(self) -> Mapping[str, int]:
        """Nothing: they have 8 bits."""
        return {}

    @property
    def sketches(self) -> Mapping[str, Sketch]:
        """Nothing: they are not compared."""
        return {}

    @property
    def plain(self) -> Collection[str]:
        """Nothing: they show something."""
        return ()

    @property
    def grey(self) -> Collection[str]:
        """Nothing: they have colours."""
        return ()

    @property
    def stacks(self) -> Collection[str]:
        """Nothing: each is one frame."""
        return ()
