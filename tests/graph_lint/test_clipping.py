"""Boxes that the scale of a quantized output does not hold are reported, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.graph_lint import lint
from edgetl.graph_lint._moves import Grid
from edgetl.graph_lint.clipping import Counts, judge_clipping
from edgetl.graph_lint.findings import Finding

onnx = pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")

Write = Callable[..., Path]

IMAGE = [1, 3, 16, 16]
# Pixels of 0..1 times 640 are boxes; a sigmoid of less than 0 is a score below one half.
NODES = [
    ("Mul", "image side", "pixels"),
    ("Sub", "image one", "logits"),
    ("Sigmoid", "logits", "scores"),
]
CONSTANTS = {
    "side": np.float32(640),
    "one": np.float32(1),
    "fine": np.float32(1 / 255),
    "coarse": np.float32(640 / 255),
    "zero": np.uint8(0),
}


def rounded(read: str, scale: str, made: str) -> list[tuple[str, str, str]]:
    return [
        ("QuantizeLinear", f"{read} {scale} zero", f"{made}_q"),
        ("DequantizeLinear", f"{made}_q {scale} zero", made),
    ]


def clipped(file: Path) -> list[Finding]:
    return [each for each in lint(file, pixels="0..1").findings if each.place == "clipped"]


def test_boxes_cut_off_by_the_scale_of_the_joined_output_are_reported(write: Write) -> None:
    nodes = [
        *NODES,
        ("Concat", "pixels scores", "joined", {"axis": 1}),
        *rounded("joined", "fine", "out"),
    ]

    (finding,) = clipped(write(nodes, {"out": [1, 6, 16, 16]}, IMAGE, constants=CONSTANTS))

    assert finding.what == "'joined', axis 1, columns 0 to 2"
    before, scale = finding.parts
    assert 500 < before.highest <= 640
    assert (scale.lowest, scale.highest) == pytest.approx((0.0, 1.0))
    assert finding.ratio == pytest.approx(before.highest)
    # All but the darkest pixels, below 1.5 / 640 of white.
    assert finding.share is not None
    assert finding.share > 0.8


def test_branch_that_is_cut_off_before_it_is_joined_is_reported(write: Write) -> None:
    nodes = [
        *NODES,
        *rounded("pixels", "fine", "boxes"),
        *rounded("scores", "fine", "likely"),
        ("Concat", "boxes likely", "joined", {"axis": 1}),
        *rounded("joined", "fine", "out"),
    ]

    (finding,) = clipped(write(nodes, {"out": [1, 6, 16, 16]}, IMAGE, constants=CONSTANTS))

    assert finding.what == "'pixels'"
    assert finding.share is not None
    assert finding.share > 0.8


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        pytest.param(
            [*rounded("pixels", "coarse", "boxes"), *rounded("scores", "fine", "likely")],
            {"boxes": IMAGE, "likely": IMAGE},
            id="separate outputs",
        ),
        pytest.param(
            [
                ("Concat", "image scores", "joined", {"axis": 1}),
                *rounded("joined", "fine", "out"),
            ],
            {"out": [1, 6, 16, 16]},
            id="boxes in 0..1",
        ),
        pytest.param(
            [
                ("Clip", "pixels none fine_end", "cut"),
                *rounded("cut", "fine", "boxes"),
            ],
            {"boxes": IMAGE},
            id="cut off by the network itself",
        ),
        pytest.param(
            [*rounded("pixels", "fine", "hidden"), ("Sigmoid", "hidden", "out")],
            {"out": IMAGE},
            id="inside the network",
        ),
    ],
)
def test_good_twins_are_clean(
    write: Write, nodes: list[tuple[Any, ...]], outputs: dict[str, list[int]]
) -> None:
    constants = {**CONSTANTS, "none": np.float32(0), "fine_end": np.float32(1)}

    file = write([*NODES, *nodes], outputs, IMAGE, constants=constants)

    assert lint(file, pixels="0..1").findings == ()


def test_single_values_of_a_classifier_may_leave_their_range(write: Write) -> None:
    # Three logits of an image, all of them far above what the calibration saw.
    nodes = [
        *NODES,
        ("ReduceMax", "pixels axes", "logits3", {"keepdims": 0}),
        *rounded("logits3", "fine", "out"),
    ]
    constants = {**CONSTANTS, "axes": np.array([2, 3])}

    assert clipped(write(nodes, {"out": [1, 3]}, IMAGE, constants=constants)) == []


def counted(values: np.ndarray[Any, Any], grid: Grid, *, outside: bool) -> list[tuple[str, float]]:
    counts = Counts(grid, outside=outside)
    counts.add(values, [2])
    return [(each.what, each.share) for each in judge_clipping({"dets": counts}, {})]


# Of 0..0.996, as the published files have it.
PUBLISHED = Grid(1 / 256, 0.0, (0.0, 255.0))


def published(box_share: float, score_share: float) -> np.ndarray[Any, Any]:
    """Return 100 places with 4 values of boxes and 6 of scores, some at the upper end."""
    values = np.full((1, 100, 10), 0.25)
    values[0, : round(100 * box_share), :4] = 255 / 256
    values[0, : round(100 * score_share), 4:] = 255 / 256
    values[0, 50:, 4:] = 0.0
    return values


@pytest.mark.parametrize(
    ("box_share", "score_share", "expected"),
    [
        pytest.param(0.6, 0.0, [("'dets', axis 2, columns 0 to 3", 0.6)], id="as published"),
        pytest.param(0.6, 0.02, [("'dets', axis 2, columns 0 to 3", 0.6)], id="some sure scores"),
        pytest.param(0.1, 0.0, [], id="boxes at the border of the image"),
        pytest.param(0.6, 0.6, [], id="all columns alike"),
    ],
)
def test_columns_at_the_end_of_a_scale_are_counted_where_values_before_are_hidden(
    box_share: float, score_share: float, expected: list[tuple[str, float]]
) -> None:
    rows = counted(published(box_share, score_share), PUBLISHED, outside=False)

    assert [what for what, _ in rows] == [what for what, _ in expected]
    assert [share for _, share in rows] == pytest.approx([share for _, share in expected])


def test_zero_is_no_end_at_which_values_are_cut_off() -> None:
    values = np.zeros((1, 100, 10))
    values[0, :, 4:] = 0.5

    assert counted(values, PUBLISHED, outside=False) == []
    # Where zero is in the middle of the scale, both ends are counted.
    values[0, :, :4] = np.where(np.arange(100) % 2, -1.0, 127 / 128)[:, None]
    assert counted(values, Grid(1 / 128, 0.0, (-128.0, 127.0)), outside=False) == [
        ("'dets', axis 2, columns 0 to 3", 1.0)
    ]


def test_axis_whose_length_changes_has_no_columns() -> None:
    counts = Counts(PUBLISHED, outside=False)
    for places in (32, 48):
        counts.add(np.moveaxis(published(0.6, 0.0)[:, :places], 1, 2), [2])

    assert judge_clipping({"dets": counts}, {}) == ()


def test_saturated_columns_of_a_fused_tflite_output_are_reported(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="edgetl[tflite] is not installed")
    pytest.importorskip("flatbuffers", reason="edgetl[tflite] is not installed")
    from tests.graph_lint.test_tflite_files import Writer

    shape = [1, 16, 16, 3]
    writer = Writer(shape)
    image = writer.operate("QUANTIZE", [0], writer.tensor("pixels", shape, "INT8", scale=1 / 127))
    units = writer.tensor("units", [3], "INT8", scale=1.0, data=np.array([64, 64, 1], np.int8))
    # A product that rounds its own results: 64 times the pixels leave the scale, once does not.
    out = writer.operate(
        "MUL", [image, units], writer.tensor("out", shape, "INT8", scale=1 / 127), "MulOptions"
    )

    (finding,) = clipped(writer.write(tmp_path, out))

    assert finding.what == "output 'out', axis 3, columns 0 to 1"
    (scale,) = set(finding.parts)
    assert (scale.lowest, scale.highest) == pytest.approx((-128 / 127, 1.0))
    assert finding.share is not None
    assert finding.share > 0.8
