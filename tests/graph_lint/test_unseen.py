"""What a lint cannot look at is told with what helps, never passed over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.graph_lint import lint
from edgetl.graph_lint.findings import Unseen

onnx = pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")

FLOAT, BOOL, INT64 = 1, 9, 7
SHAPE = [1, 3, 8, 8]
FOLD = "export the model without control flow, or with its constant conditions folded"
IMAGE = "give images of what the model looks for: --image FILE"
CONSTANTS = {"small": np.float32(0.01), "yes": np.array(1, bool), "twice": np.array(2)}
SAME = ("Identity", "image", "same")
# Two times the pixels with a colour above the limit, side by side.
FILTER = [
    ("Reshape", "image rows", "flat"),
    ("ReduceMax", "flat axis", "most", {"keepdims": 0}),
    ("Greater", "most limit", "above"),
    ("Compress", "flat above", "chosen", {"axis": 0}),
    ("Concat", "chosen chosen", "out", {"axis": 1}),
]
Write = Callable[..., Path]


def branch(title: str, *nodes: tuple[Any, ...]) -> Any:
    """Return a graph without inputs that answers with its last node."""
    helper = onnx.helper
    made = [
        helper.make_node(kind, read.split(), [output], name=output, **dict(*fields))
        for kind, read, output, *fields in nodes
    ]
    answer = helper.make_tensor_value_info(nodes[-1][2], FLOAT, None)
    return helper.make_graph(made, title, [], [answer])


def joining(title: str) -> Any:
    """Return a branch that joins the image and 0.01 of it."""
    return branch(
        title,
        ("Mul", "image small", f"{title}_small"),
        ("Concat", f"image {title}_small", f"{title}_both", {"axis": 1}),
    )


def test_joins_inside_branches_are_told(write: Write) -> None:
    fields = {"else_branch": joining("first"), "then_branch": joining("second")}
    nodes = [("If", "yes", "picked", fields), ("ReduceMean", "picked", "out", {"keepdims": 1})]
    file = write(nodes, {"out": [1, 1, 1, 1]}, SHAPE, constants=CONSTANTS)

    report = lint(file)

    assert report.findings == ()
    assert report.unseen == (
        Unseen(
            "2 joining operations inside branches and loops, of which ONNX Runtime shows no "
            "values: Concat 'first_both' in If, Concat 'second_both' in If",
            FOLD,
        ),
    )


def test_output_that_a_branch_joined_is_still_judged_by_its_columns(write: Write) -> None:
    fields = {"then_branch": joining("first"), "else_branch": joining("second")}
    nodes = [("If", "yes", "picked", fields)]
    file = write(nodes, {"picked": [1, 6, 8, 8]}, SHAPE, constants=CONSTANTS)

    (found,) = lint(file).findings

    assert found.what == "output 'picked', axis 1"
    assert [part.name for part in found.parts] == ["columns 0 to 2", "columns 3 to 5"]


def test_join_in_a_branch_of_a_loop_is_told(write: Write) -> None:
    helper = onnx.helper
    inner = {"then_branch": joining("first"), "else_branch": branch("second", SAME)}
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("If", ["going"], ["picked"], **inner),
            helper.make_node("ReduceMax", ["picked"], ["most"], keepdims=0),
            helper.make_node("Add", ["sum", "most"], ["more"]),
            helper.make_node("Identity", ["going"], ["goes"]),
        ],
        "body",
        [info("turn", INT64, []), info("going", BOOL, []), info("sum", FLOAT, [])],
        [info("goes", BOOL, []), info("more", FLOAT, [])],
    )
    nodes = [("Loop", "twice yes small", "out", {"body": body})]
    file = write(nodes, {"out": []}, SHAPE, constants=CONSTANTS)

    (unseen,) = lint(file).unseen

    assert unseen.what == (
        "1 joining operation inside branches and loops, of which ONNX Runtime shows no values: "
        "Concat 'first_both' in If"
    )


def test_branches_without_joins_are_nothing_to_tell(write: Write) -> None:
    fields = {
        "then_branch": branch("first", SAME),
        "else_branch": branch("second", ("Neg", "image", "turned")),
    }
    file = write([("If", "yes", "out", fields)], {"out": SHAPE}, SHAPE, constants=CONSTANTS)

    assert lint(file).unseen == ()


def test_of_many_joins_the_first_four_are_named(write: Write) -> None:
    parts = [("Concat", "image image", f"both{i}", {"axis": 1}) for i in range(6)]
    fields = {"then_branch": branch("first", *parts), "else_branch": branch("second", SAME)}
    nodes = [("If", "yes", "picked", fields), ("ReduceMean", "picked", "out", {"keepdims": 1})]
    file = write(nodes, {"out": [1, 1, 1, 1]}, SHAPE, constants=CONSTANTS)

    (unseen,) = lint(file).unseen

    assert unseen.what.startswith("6 joining operations inside branches")
    assert unseen.what.endswith("Concat 'both2' in If, Concat 'both3' in If and 2 more")


def test_joins_inside_functions_of_a_file_are_looked_at(write: Write) -> None:
    helper = onnx.helper
    nodes = [("Mul", "image small", "less"), ("Concat", "image less", "out", {"axis": 1})]
    file = write(nodes, {"out": [1, 6, 8, 8]}, SHAPE, constants=CONSTANTS)
    model = onnx.load(file)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    join = helper.make_function("own", "Join", ["a", "b"], ["c"], [], opsets[:1])
    join.node.append(helper.make_node("Concat", ["a", "b"], ["c"], name="inner", axis=1))
    model.functions.append(join)
    model.opset_import.append(opsets[1])
    model.graph.node[1].CopyFrom(helper.make_node("Join", ["image", "less"], ["out"], domain="own"))
    onnx.save(model, file)

    report = lint(file)

    assert report.unseen == ()
    assert [each.ratio for each in report.findings if each.what.startswith("Concat")] == [
        pytest.approx(100)
    ]


def test_output_that_is_empty_on_every_image_is_told(write: Write) -> None:
    constants = {"rows": np.array([-1, 3]), "limit": np.float32(1000), "axis": np.array([1])}
    file = write(FILTER, {"out": ["found", 6]}, [1, 8, 8, 3], constants=constants)

    report = lint(file)

    assert report.findings == ()
    assert report.unseen == (
        Unseen("output 'out', which was empty on every image", IMAGE),
        Unseen("part 'chosen' of Concat 'out', which was empty on every image", IMAGE),
    )


def test_output_whose_length_changes_from_image_to_image_is_judged(write: Write) -> None:
    # Rows brighter than 200: some on every drawn image, never as many.
    constants = {
        "rows": np.array([-1, 3]), "limit": np.float32(200), "axis": np.array([1]),
        "scales": np.array([[100, 100, 100, 1, 1, 1]], np.float32), "front": np.array([0]),
    }  # fmt: skip
    nodes = [
        *FILTER,
        ("Mul", "out scales", "scaled"),
        ("Unsqueeze", "scaled front", "dets"),
    ]
    file = write(nodes, {"dets": [1, "found", 6]}, [1, 16, 16, 3], constants=constants)

    report = lint(file)

    assert [each.what for each in report.findings] == ["output 'dets', axis 2"]
    assert report.unseen == ()


def test_output_that_is_a_list_is_told(write: Write) -> None:
    file = write([("SequenceConstruct", "image image", "all")], {}, SHAPE)
    model = onnx.load(file)
    model.graph.output.append(onnx.helper.make_tensor_sequence_value_info("all", FLOAT, SHAPE))
    onnx.save(model, file)

    assert lint(file).unseen == (
        Unseen("output 'all', which is not a tensor", "return tensors, one for each part"),
    )


def test_axis_whose_length_changes_counts_places_and_is_not_cut(write: Write) -> None:
    # One row of a million before as many rows of colours as an image has bright pixels.
    constants = {
        "rows": np.array([-1, 3]), "limit": np.float32(200), "axis": np.array([1]),
        "million": np.full((1, 3), 1e6, np.float32), "front": np.array([0]),
    }  # fmt: skip
    nodes = [
        *FILTER[:4],
        ("Concat", "million chosen", "long", {"axis": 0}),
        ("Unsqueeze", "long front", "dets"),
    ]
    file = write(nodes, {"dets": [1, "found", 3]}, [1, 16, 16, 3], constants=constants)

    assert [each.what for each in lint(file).findings] == ["Concat 'long'"]
