"""Put an ONNX graph's change from pixels to planes in front of the arithmetic on pixels.

ONNX Runtime computes constants per colour row by row where colours are the last axis: three numbers
at a time, longer than a small network takes for all the rest. On planes it is one pass each.
"""

from __future__ import annotations

from collections.abc import Container, MutableSequence
from typing import TypeVar

import numpy as np
import onnx
from onnx import numpy_helper

Item = TypeVar("Item", onnx.TensorProto, onnx.ValueInfoProto)

_TO_PLANES = [0, 3, 1, 2]
_PER_VALUE = frozenset({"Add", "Div", "Mul", "Sub"})


def planes_first(graph: onnx.GraphProto) -> None:
    """Move the transposition of `graph`'s image in front of the arithmetic that it follows.

    The same operations on the same numbers: not a bit of any answer changes. A graph that begins in
    another way stays as it is.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    image = graph.input[0].name
    arithmetic: list[onnx.NodeProto] = []
    reached = image
    while node := _only_reader(graph, reached):
        if node.op_type == "Transpose":
            if arithmetic and list(node.attribute[0].ints) == _TO_PLANES:
                _move(graph, arithmetic, node, image)
            return
        if node.op_type not in _PER_VALUE or not _is_per_colour(node, reached, constants):
            return
        arithmetic.append(node)
        reached = node.output[0]


def _only_reader(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    readers: list[onnx.NodeProto] = [node for node in graph.node if name in node.input]
    if len(readers) != 1 or any(output.name == name for output in graph.output):
        return None
    return readers[0]


def _is_per_colour(
    node: onnx.NodeProto, reached: str, constants: dict[str, onnx.TensorProto]
) -> bool:
    others = [name for name in node.input if name != reached]
    return len(others) == 1 and others[0] in constants and list(constants[others[0]].dims) == [3]


def _move(
    graph: onnx.GraphProto,
    arithmetic: list[onnx.NodeProto],
    transpose: onnx.NodeProto,
    image: str,
) -> None:
    planes = f"{image}.planes"
    reached, renamed = image, {image: planes}
    for node in arithmetic:
        (constant,) = (name for name in node.input if name != reached)
        if constant not in renamed:
            renamed[constant] = _per_plane(graph, constant)
        reached = node.output[0]
    for node in arithmetic:
        inputs = [renamed.get(name, name) for name in node.input]
        del node.input[:]
        node.input.extend(inputs)
    _drop(graph.initializer, {name for name in renamed if not _is_read(graph, name)})
    # What is between has another shape now, and the last of it the name of what was transposed.
    _drop(graph.value_info, {node.output[0] for node in arithmetic})
    arithmetic[-1].output[0] = transpose.output[0]
    first = onnx.NodeProto()
    first.CopyFrom(transpose)
    first.input[0], first.output[0] = image, planes
    graph.node.remove(transpose)
    graph.node.insert(0, first)


def _per_plane(graph: onnx.GraphProto, name: str) -> str:
    """Add the constant `name`, shape `(3,)`, in the shape `(3, 1, 1)`; return its name."""
    (found,) = (tensor for tensor in graph.initializer if tensor.name == name)
    values = numpy_helper.to_array(found)[:, np.newaxis, np.newaxis]
    graph.initializer.append(numpy_helper.from_array(values, f"{name}.planes"))
    return f"{name}.planes"


def _is_read(graph: onnx.GraphProto, name: str) -> bool:
    return any(name in node.input for node in graph.node)


def _drop(group: MutableSequence[Item], names: Container[str]) -> None:
    for item in [item for item in group if item.name in names]:
        group.remove(item)
