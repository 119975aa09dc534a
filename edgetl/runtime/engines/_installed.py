"""Engines of installed packages, which are copied to a device as files of this folder."""

from __future__ import annotations

from pathlib import Path

from edgetl.runtime.errors import EngineError
from edgetl.runtime.installed_modules import InstalledModules

INSTALLED = InstalledModules(
    group="edgetl.engines",
    folder=Path(__file__).resolve().parent,
    noun="an engine",
    of="of format",
    error=EngineError,
)
