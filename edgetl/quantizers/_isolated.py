"""Run a quantizer in its own process: ``python -m edgetl.quantizers._isolated REQUEST``.

The packages it uses print progress bars that cannot be turned off and warn through the root logger,
and importing nncf replaces the logger class. None of this may reach the pipeline.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from edgetl.config.calibration import Int8Table
from edgetl.types import Facts, Precision
from edgetl.worker import run_worker

if TYPE_CHECKING:  # planning must not wait for numpy
    from numpy.typing import NDArray


class QuantizerModule(Protocol):
    """Does the work inside the worker process; may import frameworks at module level."""

    def quantize(
        self,
        model: Path,
        samples: Mapping[str, NDArray[Any]],
        precision: Precision,
        settings: Int8Table,
        out: Path,
    ) -> Facts:
        """Implement `edgetl.quantizers.Quantizer.quantize`; may print."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolatedQuantizer:
    """Runs a module's ``quantize`` in another process; see `edgetl.quantizers.Quantizer`."""

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
        samples: Mapping[str, NDArray[Any]],
        precision: Precision,
        settings: Int8Table,
        out: Path,
    ) -> Facts:
        """Write the model in `precision`; see `edgetl.quantizers.Quantizer.quantize`."""
        import numpy as np

        with tempfile.TemporaryDirectory(prefix="edgetl-quantize-") as folder:
            request, response = Path(folder) / "request.json", Path(folder) / "response.json"
            stored = {}
            for number, (name, values) in enumerate(samples.items()):
                stored[name] = str(Path(folder) / f"samples-{number}.npy")
                np.save(stored[name], values)
            content = {
                "module": self.module,
                "model": str(model.resolve()),
                "samples": stored,
                "precision": precision.value,
                "settings": settings.model_dump(mode="json"),
                "out": str(out.resolve()),
                "response": str(response),
            }
            request.write_text(json.dumps(content), encoding="utf-8")
            run_worker(
                __name__,
                (str(request),),
                failure=f"{self.requires[0]} could not convert {model.name} to {precision.value}",
                remedy=f"remove {precision.value} from the candidates of '{self.reads}'",
            )
            facts: Facts = json.loads(response.read_text(encoding="utf-8"))
        return facts


def main(request: Path) -> None:
    """Run the quantizer described by the file `request`."""
    import numpy as np

    content = json.loads(request.read_text(encoding="utf-8"))
    module = cast("QuantizerModule", importlib.import_module(content["module"]))
    facts = module.quantize(
        Path(content["model"]),
        {name: np.load(path, mmap_mode="r") for name, path in content["samples"].items()},
        Precision(content["precision"]),
        Int8Table.model_validate(content["settings"]),
        Path(content["out"]),
    )
    Path(content["response"]).write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
