"""A quantizer in a process of its own: ``python -m edgetl.quantizers._isolated REQUEST``.

The packages behind it draw progress bars that cannot be turned off, warn through the root logger,
and nncf replaces the class of all loggers when imported. None of that may reach the pipeline.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from edgetl.config.calibration import Int8Table
from edgetl.types import Facts, Precision
from edgetl.worker import run_worker

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray


class QuantizerModule(Protocol):
    """Where the work is done, alone in its process; may import frameworks at the top."""

    def quantize(
        self,
        model: Path,
        images: NDArray[np.uint8],
        precision: Precision,
        settings: Int8Table,
        out: Path,
    ) -> Facts:
        """Do what `edgetl.quantizers.Quantizer.quantize` promises, but for the silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolatedQuantizer:
    """Runs ``quantize`` of a module in another process; see `edgetl.quantizers.Quantizer`."""

    module: str
    """Dotted name of a `QuantizerModule`."""
    reads: str
    requires: tuple[str, ...]
    tools: tuple[str, ...]
    precisions: frozenset[Precision]
    estimators: frozenset[str]
    version: int = 1

    def quantize(
        self,
        model: Path,
        images: NDArray[np.uint8],
        precision: Precision,
        settings: Int8Table,
        out: Path,
    ) -> Facts:
        """Write the model in `precision`; see `edgetl.quantizers.Quantizer.quantize`."""
        import numpy as np

        with tempfile.TemporaryDirectory(prefix="edgetl-quantize-") as folder:
            request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
            stored = Path(folder) / "images.npy"
            np.save(stored, images)
            content = {
                "module": self.module,
                "model": str(model.resolve()),
                "images": str(stored),
                "precision": precision.value,
                "settings": settings.model_dump(mode="json"),
                "out": str(out.resolve()),
                "answer": str(answer),
            }
            request.write_text(json.dumps(content), encoding="utf-8")
            run_worker(
                __name__,
                (str(request),),
                failure=f"{self.requires[0]} could not make {precision.value} of {model.name}",
                remedy=f"take {precision.value} out of the candidates of '{self.reads}'",
            )
            found: Facts = json.loads(answer.read_text(encoding="utf-8"))
        return found


def main(request: Path) -> None:
    """Do what the file `request` asks for."""
    import numpy as np

    content = json.loads(request.read_text(encoding="utf-8"))
    module = cast("QuantizerModule", importlib.import_module(content["module"]))
    found = module.quantize(
        Path(content["model"]),
        np.load(content["images"], mmap_mode="r"),
        Precision(content["precision"]),
        Int8Table.model_validate(content["settings"]),
        Path(content["out"]),
    )
    Path(content["answer"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
