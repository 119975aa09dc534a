"""ONNX files through ONNX Runtime, on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetl.runtime.engines import TensorInfo, one_input, unloadable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

PACKAGES = ("onnxruntime", "onnxruntime-gpu")

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
}
_ERRORS_ONLY = 3
"""ONNX Runtime's log level that leaves out warnings."""


class OnnxSession:
    """One ONNX Runtime session."""

    def __init__(self, session: Any, engine: str) -> None:  # noqa: ANN401 - onnxruntime has no types
        from edgetl.runtime.engines._pixels import decoder, encoder

        self.engine = engine
        self.input = one_input([_info(given) for given in session.get_inputs()])
        self.outputs = tuple(_info(output) for output in session.get_outputs())
        self._session = session
        self._names = [output.name for output in self.outputs]
        self._encode = encoder(self.input)
        self._decoders = [decoder(info) for info in self.outputs]

    def run(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name; see `Session.run`."""
        found = self._session.run(self._names, {self.input.name: self._encode(pixels)})
        return {
            name: decode(values) for name, decode, values in zip(self._names, self._decoders, found)
        }


def open_session(file: Path, threads: int) -> OnnxSession:
    """Load `file`; see `edgetl.runtime.engines.open_session`."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    engine = f"onnxruntime {onnxruntime.__version__}"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    onnxruntime.disable_telemetry_events()
    # These share no base class but Exception.
    refusals = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    )
    try:
        session = onnxruntime.InferenceSession(
            str(file), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except refusals as error:
        raise unloadable(file, engine, error) from error
    return OnnxSession(session, engine)


def _info(node: Any) -> TensorInfo:  # noqa: ANN401 - onnxruntime has no types
    # A dimension without a fixed size is a name or None; -1 keeps it visible in messages.
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return TensorInfo(node.name, shape, _DTYPES.get(node.type, node.type), None, None)
