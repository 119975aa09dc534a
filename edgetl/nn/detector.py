"""A detector as it is deployed: decoded in the graph, boxes and scores as two outputs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from edgetl.nn.boxes import Grid, decode, to_corners
from edgetl.nn.yolox import RawDetections


class DecodedDetector(nn.Module):
    """A detector that returns boxes and scores instead of raw offsets and logits.

    The two are never joined into one tensor: in int8 they would share one scale, and scores below
    one step of it would be lost.
    """

    corners: Tensor
    steps: Tensor

    def __init__(
        self, module: nn.Module, *, height: int, width: int, strides: Sequence[int]
    ) -> None:
        """Wrap `module`.

        Args:
            module: Takes `(N, 3, height, width)` and returns `RawDetections`; not copied.
            height: Of the input, pixels; a multiple of every stride.
            width: Of the input, pixels; a multiple of every stride.
            strides: Of the module's maps, in the order of its locations.
        """
        super().__init__()
        self.module = module
        grid = Grid.of(height, width, strides)
        # As fractions of the input from the start, so that no large values have to be quantized.
        self.register_buffer("corners", grid.corners)
        size = grid.strides.new_tensor([[width, height]])
        self.register_buffer("steps", grid.strides / size)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes `(N, M, 4)`, xyxy in 0..1 of the input, and scores `(N, M, K)` in 0..1."""
        raw: RawDetections = self.module(images)
        boxes = to_corners(decode(raw.offsets, Grid(self.corners, self.steps)))
        # Nothing is visible beyond the border, and an outlier would use up the range of int8.
        return boxes.clamp(0.0, 1.0), raw.classes.sigmoid() * raw.objectness.sigmoid()
