"""The packages that training and export need and that only the extra ``train`` installs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from edgetl.errors import MissingPackage

_MODULES = {
    "lightning_fabric": "lightning-fabric",
    "safetensors": "safetensors",
    "tensorboard": "tensorboard",
    "torch": "torch",
    "torchvision": "torchvision",
}
"""Importable name to the name of its distribution."""
_REQUIREMENT = "edgetl[train]"


def missing_packages() -> Iterator[MissingPackage]:
    """Yield every package of the extra ``train`` that cannot be imported, without importing any."""
    for module, distribution in _MODULES.items():
        if find_spec(module) is None:
            yield MissingPackage("training", distribution, _REQUIREMENT)
