"""The contract of a quantizer: from the float32 file of one format to a smaller one.

A file in this folder defines ``QUANTIZER``, and ``EXTRA``, the extra that it needs. Neither
frameworks nor numpy are imported before `Quantizer.quantize` runs, so that a plan can be checked
without them; `_isolated` does the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgetl.config.calibration import Int8Table
from edgetl.plugins import Slot
from edgetl.types import Facts, Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CALIBRATED = frozenset({Precision.INT8, Precision.W8A16})
"""Precisions whose activation ranges come from calibration images."""


class Quantizer(Protocol):
    """Makes every other precision of a format from its float32 file."""

    @property
    def version(self) -> int:
        """Return a number that is raised whenever equal arguments give other bytes than before."""

    @property
    def reads(self) -> str:
        """Return the format that is read and written; one quantizer per format."""

    @property
    def requires(self) -> tuple[str, ...]:
        """Return the importable modules that `quantize` needs."""

    @property
    def tools(self) -> tuple[str, ...]:
        """Return the distributions whose version may change the bytes."""

    @property
    def precisions(self) -> frozenset[Precision]:
        """Return what can be made; never fp32."""

    @property
    def estimators(self) -> frozenset[str]:
        """Return the values of `RangeTable.estimator` that int8 can use.

        ``w8a16`` always reaches all values: 16 bits have steps to spare.
        """

    def quantize(
        self,
        model: Path,
        images: NDArray[np.uint8],
        precision: Precision,
        settings: Int8Table,
        out: Path,
    ) -> Facts:
        """Write the model in `precision` into the folder `out`, under the same file names.

        Equal arguments give equal bytes. Names and shapes of inputs and outputs are kept. The
        input's range is 0..255 whatever the images hold. Nothing is printed.

        Args:
            model: What the format's exporter wrote, with its other files beside it.
            images: For calibration, shape ``(N, H, W, 3)``, RGB; none are read for fp16.
            precision: One of `precisions`.
            settings: How an int8 file follows from the images; the wider precisions ignore it.
            out: An existing folder.

        Returns:
            ``float_operations``: how many operations of which kind still compute in float32, by
            the format's name of the kind; it explains an int8 file that is slower than its float
            one. For int8 also ``range`` as it was used, ``tail``, the operations that
            `FloatTable.tail` left in float, and what was tried, each with its ``error`` (see
            `edgetl.quantizers._search`): ``estimators``, ``convolutions`` with the worst first, of
            which the asked number is in float (empty where int8 harms none), and ``held_out``, the
            images that judged.

        Raises:
            EdgetlError: If the model cannot be quantized.
        """


QUANTIZERS: Slot[Quantizer] = Slot(
    "edgetl.quantizers", "QUANTIZER", "quantizer", "edgetl.quantizers"
)


def for_format(name: str) -> str | None:
    """Return the name of the quantizer that reads the format `name`; None if there is none."""
    return next(
        (found for found in QUANTIZERS.names() if QUANTIZERS.load(found).reads == name), None
    )
