"""ONNX files through ONNX Runtime, on the CPU or all of it on an NVIDIA GPU.

ONNX Runtime falls back in four ways, none of which raises an exception: it drops a provider that it
was not built with, or whose libraries do not load; it runs single operations on the CPU; and its
Python class prints a message and retries on the CPU. Each is an error here.

``tensorrt`` does not fall back to ``cuda`` either, because it would be unknown how much of a model
ran on which. A target that accepts CUDA names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetl.runtime.engines import CPU, TensorInfo, unloadable
from edgetl.runtime.errors import EngineError
from edgetl.runtime.packages import check_built_for_numpy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_GPU = ("onnxruntime-gpu",)
VERSION = 1
PROVIDERS = {CPU: ("onnxruntime", *_GPU), "cuda": _GPU, "tensorrt": _GPU}
FIRST_FOR_NUMPY_2 = dict.fromkeys(PROVIDERS[CPU], "1.19")

_OFFICIAL = {
    CPU: "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""What ONNX Runtime calls them."""
_OPTIONS: dict[str, dict[str, str]] = {
    # By default it computes fp32 with 10 bits of mantissa if the GPU can (since 1.18).
    "cuda": {"use_tf32": "0"},
    # Has no such option; check that its fp32 outputs are within the golden samples' tolerance.
    "tensorrt": {},
}
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}
_ERRORS_ONLY = 3
"""ONNX Runtime's log level without warnings."""


class OnnxSession:
    """One ONNX Runtime session."""

    def __init__(self, session: Any, engine: str) -> None:  # noqa: ANN401 - onnxruntime has no types
        from edgetl.runtime.engines._arrays import check_arrays, decoder, encoder

        self.engine = engine
        self.inputs = tuple(_info(node) for node in session.get_inputs())
        self.outputs = tuple(_info(output) for output in session.get_outputs())
        self._check_arrays = check_arrays
        self._session = session
        self._names = [output.name for output in self.outputs]
        self._encoders = [(info.name, encoder(info)) for info in self.inputs]
        self._decoders = [decoder(info) for info in self.outputs]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name; see `Session.run`."""
        self._check_arrays(inputs, self.inputs)
        feed = {name: encode(inputs[name]) for name, encode in self._encoders}
        outputs = self._session.run(self._names, feed)
        return {
            name: decode(values)
            for name, decode, values in zip(self._names, self._decoders, outputs)
        }


def open_session(file: Path, threads: int, provider: str) -> OnnxSession:
    """Load `file`; see `edgetl.runtime.engines.open_session`."""
    check_built_for_numpy("onnxruntime", FIRST_FOR_NUMPY_2)
    import onnxruntime

    engine = f"onnxruntime {onnxruntime.__version__}"
    onnxruntime.disable_telemetry_events()
    if provider == CPU:
        return OnnxSession(_on_cpu(file, threads, engine), engine)
    return OnnxSession(_on_gpu(file, threads, provider, engine), engine)


def _on_cpu(file: Path, threads: int, engine: str) -> Any:  # noqa: ANN401 - onnxruntime has no types
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(
            str(file), sess_options=_options(threads), providers=[_OFFICIAL[CPU]]
        )
    except _refusals() as error:
        raise unloadable(file, engine, error) from error


def _on_gpu(file: Path, threads: int, provider: str, engine: str) -> Any:  # noqa: ANN401
    """Return a session that runs entirely on `provider`; raises EngineError if there is none."""
    import onnxruntime

    requested, available = _OFFICIAL[provider], onnxruntime.get_available_providers()
    if requested not in available:
        raise EngineError(
            f"{engine} has no {requested} here, which '{provider}' needs; it has "
            f"{', '.join(available)}",
            remedy=f"replace onnxruntime by {_GPU[0]}; for a Jetson, the wheels are in NVIDIA's "
            "own package index",
        )
    options = _options(threads)
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    given = [(requested, _OPTIONS[provider])]
    # Further exceptions on which its Python class would fall back.
    refusals: tuple[type[Exception], ...] = (*_refusals(), RuntimeError, ValueError)
    try:
        session = onnxruntime.InferenceSession(
            str(file), sess_options=options, providers=given, enable_fallback=0
        )
    except refusals as error:
        # A file that the CPU does not run either is damaged, which is a different error.
        _on_cpu(file, threads, engine)
        reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
        raise EngineError(
            f"{engine} does not run all of {file} on {requested}: {reason}",
            remedy=f"check that the libraries of '{provider}' are installed and match this "
            f"onnxruntime, or remove 'onnx@{provider}' from the target's candidates",
        ) from error
    used = session.get_providers()[0]
    if used != requested:
        raise EngineError(
            f"{requested} was requested, but {engine} runs {file} on {used}, whose times and "
            "outputs would not count",
            remedy=f"check that the libraries of '{provider}' are installed and match this "
            "onnxruntime",
        )
    return session


def _options(threads: int) -> Any:  # noqa: ANN401 - onnxruntime has no types
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return options


def _refusals() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    # These have no common base class except Exception.
    return (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    )


def _info(node: Any) -> TensorInfo:  # noqa: ANN401 - onnxruntime has no types
    # A dimension without a fixed size is a name or None; -1 keeps it visible in messages.
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return TensorInfo(node.name, shape, _DTYPES.get(node.type, node.type), None, None)
