from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from edgetl.nn.detector import DecodedDetector
from edgetl.nn.yolox import RawDetections


class Fixed(nn.Module):
    """Answers the same to everything."""

    def __init__(self, raw: RawDetections) -> None:
        super().__init__()
        self.raw = raw

    def forward(self, images: Tensor) -> RawDetections:
        del images
        return self.raw


def test_boxes_are_shares_of_the_input_and_scores_products_of_probabilities() -> None:
    offsets = torch.zeros(1, 8, 4)
    # Stride 8, row 1, column 2: centre (20, 10), 16 wide, 4 high, of 32 x 16 pixels.
    offsets[0, 6] = torch.tensor([0.5, 0.25, math.log(2.0), math.log(0.5)])
    objectness, classes = torch.zeros(1, 8, 1), torch.zeros(1, 8, 2)
    objectness[0, 6], classes[0, 6] = math.log(3.0), torch.tensor([math.log(4.0), 0.0])
    detector = DecodedDetector(
        Fixed(RawDetections(offsets, objectness, classes)), height=16, width=32, strides=(8,)
    )

    boxes, scores = detector(torch.zeros(1, 3, 16, 32))

    assert boxes[0, 6].tolist() == pytest.approx([12 / 32, 8 / 16, 28 / 32, 12 / 16])
    assert scores[0, 6].tolist() == pytest.approx([0.75 * 0.8, 0.75 * 0.5])
    assert boxes.shape == (1, 8, 4)
    assert scores.shape == (1, 8, 2)


def test_boxes_end_at_the_border_of_the_input() -> None:
    offsets = torch.full((1, 2, 4), 4.0)
    raw = RawDetections(offsets, torch.zeros(1, 2, 1), torch.zeros(1, 2, 1))
    detector = DecodedDetector(Fixed(raw), height=8, width=16, strides=(8,))

    boxes, _ = detector(torch.zeros(1, 3, 8, 16))

    assert boxes.min() == 0.0
    assert boxes.max() == 1.0
