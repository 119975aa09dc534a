from __future__ import annotations

import pytest
import torch
from torch import nn

from edgetl.nn.folding import fold_focus, fold_norms
from edgetl.nn.yolox import ConvFactory, CrossStageDarknet, Focus


def focus_with_statistics() -> Focus:
    torch.manual_seed(3)
    focus = Focus(6, ConvFactory(depthwise=False, activation=nn.SiLU))
    norm = focus.conv.bn
    norm.load_state_dict(
        {**norm.state_dict(), "running_mean": torch.randn(6), "running_var": torch.rand(6) + 0.5}
    )
    return focus.eval()


def test_folded_focus_gives_the_same_outputs_at_every_pixel_and_border() -> None:
    holder = nn.Sequential(focus_with_statistics())
    images = torch.rand(2, 3, 20, 12, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        expected = holder(images)
        fold_focus(holder)
        outputs = holder(images)

    assert not any(isinstance(part, Focus) for part in holder.modules())
    # Up to 100 here: the same products, added in another order.
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-4)
    assert outputs.shape == (2, 6, 10, 6)


def test_focus_is_found_wherever_it_is_and_the_mode_stays() -> None:
    torch.manual_seed(0)
    network = CrossStageDarknet(4, 1, ConvFactory(depthwise=True, activation=nn.SiLU)).eval()
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(images)
        fold_focus(network)
        outputs = network(images)

    assert not any(part.training for part in network.modules())
    for one, other in zip(outputs, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_norm_behind_a_convolution_becomes_part_of_it() -> None:
    conv, norm = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0.0)
    with torch.no_grad():
        conv.weight.fill_(3.0)
        norm.weight.fill_(5.0)
        norm.bias.fill_(7.0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.fill_(2.0)
    norm.running_var.fill_(4.0)
    network = nn.Sequential(conv, norm, nn.ReLU()).eval()
    fold_norms(network)
    # (3 x - 2) / 2 * 5 + 7 = 7.5 x + 2.
    folded = network[0]
    assert isinstance(folded, nn.Conv2d)
    assert folded.bias is not None
    assert (folded.weight.item(), folded.bias.item()) == (7.5, 2.0)
    assert [type(part) for part in network] == [nn.Conv2d, nn.Identity, nn.ReLU]


class Crossed(nn.Module):
    """Two branches whose children stand in another order than the data flows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.norm_of_input = nn.BatchNorm2d(2)
        self.norm_of_conv = nn.BatchNorm2d(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the sum of both branches, of the shape of `images`."""
        output: torch.Tensor = self.norm_of_conv(self.conv(images)) + self.norm_of_input(images)
        return output


class Tapped(nn.Module):
    """A convolution whose output is read by a norm, and by something else."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return a shape like that of `images`."""
        maps = self.conv(images)
        output: torch.Tensor = self.norm(maps) + maps
        return output


class Repeated(nn.Module):
    """A convolution and its norm that run twice, and a convolution that shares its norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return a shape like that of `images`."""
        output: torch.Tensor = self.norm(self.conv(self.norm(self.conv(images))))
        return output


class Shared(nn.Module):
    """A convolution whose weight is also read outside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return a shape like that of `images`."""
        output: torch.Tensor = self.norm(self.conv(images)) * self.conv.weight.sum()
        return output


@pytest.mark.parametrize(
    ("network", "left"),
    [
        (Crossed(), ["norm_of_input"]),
        (Tapped(), ["norm"]),
        (Repeated(), ["norm"]),
        (Shared(), ["norm"]),
        (nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)), ["1"]),
    ],
    ids=["crossed", "tapped", "repeated", "shared weight", "statistics of the batch"],
)
def test_norms_are_paired_by_data_flow(network: nn.Module, left: list[str]) -> None:
    rng = torch.Generator().manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            part.running_mean.uniform_(1.0, 2.0, generator=rng)
    images = torch.rand(1, 2, 4, 4, generator=rng)

    with torch.inference_mode():
        expected = network.eval()(images)
        fold_norms(network)
        outputs = network(images)

    norms = [name for name, part in network.named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms == left
    torch.testing.assert_close(outputs, expected)


def test_network_without_norms_needs_no_tracing() -> None:
    class Branching(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images if images.sum() > 0 else -images

    network = Branching()
    fold_norms(network)

    assert network(torch.tensor([-1.0])).item() == 1.0


def test_norm_of_something_else_stays() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))
    fold_norms(network.eval())
    assert sum(isinstance(part, nn.BatchNorm2d) for part in network) == 2
