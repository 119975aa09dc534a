"""The contract of an exporter: from a torch module to one float32 file of one format.

A file in this folder defines ``EXPORTER``, and ``EXTRA``, the extra that it needs. Its name is the
format's name, and ``edgetl/runtime/engines/<format>.py`` runs the exported file. Frameworks are
imported inside `Exporter.export`, so that a plan can be checked without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgetl.plugins import Slot

if TYPE_CHECKING:
    from torch import Tensor, nn


class Exporter(Protocol):
    """Writes a torch module as a file of one format."""

    @property
    def version(self) -> int:
        """Return a number that is raised whenever the same module gives different bytes."""

    @property
    def format(self) -> str:
        """Return the format's name, which is the plug-in's name."""

    @property
    def file(self) -> str:
        """Return the name of the file that an engine opens."""

    @property
    def files(self) -> tuple[str, ...]:
        """Return the names of all files that are written, `file` first."""

    @property
    def requires(self) -> tuple[str, ...]:
        """Return the importable modules that `export` needs besides torch."""

    @property
    def tools(self) -> tuple[str, ...]:
        """Return the distributions whose version may change the bytes."""

    def export(
        self,
        module: nn.Module,
        examples: Mapping[str, Tensor],
        outputs: tuple[str, ...],
        out: Path,
    ) -> dict[str, str]:
        """Write `module` into the folder `out`.

        The same module gives the same bytes in every process and folder: no time, path, host or
        stack trace is stored. Nothing is printed. The weights stay float32. The file's inputs keep
        the names of `examples` if the format has names.

        Args:
            module: In evaluation mode; takes one positional argument per example and returns one
                tensor, or a tuple with one tensor per name in `outputs`. Not changed.
            examples: An input by name, in the order of the module's arguments, each with a batch of
                1: an image float32 ``(1, H, W, 3)`` in 0..255, RGB; token ids int32 or int64.
            outputs: Names of the outputs, in the order that `module` returns them.
            out: An existing folder.

        Returns:
            The tensor's name in the file by output name.

        Raises:
            EdgetlError: If the format cannot represent the module.
        """


EXPORTERS: Slot[Exporter] = Slot("edgetl.exporters", "EXPORTER", "exporter", "edgetl.exporters")
