"""The weights of a `PatchMean` network as numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class NpzExporter:
    version: int = 1
    format: str = "npz"
    file: str = "model.npz"
    files: tuple[str, ...] = ("model.npz",)
    requires: tuple[str, ...] = ("numpy",)
    tools: tuple[str, ...] = ("torch", "numpy")

    def export(
        self,
        module: nn.Module,
        examples: Mapping[str, Tensor],
        outputs: tuple[str, ...],
        out: Path,
    ) -> dict[str, str]:
        import numpy as np

        (example,), (output,) = examples.values(), outputs
        weights = {
            name: module.get_parameter(f"module.{name}").detach().numpy()
            for name in ("stem.weight", "stem.bias", "head.weight", "head.bias")
        }
        np.savez(out / self.file, allow_pickle=False, size=np.array(example.shape[1:3]), **weights)
        return {output: "logits"}


EXPORTER = NpzExporter()
