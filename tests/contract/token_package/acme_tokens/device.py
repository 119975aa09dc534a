"""Pairing on the device: the classes of a sample, as for an image."""

from __future__ import annotations

from edgetl.runtime.tasks.classification import (
    predict,
    problems,
    replay_rows,
    stored,
    with_threshold,
)

__all__ = ["predict", "problems", "replay_rows", "stored", "with_threshold"]
