from __future__ import annotations

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


def test_folded_focus_gives_the_same_answers_at_every_pixel_and_border() -> None:
    holder = nn.Sequential(focus_with_statistics())
    images = torch.rand(2, 3, 20, 12, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        expected = holder(images)
        fold_focus(holder)
        found = holder(images)

    assert not any(isinstance(part, Focus) for part in holder.modules())
    # Up to 100 here: the same products, added in another order.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    assert found.shape == (2, 6, 10, 6)


def test_focus_is_found_wherever_it_is_and_the_mode_stays() -> None:
    torch.manual_seed(0)
    network = CrossStageDarknet(4, 1, ConvFactory(depthwise=True, activation=nn.SiLU)).eval()
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(images)
        fold_focus(network)
        found = network(images)

    assert not any(part.training for part in network.modules())
    for one, other in zip(found, expected, strict=True):
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


def test_norm_of_something_else_stays() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))
    fold_norms(network.eval())
    assert sum(isinstance(part, nn.BatchNorm2d) for part in network) == 2
