from __future__ import annotations

import torch
from torch import Tensor, nn

from edgetl.nn.layers import RawPixels


def test_raw_pixels_are_scaled_normalised_and_put_channels_first() -> None:
    network = RawPixels(nn.Identity(), mean=(0.5, 0.0, 0.2), std=(0.5, 1.0, 0.1))
    image = torch.tensor([[[[255.0, 0.0, 51.0], [0.0, 255.0, 76.5]]]])

    normalised = network(image)

    assert normalised.shape == (1, 3, 1, 2)
    # By hand: (255/255 - 0.5) / 0.5 = 1, (0 - 0.5) / 0.5 = -1; 0 and 1 stay;
    # (51/255 - 0.2) / 0.1 = 0, (76.5/255 - 0.2) / 0.1 = 1.
    expected = torch.tensor([[[[1.0, -1.0]], [[0.0, 1.0]], [[0.0, 1.0]]]])
    torch.testing.assert_close(normalised, expected, atol=1e-6, rtol=0)


def test_constants_of_the_normalisation_travel_with_the_network() -> None:
    network = RawPixels(nn.Identity(), mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))

    assert set(network.state_dict()) == {"mean", "scale"}
    assert not list(network.parameters())


def test_pixels_that_are_taken_as_they_are_cost_no_operation() -> None:
    network = RawPixels(nn.Identity(), mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))
    pixels = torch.tensor([[[[0.0, 101.0, 255.0]]]])

    program = torch.export.export(network.eval(), (pixels,))
    operations = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]

    assert operations == ["aten.permute.default"]
    assert network(pixels).flatten().tolist() == [0.0, 101.0, 255.0]


def test_several_outputs_pass_as_they_are() -> None:
    class Two(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return images + 1, images - 1

    more, less = RawPixels(Two(), mean=(0, 0, 0), std=(1, 1, 1))(torch.zeros(1, 1, 1, 3))

    assert more.flatten().tolist() == [1.0, 1.0, 1.0]
    assert less.flatten().tolist() == [-1.0, -1.0, -1.0]


def test_constants_of_a_row_of_pixels_change_no_bit() -> None:
    constants = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    image = torch.randint(0, 256, (2, 4, 5, 3), generator=torch.Generator().manual_seed(0)).float()

    wide = RawPixels(nn.Identity(), *constants, row=5)

    assert wide.state_dict()["mean"].shape == (5, 3)
    assert torch.equal(wide(image), RawPixels(nn.Identity(), *constants)(image))
