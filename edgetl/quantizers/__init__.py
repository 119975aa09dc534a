"""The quantizer contract: turn the float32 file of a format into a smaller file of that format.

Each file in this folder defines ``QUANTIZER``, and ``EXTRA``, the extra it needs. Frameworks and
numpy are not imported until `Quantizer.quantize` runs, so a plan can be checked without them; see
`_isolated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgetl.config.calibration import Int8Table
from edgetl.plugins import Slot
from edgetl.quantizers._isolated import IsolatedQuantizer as IsolatedQuantizer
from edgetl.types import Facts, Precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATED = frozenset({Precision.INT8, Precision.W8A16})
"""Precisions whose activation ranges come from calibration images."""


class Quantizer(Protocol):
    """Converts the float32 file of one format to other precisions."""

    @property
    def version(self) -> int:
        """Return a number that is raised whenever equal arguments give other bytes than before."""

    @property
    def reads(self) -> str:
        """Return the format it reads and writes; there is one quantizer per format."""

    @property
    def requires(self) -> tuple[str, ...]:
        """Return the modules that `quantize` imports."""

    @property
    def tools(self) -> tuple[str, ...]:
        """Return the distributions whose version may change the bytes."""

    @property
    def precisions(self) -> frozenset[Precision]:
        """Return the supported precisions; never fp32."""

    @property
    def estimators(self) -> frozenset[str]:
        """Return the values of `RangeTable.estimator` supported for int8.

        ``w8a16`` always uses min-max ranges: 16 bits have enough steps for that.
        """

    def quantize(
        self,
        model: Path,
        samples: Mapping[str, NDArray[Any]],
        precision: Precision,
        settings: Int8Table,
        out: Path,
    ) -> Facts:
        """Write the model in `precision` to the folder `out`, keeping the file names.

        Equal arguments give equal bytes. Names and shapes of inputs and outputs do not change. The
        range of an image is 0..255, independent of the samples. Nothing is printed.

        Args:
            model: The file written by the format's exporter, next to its companion files.
            samples: Calibration samples by input name in the file: an image uint8
                ``(N, H, W, 3)``, RGB; tokens ``(N, ...)`` of the file's dtype. Unused for fp16.
            precision: One of `precisions`.
            settings: Settings for int8; the wider precisions ignore them.
            out: An existing folder.

        Returns:
            ``float_operations``: the number of operations that still compute in float32, per kind
            as the format names it; explains an int8 file that is slower than the float file. For
            int8 also ``range``, the settings in use; ``tail``, the operations that
            `FloatTable.tail` keeps in float; and the trials, each with its ``error`` (see
            `edgetl.quantizers._search`): ``estimators``; ``convolutions``, worst first, of which
            the requested number stays in float (empty if int8 harms none); and ``held_out``, the
            number of images used to compare.

        Raises:
            EdgetlError: If the model cannot be quantized.
        """


QUANTIZERS: Slot[Quantizer] = Slot(
    "edgetl.quantizers", "QUANTIZER", "quantizer", "edgetl.quantizers"
)


def for_format(name: str) -> str | None:
    """Return the name of the quantizer that reads the format `name`; None if there is none."""
    return next(
        (quantizer for quantizer in QUANTIZERS.names() if QUANTIZERS.load(quantizer).reads == name),
        None,
    )
