"""What makes a model file a model folder: its contract, labels and golden samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.types import MIB

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from edgetl.runtime.contract import Contract


def complete(
    folder: Path,
    contract: Contract,
    pixels: NDArray[np.uint8],
    reference: Mapping[str, NDArray[np.float32]],
    images: Sequence[NDArray[np.uint8]],
) -> float:
    """Write contract, labels and golden samples beside the model file in `folder`.

    Args:
        folder: Holds the model file that `contract` names.
        contract: Of that file.
        pixels: Network inputs of the golden samples, shape ``(G, H, W, 3)``.
        reference: What the torch model answers to them, by output name, shape ``(G, ...)``.
        images: Source images, each ``(h, w, 3)``, RGB.

    Returns:
        The largest absolute difference between the file's answers and `reference`.
    """
    import numpy as np

    from edgetl.runtime import golden

    contract.save(folder)
    golden.record(folder, pixels, reference, images)
    recorded = golden.load(folder, list(reference)).recorded
    return max(float(np.abs(recorded[name] - reference[name]).max()) for name in reference)


def mib(size_bytes: int) -> str:
    """Return a size as people read it: ``1.4 MiB``."""
    return f"{size_bytes / MIB:.1f} MiB"
