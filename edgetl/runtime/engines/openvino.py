"""OpenVINO IR files through OpenVINO, on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetl.runtime.engines import TensorInfo, one_input, unloadable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

PACKAGES = ("openvino",)


class OpenvinoSession:
    """One compiled model with one infer request."""

    def __init__(self, compiled: Any, engine: str) -> None:  # noqa: ANN401 - openvino is not followed
        import numpy as np
        import openvino

        from edgetl.runtime.engines._pixels import decoder, encoder

        self.engine = engine
        self.input = one_input([_info(given) for given in compiled.inputs])
        self.outputs = tuple(_info(output) for output in compiled.outputs)
        self._encode = encoder(self.input)
        self._decoders = [decoder(info) for info in self.outputs]
        self._request = compiled.create_infer_request()
        # Bound once: OpenVINO reads the input from this array, so a call need not look for it.
        self._held = np.zeros(self.input.shape, self.input.dtype)
        self._request.set_input_tensor(openvino.Tensor(self._held, shared_memory=True))

    def run(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name; see `Session.run`."""
        self._held[...] = self._encode(pixels)
        self._request.infer()
        # Copied, because the next call writes to the same memory.
        return {
            info.name: decode(self._request.get_output_tensor(i).data.copy())
            for i, (info, decode) in enumerate(zip(self.outputs, self._decoders))
        }


def open_session(file: Path, threads: int) -> OpenvinoSession:
    """Load `file`; see `edgetl.runtime.engines.open_session`."""
    import openvino

    engine = f"openvino {openvino.__version__.partition('-')[0]}"
    core = openvino.Core()
    try:
        model = core.read_model(file)
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # Left alone, OpenVINO computes any file in bf16 or f16 on processors that have it, and
            # so does f16 for files that store halves: 13 dB more noise than their weights make.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = core.compile_model(model, "CPU", config)
    except RuntimeError as error:
        raise unloadable(file, engine, error) from error
    return OpenvinoSession(compiled, engine)


def _info(port: Any) -> TensorInfo:  # noqa: ANN401 - openvino is not followed
    partial = port.get_partial_shape()
    shape = tuple(size.get_length() if size.is_static else -1 for size in partial)
    return TensorInfo(
        port.get_any_name(), shape, port.get_element_type().to_dtype().name, None, None
    )
