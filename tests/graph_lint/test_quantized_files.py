"""In a quantised file what was rounded to zero counts as half a step, not as nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgetl.graph_lint import lint
from edgetl.graph_lint.findings import Finding

onnx = pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")

UINT8 = 2
STEP = 300 / 255
SHAPE = [1, 8, 8, 8]
Write = Callable[..., Path]

# A sigmoid times 300 for four columns and times 1 for four more; no operation joins anything.
HEAD = [("Conv", "image weights", "found"), ("Sigmoid", "found", "p"), ("Mul", "p units", "m")]
CONSTANTS = {
    "weights": np.full((8, 3, 1, 1), 1e-4, np.float32),
    "units": np.array([300] * 4 + [1] * 4, np.float32).reshape(1, 8, 1, 1),
    "scale": np.float32(STEP),
    "zero": np.uint8(0),
}
ROUND = [("QuantizeLinear", "m scale zero", "q"), ("DequantizeLinear", "q scale zero", "out")]


def columns(file: Path) -> Finding:
    (found,) = lint(file, pixels="0..1").findings
    assert found.what == "output 'out', axis 1"
    assert [part.name for part in found.parts] == ["columns 0 to 3", "columns 4 to 7"]
    return found


def test_float_file_is_judged_by_its_values(write: Write) -> None:
    nodes = [*HEAD[:2], ("Mul", "p units", "out")]

    found = columns(write(nodes, {"out": SHAPE}, [1, 3, 8, 8], constants=CONSTANTS))

    assert found.step is None
    assert found.ratio == pytest.approx(300, rel=0.01)
    assert found.parts[1].lowest == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    "after",
    [
        ROUND,
        [*ROUND[:1], ("DequantizeLinear", "q scale zero", "real"), ("Identity", "real", "out")],
        [*ROUND[:1], ("DequantizeLinear", "q scale zero", "real"), ("Relu", "real", "out")],
        [
            ("QuantizeLinear", "m scale zero", "q"),
            ("Constant", "", "own", {"value": onnx.numpy_helper.from_array(np.float32(STEP))}),
            ("DequantizeLinear", "q own", "out"),
        ],
    ],
    ids=["at the output", "moved behind", "cut behind", "a scale from an operation"],
)
def test_scores_below_half_a_step_are_found_dead(write: Write, after: list[tuple[str]]) -> None:
    file = write([*HEAD, *after], {"out": SHAPE}, [1, 3, 8, 8], constants=CONSTANTS)

    found = columns(file)

    # 0.5 is less than half of 1.18; 150 / 1.18 is 127.5, rounded to 127 or 128.
    assert (found.parts[1].lowest, found.parts[1].highest) == (0, 0)
    assert found.step == pytest.approx(STEP)
    assert found.ratio == pytest.approx(2 * 128, abs=2)


def test_integers_that_a_file_answers_with_are_read_as_what_they_stand_for(write: Write) -> None:
    # The zero point makes 100 of what is nothing, in every column.
    nodes = [*HEAD, ("QuantizeLinear", "m scale zero", "q"), ("Identity", "q", "out")]
    constants = {**CONSTANTS, "scale": np.float32(2), "zero": np.uint8(100)}
    file = write(nodes, {"out": SHAPE}, [1, 3, 8, 8], constants=constants, predictions=UINT8)

    found = columns(file)

    # Steps of 2: 150 stays 150, give or take one; 0.5 becomes 0.
    assert found.parts[0].highest == pytest.approx(150, abs=2)
    assert found.parts[1].highest == 0
    assert found.ratio == pytest.approx(150, abs=2)


def test_scores_of_many_steps_are_clean(write: Write) -> None:
    constants = {**CONSTANTS, "units": np.ones((1, 8, 1, 1), np.float32) * 2}
    file = write([*HEAD, *ROUND], {"out": SHAPE}, [1, 3, 8, 8], constants=constants)

    assert lint(file, pixels="0..1").findings == ()


@pytest.mark.parametrize(
    ("units", "names"),
    [
        ([300, 0, 300, 300, 1, 1, 0, 1], ["columns 0 to 3", "columns 4 to 7"]),
        ([300, 0, 0, 0, 0, 0, 0, 1], ["column 0", "column 7"]),
        ([0, 0, 0, 300, 300, 300, 0, 0], None),
    ],
    ids=["among others", "all between", "nothing small"],
)
def test_columns_that_are_zero_in_a_float_file_are_left_out(
    write: Write, units: list[float], names: list[str] | None
) -> None:
    constants = {**CONSTANTS, "units": np.array(units, np.float32).reshape(1, 8, 1, 1)}
    nodes = [*HEAD[:2], ("Mul", "p units", "out")]
    file = write(nodes, {"out": SHAPE}, [1, 3, 8, 8], constants=constants)

    found = lint(file, pixels="0..1").findings

    assert [[part.name for part in each.parts] for each in found] == ([names] if names else [])


def test_scale_of_each_channel_is_no_shared_scale(write: Write) -> None:
    # Every column has 255 steps of its own.
    scales = np.array([STEP] * 4 + [1 / 255] * 4, np.float32)
    constants = {**CONSTANTS, "scale": scales, "zero": np.zeros(8, np.uint8)}
    rounded = [(*node, {"axis": 1}) for node in ROUND]
    file = write([*HEAD, *rounded], {"out": SHAPE}, [1, 3, 8, 8], constants=constants)

    assert lint(file, pixels="0..1").findings[0].step is None


def test_dead_branch_of_a_join_counts_as_half_a_step(write: Write) -> None:
    nodes = [
        ("Mul", "image large", "a"),
        ("Mul", "image tiny", "b"),
        ("QuantizeLinear", "a scale zero", "qa"),
        ("QuantizeLinear", "b scale zero", "qb"),
        ("Concat", "qa qb", "both", {"axis": 1}),
        ("DequantizeLinear", "both scale zero", "out"),
    ]
    constants = {**CONSTANTS, "large": np.float32(300), "tiny": np.float32(0.1)}
    file = write(nodes, {"out": [1, 6, 8, 8]}, [1, 3, 8, 8], constants=constants)

    (found,) = (each for each in lint(file, pixels="0..1").findings if "Concat" in each.what)

    assert found.step == pytest.approx(STEP)
    assert (found.parts[1].lowest, found.parts[1].highest) == (0, 0)
    assert found.ratio == pytest.approx(found.parts[0].highest / (STEP / 2))


def test_whole_numbers_that_name_something_are_no_finding(write: Write) -> None:
    # As suppression answers: class 1 beside place 5000.
    nodes = [
        ("Cast", "image", "i", {"to": 7}),
        ("Mul", "i zeros", "none"),
        ("Add", "none row", "out"),
    ]
    constants = {"zeros": np.array(0), "row": np.array([0, 1, 5000])}
    file = write(nodes, {"out": [1, 8, 8, 3]}, [1, 8, 8, 3], constants=constants, predictions=7)

    assert lint(file).findings == ()
