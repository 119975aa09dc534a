"""Look into TFLite files with LiteRT."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edgetl.errors import ConfigError
from edgetl.graph_lint import not_a_model, refused
from edgetl.graph_lint._moves import JOINS, Grid, grids_of, moved_from, reaching, within_one
from edgetl.graph_lint.clipping import Rounding
from edgetl.graph_lint.findings import Join, Values, inside_branches
from edgetl.graph_lint.inputs import InputInfo, feed
from edgetl.graph_lint.model_content import what_instead
from edgetl.runtime.silence import silenced

_REMEDIES = {
    r"custom op: (edgetpu-custom-op)": "give the file from before the Edge TPU compiler",
    r"Select TensorFlow op.*Node number \d+ \((\w+)\)": (
        "convert the model without `SELECT_TF_OPS`, so that it uses LiteRT's own operations"
    ),
    r"custom op: ([\w:-]+)": (
        "export the model without it; detectors are often exported with "
        "non-maximum suppression, which can be omitted"
    ),
    r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'": (
        "install a newer ai-edge-litert, or convert the model with an older converter"
    ),
}
"""What LiteRT writes of operations that it does not have, and what to do about each."""


class TfliteNetwork:
    """One TFLite file; see `edgetl.graph_lint.findings.Network`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._interpreter = _open(file)
        inputs = self._interpreter.get_input_details()
        self.feed = feed(file, [_describe(details) for details in inputs])
        self._inputs = {details["name"]: details for details in inputs}
        for name, details in self._inputs.items():
            if any(size < 0 for size in details["shape_signature"]):
                others = self.feed.others
                shape = others[name].shape if name in others else self.feed.image.shape
                self._interpreter.resize_tensor_input(details["index"], shape)
        with _refused(file):
            self._interpreter.allocate_tensors()
        self._details = {
            details["index"]: details for details in self._interpreter.get_tensor_details()
        }
        names = _names(self._details)
        operations = [
            (
                str(details["op_name"]),
                [names[index] for index in details["inputs"] if index >= 0],
                [names[index] for index in details["outputs"]],
            )
            for details in self._interpreter._get_ops_details()  # noqa: SLF001 - no public list
        ]
        grids = {
            names[index]: grid
            for index, details in self._details.items()
            if (grid := _grid(details)) is not None
        }
        self.joins = [
            Join(
                kind, str(number), tuple(read), made[0],
                grids[made[0]].step if made[0] in grids else None,
            )
            for number, (kind, read, made) in enumerate(operations)
            if kind.lower() in JOINS
        ]  # fmt: skip
        self.outputs = [
            names[details["index"]] for details in self._interpreter.get_output_details()
        ]
        branches = {name for join in self.joins for name in join.branches}
        self.num_predictions = reaching(operations, self.outputs)
        self.within_one = within_one(branches, operations)
        self.roundings = [
            Rounding(read[0], made[0], grids[made[0]])
            for kind, read, made in operations
            if kind == "QUANTIZE" and read[0] in self.num_predictions and made[0] in grids
        ]
        watched = {*branches, *self.outputs, *(each.before for each in self.roundings)}
        self._watched = {name: index for index, name in names.items() if name in watched}
        self.grids = grids_of(self.outputs, operations, grids)
        self.rounded_inside = self.grids.keys() - moved_from(
            self.outputs, operations, [rounding.after for rounding in self.roundings]
        )
        hidden = list(_hidden(file)) if self._interpreter.num_subgraphs() > 1 else []
        self.unseen = inside_branches(hidden, "LiteRT")

    def run(self, image: NDArray[np.generic]) -> Values:
        """Return branches and outputs by name; see `edgetl.graph_lint.findings.Network`."""
        for name, details in self._inputs.items():
            other = self.feed.others.get(name)
            fed = image if other is None else _fed(details, other)
            self._interpreter.set_tensor(details["index"], fed)
        with _refused(self._file):
            self._interpreter.invoke()
        values_by_name = {
            name: _real(self._details[index], self._interpreter.get_tensor(index))
            for name, index in self._watched.items()
        }
        return {name: each for name, each in values_by_name.items() if each is not None}


def open_network(file: Path) -> TfliteNetwork:
    """Load `file`.

    Raises:
        ConfigError: If it is not a TFLite file, cannot be run, or takes no image.
    """
    return TfliteNetwork(file)


def require_runnable(file: Path) -> None:
    """Raise ConfigError if LiteRT does not run `file`."""
    interpreter = _open(file)
    with _refused(file):
        interpreter.allocate_tensors()


def _open(file: Path) -> Any:  # noqa: ANN401 - LiteRT has no types
    with _refused(file):
        return Interpreter(
            str(file),
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )


@contextmanager
def _refused(file: Path) -> Iterator[None]:
    """Turn LiteRT's exceptions into one paragraph, and discard its other output."""
    try:
        with silenced():
            yield
    except (ValueError, RuntimeError) as error:
        raise _not_run(file, str(error)) from error


def _not_run(file: Path, text: str) -> ConfigError:
    """Return the error for a model that LiteRT refuses, with the remedy of the cause."""
    if "Flatbuffer" in text:
        instead = what_instead(file, "TFLite")
        if instead is not None:
            return refused(file, instead.what, instead.remedy)
    for pattern, remedy in _REMEDIES.items():
        operation = re.search(pattern, text)
        if operation:
            named = " version ".join(filter(None, operation.groups()))
            return refused(
                file,
                f"cannot be run by LiteRT: it uses the operation '{named}', which LiteRT "
                f"{version('ai-edge-litert')} does not have",
                remedy,
            )
    return not_a_model(file, f"cannot be run by LiteRT: {text}")


def _describe(details: Any) -> InputInfo:  # noqa: ANN401
    shape = tuple(None if size < 0 else int(size) for size in details["shape_signature"])
    return InputInfo(details["name"], shape, np.dtype(details["dtype"]).name)


def _names(tensors: Mapping[int, Any]) -> dict[int, str]:
    """Return a name for each tensor that no other has."""
    often = Counter(details["name"] for details in tensors.values())
    return {
        index: details["name"] if often[details["name"]] == 1 else f"{details['name']}:{index}"
        for index, details in tensors.items()
    }


def _grid(details: Any) -> Grid | None:  # noqa: ANN401
    scale, zero_point = details["quantization"]
    if not scale:
        return None
    limits = np.iinfo(details["dtype"])
    return Grid(float(scale), float(zero_point), (float(limits.min), float(limits.max)))


def _fed(details: Any, values: NDArray[np.float64]) -> NDArray[np.generic]:  # noqa: ANN401
    """Return real `values` as an input takes them."""
    dtype, grid = np.dtype(details["dtype"]), _grid(details)
    if grid is None:
        return values.astype(dtype)
    return np.clip(np.rint(values / grid.step) + grid.zero_point, *grid.levels).astype(dtype)


def _real(details: Any, values: NDArray[np.generic]) -> NDArray[np.float64] | None:  # noqa: ANN401
    """Return what values stand for; None for whole numbers on no grid, which count or name."""
    grid = _grid(details)
    if grid is not None:
        return grid.real(values)
    return values.astype(np.float64) if values.dtype.kind == "f" else None


def _hidden(file: Path) -> Iterator[str]:
    """Yield the joining operations of all graphs in a file but the first."""
    model = schema.Model.GetRootAs(file.read_bytes(), 0)
    kinds = {
        value: name
        for name, value in vars(schema.BuiltinOperator).items()
        if isinstance(value, int)
    }
    for number in range(1, model.SubgraphsLength()):
        graph = model.Subgraphs(number)
        title = (graph.Name() or b"").decode() or f"graph {number}"
        for position in range(graph.OperatorsLength()):
            code = model.OperatorCodes(graph.Operators(position).OpcodeIndex())
            # Codes above 127 are stated in the newer field alone, old files have only the older.
            kind = kinds.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "")
            if kind.lower() in JOINS:
                yield f"{kind} '{position}' in {title}"
