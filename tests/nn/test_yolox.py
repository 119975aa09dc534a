"""The names and shapes of the paper's networks, written down a second time and compared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from edgetl.models import FAMILIES
from edgetl.nn.yolox import Yolox

Shapes = dict[str, tuple[int, ...]]

PUBLISHED = {
    # Channels of the stem, bottlenecks, depthwise, parameters with 80 classes.
    "yolox_nano": (16, 1, True, 912_159),
    "yolox_tiny": (24, 1, False, 5_055_855),
    "yolox_s": (32, 1, False, 8_968_255),
    "yolox_m": (48, 2, False, 25_326_495),
}


def unit(name: str, given: int, wanted: int, kernel: int, groups: int = 1) -> Shapes:
    norm = ("weight", "bias", "running_mean", "running_var")
    return {
        f"{name}.conv.weight": (wanted, given // groups, kernel, kernel),
        **{f"{name}.bn.{part}": (wanted,) for part in norm},
        f"{name}.bn.num_batches_tracked": (),
    }


def official(stem: int, depth: int, *, depthwise: bool, classes: int) -> Shapes:
    """Return every tensor of the published layout, from figures 2 and 3 of the paper."""

    def wide(name: str, given: int, wanted: int) -> Shapes:
        if not depthwise:
            return unit(name, given, wanted, 3)
        return {
            **unit(f"{name}.dconv", given, given, 3, groups=given),
            **unit(f"{name}.pconv", given, wanted, 1),
        }

    def cross_stage(name: str, given: int, wanted: int, count: int) -> Shapes:
        half = wanted // 2
        tensors = {
            **unit(f"{name}.conv1", given, half, 1),
            **unit(f"{name}.conv2", given, half, 1),
            **unit(f"{name}.conv3", 2 * half, wanted, 1),
        }
        for index in range(count):
            tensors |= unit(f"{name}.m.{index}.conv1", half, half, 1)
            tensors |= wide(f"{name}.m.{index}.conv2", half, half)
        return tensors

    def levels() -> Iterator[Shapes]:
        c2, c3, c4, c5 = 2 * stem, 4 * stem, 8 * stem, 16 * stem
        inner = "backbone.backbone"
        yield unit(f"{inner}.stem.conv", 12, stem, 3)
        for name, given, wanted, count in (
            ("dark2", stem, c2, depth),
            ("dark3", c2, c3, 3 * depth),
            ("dark4", c3, c4, 3 * depth),
        ):
            yield wide(f"{inner}.{name}.0", given, wanted)
            yield cross_stage(f"{inner}.{name}.1", wanted, wanted, count)
        yield wide(f"{inner}.dark5.0", c4, c5)
        yield unit(f"{inner}.dark5.1.conv1", c5, c5 // 2, 1)
        yield unit(f"{inner}.dark5.1.conv2", 4 * (c5 // 2), c5, 1)
        yield cross_stage(f"{inner}.dark5.2", c5, c5, depth)
        yield unit("backbone.lateral_conv0", c5, c4, 1)
        yield cross_stage("backbone.C3_p4", 2 * c4, c4, depth)
        yield unit("backbone.reduce_conv1", c4, c3, 1)
        yield cross_stage("backbone.C3_p3", 2 * c3, c3, depth)
        yield wide("backbone.bu_conv2", c3, c3)
        yield cross_stage("backbone.C3_n3", 2 * c3, c4, depth)
        yield wide("backbone.bu_conv1", c4, c4)
        yield cross_stage("backbone.C3_n4", 2 * c4, c5, depth)
        hidden = 4 * stem
        for index, given in enumerate((c3, c4, c5)):
            yield unit(f"head.stems.{index}", given, hidden, 1)
            for branch in ("cls_convs", "reg_convs"):
                yield wide(f"head.{branch}.{index}.0", hidden, hidden)
                yield wide(f"head.{branch}.{index}.1", hidden, hidden)
            for branch, count in (("cls_preds", classes), ("reg_preds", 4), ("obj_preds", 1)):
                yield {f"head.{branch}.{index}.weight": (count, hidden, 1, 1)}
                yield {f"head.{branch}.{index}.bias": (count,)}

    return {name: shape for level in levels() for name, shape in level.items()}


def built(family: str, classes: int = 80) -> Yolox:
    with torch.device("meta"):
        module = FAMILIES.load(family).build(width=1.0, num_classes=classes, seed=0)
    assert isinstance(module, Yolox)
    return module


@pytest.mark.parametrize("family", PUBLISHED)
def test_tensors_have_the_names_and_shapes_of_the_published_layout(family: str) -> None:
    stem, depth, depthwise, _ = PUBLISHED[family]
    tensors = {name: tuple(value.shape) for name, value in built(family).state_dict().items()}

    assert tensors == official(stem, depth, depthwise=depthwise, classes=80)


def test_nano_has_as_many_tensors_as_its_published_file() -> None:
    assert len(built("yolox_nano").state_dict()) == 642


@pytest.mark.parametrize("family", PUBLISHED)
def test_parameters_are_as_many_as_published(family: str) -> None:
    count = sum(parameter.numel() for parameter in built(family).parameters())

    assert count == PUBLISHED[family][3]


def test_normalisation_is_that_of_the_published_weights() -> None:
    # Of the published networks, not of torch: an epsilon of 1e-5 changes logits by up to 2.
    norms = [part for part in built("yolox_nano").modules() if isinstance(part, nn.BatchNorm2d)]

    assert len(norms) == 104
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.03)}


def test_network_starts_with_one_percent_for_every_answer() -> None:
    module = FAMILIES.load("yolox_nano").build(width=0.25, num_classes=3, seed=0).eval()

    with torch.inference_mode():
        raw = module(torch.zeros(1, 3, 64, 64))

    assert raw.offsets.shape == (1, 8 * 8 + 4 * 4 + 2 * 2, 4)
    assert raw.objectness.sigmoid().mean().item() == pytest.approx(0.01, rel=0.05)
    assert raw.classes.sigmoid().mean().item() == pytest.approx(0.01, rel=0.05)
