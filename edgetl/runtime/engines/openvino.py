"""OpenVINO IR files through OpenVINO, on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetl.runtime.engines import CPU, TensorInfo, unloadable
from edgetl.runtime.packages import check_engine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

VERSION = 1
PROVIDERS = {CPU: ("openvino",)}
LEAST_VERSIONS = {"openvino": "2023.1"}
"""2023.0 has another interface."""


class OpenvinoSession:
    """One compiled model with one infer request."""

    def __init__(self, compiled: Any, inputs: tuple[TensorInfo, ...], engine: str) -> None:  # noqa: ANN401 - openvino is not followed
        import numpy as np
        import openvino

        from edgetl.runtime.engines._arrays import check_arrays, decoder, is_tokens

        self.engine = engine
        self.inputs = inputs
        self.outputs = tuple(_info(output) for output in compiled.outputs)
        self._check_arrays = check_arrays
        self._decoders = [decoder(info) for info in self.outputs]
        self._request = compiled.create_infer_request()
        # Bound once: OpenVINO reads the inputs from these arrays, so a call need not look them up.
        self._held = {
            info.name: np.zeros(info.shape, info.dtype if is_tokens(info) else "uint8")
            for info in inputs
        }
        for index, array in enumerate(self._held.values()):
            self._request.set_input_tensor(index, openvino.Tensor(array, shared_memory=True))

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name; see `Session.run`."""
        self._check_arrays(inputs, self.inputs)
        for name, array in self._held.items():
            array[...] = inputs[name]
        # Copied here, because the next call writes to the same memory; not also by OpenVINO.
        self._request.infer(share_outputs=True)
        return {
            info.name: decode(self._request.get_output_tensor(i).data.copy())
            for i, (info, decode) in enumerate(zip(self.outputs, self._decoders))
        }


def open_session(file: Path, threads: int, provider: str) -> OpenvinoSession:
    """Load `file`; see `edgetl.runtime.engines.open_session`."""
    del provider  # there is but one
    import openvino

    if not hasattr(openvino, "__version__"):  # before 2023.1
        check_engine("openvino", LEAST_VERSIONS["openvino"])

    from edgetl.runtime.engines._arrays import check_input, is_tokens

    engine = f"openvino {openvino.__version__.partition('-')[0]}"
    core = openvino.Core()
    try:
        model = core.read_model(file)
    except RuntimeError as error:
        raise unloadable(file, engine, error) from error
    inputs = tuple(_info(port) for port in model.inputs)
    # OpenVINO turns pixels into the file's type on its own: the same numbers, and a quarter of the
    # bytes to write.
    pixels = openvino.preprocess.PrePostProcessor(model)
    for index, info in enumerate(inputs):
        check_input(info)
        if not is_tokens(info):
            pixels.input(index).tensor().set_element_type(openvino.Type.u8)
    try:
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # By default OpenVINO computes any file in bf16 or f16 on processors that support it,
            # and f16 for files with fp16 weights: 13 dB more noise than the weights' rounding.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = core.compile_model(pixels.build(), "CPU", config)
    except RuntimeError as error:
        raise unloadable(file, engine, error) from error
    return OpenvinoSession(compiled, inputs, engine)


def _info(port: Any) -> TensorInfo:  # noqa: ANN401 - openvino is not followed
    partial = port.get_partial_shape()
    shape = tuple(size.get_length() if size.is_static else -1 for size in partial)
    return TensorInfo(
        port.get_any_name(), shape, port.get_element_type().to_dtype().name, None, None
    )
