"""Images to calibrate with are demanded only where something is calibrated."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from edgetl.config.calibration import Calibration
from edgetl.config.target import Target
from edgetl.stages._calibration_images import calibration_problems
from edgetl.types import Precision, Split

FLOATS = (Precision.FP32, Precision.FP16)


def problems(
    bench: Any, *precisions: tuple[Precision, ...], allow_fewer: bool = False, train: int = 7
) -> list[str]:
    targets = tuple(
        Target(
            name=f"t{number}", description="a board", device=None, threads=1,
            candidates={"openvino": wanted},
        )
        for number, wanted in enumerate(precisions)
    )  # fmt: skip
    calibration = Calibration(
        name="eight", split="train", count=8, sampling="random", allow_fewer=allow_fewer
    )
    job = dataclasses.replace(bench.job(), targets=targets, calibration=calibration)
    counts = {Split.TRAIN: train, Split.VAL: 9, Split.TEST: 9}
    return [f"{each.where}: {each.what}" for each in calibration_problems(job, counts)]


TOO_FEW = ["calibration: 'eight' needs 8 images of the train split, which has 7"]


@pytest.mark.parametrize(
    ("precisions", "expected"),
    [
        pytest.param([FLOATS], [], id="only float"),
        pytest.param([(Precision.INT8,)], TOO_FEW, id="int8"),
        pytest.param([(Precision.FP32, Precision.W8A16)], TOO_FEW, id="w8a16"),
        pytest.param([FLOATS, (Precision.INT8,)], TOO_FEW, id="one of two targets"),
        pytest.param([], TOO_FEW, id="no target could be read"),
    ],
)
def test_images_are_only_needed_for_calibrated_precisions(
    bench: Any, precisions: list[tuple[Precision, ...]], expected: list[str]
) -> None:
    assert problems(bench, *precisions) == expected
    assert problems(bench, *precisions, train=8) == []


def test_one_image_is_enough_where_fewer_are_allowed(bench: Any) -> None:
    assert problems(bench, (Precision.INT8,), allow_fewer=True, train=1) == []
    assert problems(bench, (Precision.INT8,), allow_fewer=True, train=0) == [
        "calibration: 'eight' needs 1 image of the train split, which has 0"
    ]
