"""Look into ONNX files with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from google.protobuf import message  # type: ignore[import-untyped] # has no stubs
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as states

from edgetl.errors import ConfigError
from edgetl.graph_lint import not_a_model
from edgetl.graph_lint._shapes import JOINS, image_of, reaching
from edgetl.graph_lint.findings import Join, Values

_REFUSALS = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.NotImplemented,
    states.RuntimeException,
)


class OnnxNetwork:
    """One ONNX file; see `edgetl.graph_lint.findings.Network`."""

    def __init__(self, file: Path) -> None:
        model = _load(file)
        self._file = file
        graph = model.graph
        fixed = {tensor.name for tensor in graph.initializer}
        self.image = image_of(
            file,
            [
                (value.name, *_shape_and_type(value.type.tensor_type))
                for value in graph.input
                if value.name not in fixed
            ],
        )
        self._input = next(value.name for value in graph.input if value.name not in fixed)
        self.outputs = [value.name for value in graph.output]
        constants = {
            tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer
        }
        self._constants = {
            name: value.astype(np.float64)
            for name, value in constants.items()
            if np.issubdtype(value.dtype, np.floating) and value.size
        }
        steps = {
            node.input[0]: float(np.max(constants[node.input[1]]))
            for node in graph.node
            if node.op_type == "QuantizeLinear" and node.input[1] in constants
        }
        self.joins = [
            Join(
                node.op_type, node.name, tuple(node.input), node.output[0],
                steps.get(node.output[0]),
            )
            for node in graph.node
            if node.op_type.lower() in JOINS
        ]  # fmt: skip
        self.answered = reaching(
            ((node.op_type, node.input, node.output) for node in reversed(graph.node)),
            self.outputs,
        )
        self._session, self._watched = _watch(file, model, self.joins)

    def run(self, picture: NDArray[np.generic]) -> Values:
        """Return branches and outputs by name; see `edgetl.graph_lint.findings.Network`."""
        try:
            answers = self._session.run(self._watched, {self._input: picture})
        except _REFUSALS as error:
            raise _not_run(self._file, error) from error
        found = {
            name: values.astype(np.float64)
            for name, values in zip(self._watched, answers, strict=True)
            if isinstance(values, np.ndarray) and values.dtype.kind == "f" and values.size
        }
        whole = {
            name: values.astype(np.float64)
            for name, values in zip(self._watched, answers, strict=True)
            if name in self.outputs and name not in found
        }
        shown = {self._input: picture.astype(np.float64)}
        return {**self._constants, **shown, **found, **whole}


def open_network(file: Path) -> OnnxNetwork:
    """Load `file`.

    Raises:
        ConfigError: If it is no ONNX file, cannot be run, or takes something else than a picture.
    """
    return OnnxNetwork(file)


def _load(file: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(file)
    except (message.DecodeError, onnx.checker.ValidationError) as error:
        raise not_a_model(file, f"cannot be read as ONNX: {error}") from error
    if not model.graph.node:
        raise not_a_model(file, "cannot be read as ONNX: it has no operation")
    return model


def _shape_and_type(kind: onnx.TypeProto.Tensor) -> tuple[list[int | None], str]:
    shape = [size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim]
    return shape, str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))


def _watch(
    file: Path, model: onnx.ModelProto, joins: list[Join]
) -> tuple[onnxruntime.InferenceSession, list[str]]:
    """Return what runs the model and the names of what it then answers."""
    computed = {name for node in model.graph.node for name in node.output}
    known = [value.name for value in model.graph.output]
    wanted = {name for join in joins for name in join.branches} & computed - set(known)
    # ONNX Runtime finds out the type of an output that has none.
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except (
        states.Fail,
        states.InvalidGraph,
        states.InvalidArgument,
        states.NotImplemented,
    ) as error:
        raise _not_run(file, error) from error
    return session, [*known, *sorted(wanted)]


def _not_run(file: Path, error: Exception) -> ConfigError:
    return not_a_model(file, f"cannot be run by ONNX Runtime: {error}")
