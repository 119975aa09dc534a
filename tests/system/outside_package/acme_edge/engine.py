"""Runs `PatchMean` networks in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetl.runtime.engines import CPU, TensorInfo, unloadable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

VERSION = 1
PROVIDERS = {CPU: ("numpy",)}
FILES = ("_patch_mean.py",)


class NpzSession:
    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        import numpy as np

        self._weights = weights
        height, width = (int(side) for side in weights["size"])
        self.engine = f"numpy {np.__version__}"
        self.inputs = (TensorInfo("image", (1, height, width, 3), "float32", None, None),)
        shape = (1, len(weights["head.bias"]))
        self.outputs = (TensorInfo("logits", shape, "float32", None, None),)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        from ._patch_mean import predict

        return {"logits": predict(self._weights, inputs["image"])}


def open_session(file: Path, threads: int, provider: str) -> NpzSession:
    del threads, provider
    import zipfile

    import numpy as np

    try:
        with np.load(file) as arrays:
            return NpzSession(dict(arrays))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise unloadable(file, f"numpy {np.__version__}", error) from error
