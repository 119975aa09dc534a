"""The files of a data path after a first look: what they are and which are no examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgetl.data.container import Container
from edgetl.data.listing import Ignored


@dataclass(frozen=True, slots=True)
class ScreenedContainer:
    """A container, and the results of one look at its files for all layouts."""

    container: Container
    files: tuple[str, ...]
    folders: tuple[str, ...]
    images: tuple[str, ...]
    """Visible images among the files, sorted, followed by excluded ones."""
    by_suffix: Mapping[str, tuple[str, ...]]
    """Visible files by their suffix in lower case."""
    odd_images: tuple[str, ...]
    """Images without the suffix of one, recognised by their content."""
    ignored: tuple[Ignored, ...]
    """Images that are no examples; they are not among the files, or hidden."""
    json_forms: Mapping[str, str]
    """What JSON files contain, see `edgetl.data.sources._json.Form`."""

    @property
    def excluded(self) -> tuple[str, ...]:
        """Files that the recipe excludes."""
        return self.container.excluded

    def read(self, name: str) -> bytes:
        """Return the content of a file; raises like `Container.read`."""
        return self.container.read(name)

    def digest(self, names: tuple[str, ...], digest_file: Callable[[Path], str]) -> str:
        """Return the digest of files."""
        return self.container.digest(names, digest_file)

    def close(self) -> None:
        """Close open files."""
        self.container.close()
