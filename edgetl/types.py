"""Types that every layer shares: splits, precisions, facts."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, TypeAlias

Fact: TypeAlias = Any
"""A JSON value: str, int, float, bool, None, list or dict of these."""

Facts: TypeAlias = dict[str, Fact]
"""A JSON object, such as the facts of a stage in the artifact's manifest."""

MIB: Final = 1 << 20
"""Bytes of a mebibyte."""


class LabelKind(StrEnum):
    """Kind of the labels of images."""

    CLASSES = "classes"
    """One class for each image."""
    BOXES = "boxes"
    """Boxes around objects, each with a class."""

    @property
    def noun(self) -> str:
        """Name of such data in messages."""
        return "labelled boxes" if self is LabelKind.BOXES else "labelled images"


class Split(StrEnum):
    """Disjoint parts of the labelled data."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class Role(StrEnum):
    """Use of a dataset; no image has two roles."""

    DATA = "data"
    """Labelled and split: for training, selection and testing."""
    UNLABELLED = "unlabelled"
    """From where the model will work, without labels: for adaptation."""
    EVALUATION = "evaluation"
    """Labelled, from where the model will work: only to measure on."""


class Provenance(StrEnum):
    """Origin of a figure."""

    MEASURED = "measured"
    """On the device itself: the only kind that can meet a limit of latency or memory."""
    EMULATED = "emulated"
    """With the device's instructions on another machine: valid predictions, meaningless times."""
    ESTIMATED = "estimated"
    """Predicted, with an error band."""


class Precision(StrEnum):
    """Number format of a model file's weights and activations."""

    FP32 = "fp32"
    """32-bit floats, as trained."""
    FP16 = "fp16"
    """Weights in 16-bit floats."""
    INT8 = "int8"
    """int8 weights per channel, 8-bit activations, static ranges from calibration."""
    W8A16 = "w8a16"
    """int8 weights per channel, 16-bit activations, static ranges from calibration."""
