"""Token ids of an image, since datasets hold images: those of its first red and green pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LENGTH, VOCABULARY = 4, 20
# Neither in the alphabetical order nor called as the arguments of the network.
NAMES = ("words", "types")


def tokens_of(images: NDArray[np.uint8]) -> dict[str, NDArray[np.int32]]:
    """Return the ids `(N, LENGTH)` of each input for images `(N, H, W, 3)`."""
    import numpy as np

    ids = images[:, 0, :LENGTH].astype(np.int32) % VOCABULARY
    return {name: ids[:, :, channel] for channel, name in enumerate(NAMES)}
