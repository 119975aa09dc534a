"""What runs on the device: numpy, Pillow and one engine, nothing else of edgetl.

``from edgetl.runtime import Predictor`` is the way in. Stays Python 3.9 compatible, because boards
are old.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetl.runtime.predictor import Predictor

__all__ = ["Predictor"]

if not TYPE_CHECKING:  # else any name would pass for one of this package

    def __getattr__(name: str) -> object:
        """Import what the package offers when it is used: the command's help needs no numpy."""
        if name not in __all__:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        from edgetl.runtime.predictor import Predictor

        return Predictor
