"""Look into TFLite files with LiteRT."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edgetl.graph_lint import not_a_model
from edgetl.graph_lint._shapes import JOINS, image_of, reaching
from edgetl.graph_lint.findings import Join, Values
from edgetl.runtime.silence import silenced


class TfliteNetwork:
    """One TFLite file; see `edgetl.graph_lint.findings.Network`."""

    def __init__(self, file: Path) -> None:
        self._interpreter = _open(file)
        inputs = self._interpreter.get_input_details()
        self.image = image_of(file, [_describe(details) for details in inputs])
        if min(inputs[0]["shape_signature"]) < 0:
            sizes = [1, self.image.height, self.image.width, self.image.channels]
            if self.image.channels_first:
                sizes = [1, self.image.channels, self.image.height, self.image.width]
            self._interpreter.resize_tensor_input(inputs[0]["index"], sizes)
        with _refused(file):
            self._interpreter.allocate_tensors()
        self._file = file
        self._input = inputs[0]["index"]
        self._details = {
            details["index"]: details for details in self._interpreter.get_tensor_details()
        }
        names = {index: details["name"] for index, details in self._details.items()}
        operations = [
            (
                str(found["op_name"]),
                [int(index) for index in found["inputs"] if index >= 0],
                [int(index) for index in found["outputs"]],
            )
            for found in self._interpreter._get_ops_details()  # noqa: SLF001 - no public list
        ]
        self.joins = [
            Join(
                kind, str(number), tuple(names[index] for index in read), names[made[0]],
                _step(self._details[made[0]]),
            )
            for number, (kind, read, made) in enumerate(operations)
            if kind.lower() in JOINS
        ]  # fmt: skip
        answers = [details["index"] for details in self._interpreter.get_output_details()]
        self.outputs = [names[index] for index in answers]
        self._watched = {
            index for kind, read, _ in operations if kind.lower() in JOINS for index in read
        } | set(answers)
        self.answered = reaching(
            (
                (kind, [names[i] for i in read], [names[i] for i in made])
                for kind, read, made in reversed(operations)
            ),
            self.outputs,
        )

    def run(self, picture: NDArray[np.generic]) -> Values:
        """Return branches and outputs by name; see `edgetl.graph_lint.findings.Network`."""
        self._interpreter.set_tensor(self._input, picture)
        with _refused(self._file):
            self._interpreter.invoke()
        return {
            self._details[index]["name"]: _real(
                self._details[index], self._interpreter.get_tensor(index)
            )
            for index in sorted(self._watched)
        }


def open_network(file: Path) -> TfliteNetwork:
    """Load `file`.

    Raises:
        ConfigError: If it is no TFLite file, cannot be run, or takes something else than a picture.
    """
    return TfliteNetwork(file)


def _open(file: Path) -> Any:  # noqa: ANN401 - LiteRT has no types
    with _refused(file):
        return Interpreter(
            str(file),
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )


@contextmanager
def _refused(file: Path) -> Iterator[None]:
    """Turn what LiteRT raises into one paragraph, without what it writes besides."""
    try:
        with silenced():
            yield
    except (ValueError, RuntimeError) as error:
        raise not_a_model(file, f"cannot be run by LiteRT: {error}") from error


def _describe(details: Any) -> tuple[str, list[int | None], str]:  # noqa: ANN401
    signature = [int(size) for size in details["shape_signature"]]
    sizes = [None if size < 0 else size for size in signature]
    return details["name"], sizes, np.dtype(details["dtype"]).name


def _step(details: Any) -> float | None:  # noqa: ANN401
    scale, _ = details["quantization"]
    return float(scale) or None


def _real(details: Any, values: NDArray[np.generic]) -> NDArray[np.float64]:  # noqa: ANN401
    scale, zero_point = details["quantization"]
    real = values.astype(np.float64)
    return (real - zero_point) * scale if scale else real
