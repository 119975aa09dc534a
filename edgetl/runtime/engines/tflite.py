"""TFLite files through LiteRT, or tflite-runtime if LiteRT has no package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetl.runtime.engines import CPU, TensorInfo, unloadable
from edgetl.runtime.packages import check_built_for_numpy, check_engine
from edgetl.runtime.silence import silenced

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

VERSION = 1
PROVIDERS = {CPU: ("ai-edge-litert", "tflite-runtime")}
FIRST_FOR_NUMPY_2 = {"ai-edge-litert": "1.1", "tflite-runtime": None}
LEAST_VERSIONS = {"tflite-runtime": "2.10"}
"""2.9 gives other outputs for int8 files, or refuses them."""


class TfliteSession:
    """One interpreter with its tensors allocated."""

    def __init__(self, interpreter: Any, package: str) -> None:  # noqa: ANN401 - LiteRT has no types
        from edgetl.runtime.engines._arrays import check_arrays, decoder, encoder

        inputs, outputs = _tensors(interpreter)
        self._package = package
        self.inputs = tuple(_info(name, details) for name, details in inputs.items())
        self.outputs = tuple(_info(name, details) for name, details in outputs.items())
        self._check_arrays = check_arrays
        self._encoders = [
            (info.name, inputs[info.name]["index"], encoder(info)) for info in self.inputs
        ]
        self._decoders = [
            (info.name, outputs[info.name]["index"], decoder(info)) for info in self.outputs
        ]
        self._interpreter = interpreter

    @property
    def engine(self) -> str:
        """Package and version."""
        return _called(self._package)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name; see `Session.run`."""
        self._check_arrays(inputs, self.inputs)
        for name, index, encode in self._encoders:
            self._interpreter.set_tensor(index, encode(inputs[name]))
        self._interpreter.invoke()
        return {
            name: decode(self._interpreter.get_tensor(index))
            for name, index, decode in self._decoders
        }


def open_session(file: Path, threads: int, provider: str) -> TfliteSession:
    """Load `file`; see `edgetl.runtime.engines.open_session`."""
    del provider  # there is but one
    interpreter_class, package = _interpreter_class()
    try:
        with silenced():
            interpreter = interpreter_class(model_path=str(file), num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise unloadable(file, _called(package), error) from error
    return TfliteSession(interpreter, package)


def _called(package: str) -> str:
    # The modules have no version; their metadata do, which take long to read on a slow board.
    from importlib.metadata import version

    return f"{package} {version(package)}"


def _interpreter_class() -> tuple[Any, str]:
    """Return the class and its distribution; raises ImportError with LiteRT's reason.

    Raises PackageError if the package is too old or does not run with the installed numpy.
    """
    litert, older = PROVIDERS[CPU]
    check_built_for_numpy("ai_edge_litert", {litert: FIRST_FOR_NUMPY_2[litert]})
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as first:
        check_built_for_numpy("tflite_runtime", {older: FIRST_FOR_NUMPY_2[older]})
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError as second:
            raise first from second
        check_engine(older, LEAST_VERSIONS[older])
        return Interpreter, older
    return Interpreter, litert


def _tensors(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401
    """Return inputs and outputs by the names of the file's signature, else by tensor names."""
    signatures = interpreter.get_signature_list()
    if len(signatures) == 1:
        runner = interpreter.get_signature_runner(next(iter(signatures)))
        return dict(runner.get_input_details()), dict(runner.get_output_details())
    inputs = {details["name"]: details for details in interpreter.get_input_details()}
    outputs = {details["name"]: details for details in interpreter.get_output_details()}
    return inputs, outputs


def _info(name: str, details: Any) -> TensorInfo:  # noqa: ANN401 - LiteRT has no types
    shape = tuple(int(size) for size in details["shape"])
    dtype = details["dtype"].__name__
    scale, zero_point = details["quantization"]
    if not scale:  # how LiteRT marks a tensor that is not quantized
        return TensorInfo(name, shape, dtype, None, None)
    return TensorInfo(name, shape, dtype, float(scale), int(zero_point))
