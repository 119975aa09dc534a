"""What turns a model file into a model folder: its contract, labels and golden samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetl.types import MIB

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from edgetl.runtime.contract import Contract


def complete(
    folder: Path,
    contract: Contract,
    inputs: Mapping[str, NDArray[Any]],
    reference: Mapping[str, NDArray[np.float32]],
    images: Sequence[NDArray[np.uint8]],
) -> float:
    """Write contract, labels and golden samples beside the model files in `folder`.

    Args:
        folder: Holds the files that `contract` names.
        contract: Of these files.
        inputs: Of the golden samples, by the contract's names, shape ``(G, ...)``.
        reference: The torch model's outputs for them, by output name, shape ``(G, ...)``.
        images: Source images, each ``(h, w, 3)``, RGB; none if the model takes no image.

    Returns:
        The largest absolute difference between the file's outputs and `reference`.
    """
    import numpy as np

    from edgetl.runtime import golden

    contract.save(folder)
    golden.record(folder, inputs, reference, images)
    recorded = golden.load(folder, contract).recorded
    return max(float(np.abs(recorded[name] - reference[name]).max()) for name in reference)


def mib(size_bytes: int) -> str:
    """Return a size for display: ``1.4 MiB``."""
    return f"{size_bytes / MIB:.1f} MiB"
