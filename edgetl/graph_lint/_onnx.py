"""Look into ONNX files with ONNX Runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as states

from edgetl.errors import ConfigError
from edgetl.graph_lint import not_a_model, refused
from edgetl.graph_lint._moves import JOINS, Grid, grids_of, moved_from, reaching, within_one
from edgetl.graph_lint.clipping import Rounding
from edgetl.graph_lint.findings import Join, Unseen, Values, inside_branches
from edgetl.graph_lint.inputs import InputInfo, feed
from edgetl.graph_lint.onnx_file import load_onnx

_REFUSALS = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.NotImplemented,
    states.RuntimeException,
)
_NEWER = {
    r"Unsupported model IR version: (\d+), max supported IR version: (\d+)": "IR version",
    r"Opset (\d+) is under development.* is till opset (\d+)": "opset",
}
_UNKNOWN = re.compile(
    r"error: (?P<custom>\S+)\(-?\d+\) is not a registered"
    r"|No Op registered for (?P<name>\S+)"
    r"|No opset import for domain '(?P<domain>[^']+)'"
)
_NO_KERNEL = re.compile(r"Could not find an implementation for (\w+)\(")
_ROUNDS, _RETURNS = "QuantizeLinear", "DequantizeLinear"


class OnnxNetwork:
    """One ONNX file; see `edgetl.graph_lint.findings.Network`."""

    def __init__(self, file: Path) -> None:
        model = _load(file)
        graph = model.graph
        self._file = file
        inputs = _inputs(file, graph)
        self.feed = feed(file, inputs)
        self._others = {
            info.name: self.feed.others[info.name].astype(info.dtype)
            for info in inputs
            if info.name in self.feed.others
        }
        constants = _constants(graph)
        self.outputs = [value.name for value in graph.output]
        self.joins = _joins(graph, constants)
        branches = {name for join in self.joins for name in join.branches}
        self._fixed = {
            name: values.astype(np.float64)
            for name, values in constants.items()
            if name in branches and values.dtype.kind == "f" and values.size
        }
        operations = [(node.op_type, node.input, node.output) for node in graph.node]
        self.num_predictions = reaching(operations, self.outputs)
        self.within_one = within_one(branches, operations)
        self.roundings = [
            Rounding(node.input[0], node.output[0], grid)
            for node in graph.node
            if node.op_type == _ROUNDS
            and node.input[0] in self.num_predictions - constants.keys()
            and (grid := _grid(node, constants)) is not None
        ]
        self._grids = grids_of(
            {*branches, *self.outputs}, operations, _known_grids(graph, constants)
        )
        self.grids = {name: self._grids[name] for name in self.outputs if name in self._grids}
        self.rounded_inside = self.grids.keys() - moved_from(
            self.outputs, operations, [rounding.after for rounding in self.roundings]
        )
        self.unseen = [
            *inside_branches(list(_hidden(graph)), "ONNX Runtime"),
            *_lists(graph),
        ]
        before = {rounding.before for rounding in self.roundings}
        self._session, self._watched = _watch(file, model, branches | before)

    def run(self, image: NDArray[np.generic]) -> Values:
        """Return branches and outputs by name; see `edgetl.graph_lint.findings.Network`."""
        inputs = {**dict.fromkeys(self.feed.image_inputs, image), **self._others}
        try:
            predictions = self._session.run(self._watched, inputs)
        except _REFUSALS as error:
            raise _not_run(self._file, error) from error
        tensors = {**inputs, **dict(zip(self._watched, predictions, strict=True))}
        real = {
            name: self._real(name, values)
            for name, values in tensors.items()
            if isinstance(values, np.ndarray)
        }
        images = dict.fromkeys(self.feed.image_inputs, image.astype(np.float64))
        known = {name: values for name, values in real.items() if values is not None}
        return {**self._fixed, **images, **known}

    def _real(self, name: str, values: NDArray[np.generic]) -> NDArray[np.float64] | None:
        """Return what values stand for; None for whole numbers on no grid, which count or name."""
        if values.dtype.kind == "f":
            return values.astype(np.float64)
        if values.dtype.kind in "iu" and name in self._grids:
            return self._grids[name].real(values)
        return None


def open_network(file: Path) -> OnnxNetwork:
    """Load `file`.

    Raises:
        ConfigError: If it is not an ONNX file, cannot be run, or takes no image.
    """
    return OnnxNetwork(file)


def require_runnable(file: Path) -> None:
    """Raise ConfigError if ONNX Runtime does not run `file`."""
    _session(file, str(file))


def _load(file: Path) -> onnx.ModelProto:
    model = load_onnx(file, lambda what: not_a_model(file, what))
    if model.functions:
        inlined: onnx.ModelProto = onnx.inliner.inline_local_functions(model)
        return inlined
    return model


def _inputs(file: Path, graph: onnx.GraphProto) -> list[InputInfo]:
    """Return the inputs that a run needs; one with an initializer has a default."""
    fixed = {tensor.name for tensor in graph.initializer}
    inputs = []
    for value in graph.input:
        if value.name in fixed:
            continue
        if not _is_tensor(value):
            raise not_a_model(file, f"input '{value.name}' is not a tensor")
        kind = value.type.tensor_type
        # Some writers state -1 or 0 for an open size.
        shape = tuple(size.dim_value if size.dim_value > 0 else None for size in kind.shape.dim)
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
        inputs.append(InputInfo(value.name, shape, dtype))
    return inputs


def _is_tensor(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.WhichOneof("value") == "tensor_type")


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[np.generic]]:
    """Return the constants that are joined or that are scales and zero points."""
    wanted = {
        name
        for node in graph.node
        if node.op_type in {_ROUNDS, _RETURNS} or node.op_type.lower() in JOINS
        for name in node.input
    }
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    tensors |= {
        node.output[0]: field.t
        for node in graph.node
        if node.op_type == "Constant"
        for field in node.attribute
        if field.name == "value"
    }
    return {name: onnx.numpy_helper.to_array(tensors[name]) for name in wanted & tensors.keys()}


def _joins(graph: onnx.GraphProto, constants: Mapping[str, NDArray[np.generic]]) -> list[Join]:
    steps = {
        node.input[0]: grid.step
        for node in graph.node
        if (grid := _grid(node, constants)) is not None
    }
    return [
        Join(
            node.op_type, node.name, tuple(node.input), node.output[0], steps.get(node.output[0])
        )
        for node in graph.node
        if node.op_type.lower() in JOINS
    ]  # fmt: skip


def _grid(node: onnx.NodeProto, constants: Mapping[str, NDArray[np.generic]]) -> Grid | None:
    """Return what an operation rounds to or comes from; None if that is not one known grid."""
    if node.op_type not in {_ROUNDS, _RETURNS}:
        return None
    scale, *rest = (constants.get(name) for name in node.input[1:])
    if scale is None or scale.size != 1:
        return None
    zero = rest[0] if rest else None
    # Without a zero point it is 0 of uint8; float8 has one, too, and no even grid.
    integers = np.dtype(np.uint8) if zero is None else zero.dtype
    if integers.kind not in "iu":
        return None
    limits = np.iinfo(integers.name)
    zero_point = 0.0 if zero is None else float(zero.item())
    return Grid(float(scale.item()), zero_point, (float(limits.min), float(limits.max)))


def _known_grids(
    graph: onnx.GraphProto, constants: Mapping[str, NDArray[np.generic]]
) -> dict[str, Grid]:
    """Return the grids of quantised tensors, and of what they become as real numbers."""
    grids = {}
    for node in graph.node:
        grid = _grid(node, constants)
        if grid is not None:
            grids[node.output[0]] = grid
            if node.op_type == _RETURNS:
                grids[node.input[0]] = grid
    return grids


def _hidden(graph: onnx.GraphProto, holder: str = "") -> Iterator[str]:
    """Yield the joining operations inside the branches and loops of a graph, however deep."""
    for node in graph.node:
        if holder and node.op_type.lower() in JOINS:
            yield f"{node.op_type} '{node.name or node.output[0]}' in {holder}"
        for field in node.attribute:
            for inner in [field.g] if field.HasField("g") else field.graphs:
                yield from _hidden(inner, node.op_type)


def _lists(graph: onnx.GraphProto) -> Iterator[Unseen]:
    """Yield the outputs that are lists of tensors."""
    for value in graph.output:
        if not _is_tensor(value):
            yield Unseen(
                f"output '{value.name}', which is not a tensor",
                "return tensors, one for each part",
            )


def _watch(
    file: Path, model: onnx.ModelProto, branches: set[str]
) -> tuple[onnxruntime.InferenceSession, list[str]]:
    """Return a session of the model, and the names of its outputs with those to watch."""
    computed = {name for node in model.graph.node for name in node.output}
    known = [value.name for value in model.graph.output]
    wanted = branches & computed - set(known)
    # ONNX Runtime finds out the type of an output that has none.
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted))
    return _session(file, model.SerializeToString()), [*known, *sorted(wanted)]


def _session(file: Path, source: str | bytes) -> onnxruntime.InferenceSession:
    """Return a session of `source`, a path or the content of `file`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except (
        states.Fail,
        states.InvalidGraph,
        states.InvalidArgument,
        states.NotImplemented,
    ) as error:
        raise _not_run(file, error) from error


def _not_run(file: Path, error: Exception) -> ConfigError:
    """Return the error for a model that ONNX Runtime refuses, with the remedy of the cause."""
    text = str(error)
    engine = f"ONNX Runtime {onnxruntime.__version__}"
    for pattern, what in _NEWER.items():
        newer = re.search(pattern, text)
        if newer:
            return refused(
                file,
                f"cannot be run by ONNX Runtime: it states {what} {newer[1]}, {engine} reads up to "
                f"{newer[2]}",
                "export the model for an older opset, such as `opset_version=17`, or install a "
                "newer onnxruntime",
            )
    unknown = _UNKNOWN.search(text)
    if unknown:
        name = unknown["custom"] or unknown["name"] or unknown["domain"]
        kind = "operations of the domain" if unknown["domain"] else "the operation"
        return refused(
            file,
            f"cannot be run by ONNX Runtime: it uses {kind} '{name}', which {engine} does not have "
            "in the opset of the file",
            "export the model without it: detectors are often exported with the "
            "non-maximum suppression of TensorRT or another engine, which can be omitted",
        )
    missing = _NO_KERNEL.search(text)
    if missing:
        return refused(
            file,
            f"cannot be run by ONNX Runtime: {engine} has no '{missing[1]}' for the types of this "
            "file",
            "export the model in float32",
        )
    return not_a_model(file, f"cannot be run by ONNX Runtime: {text}")
