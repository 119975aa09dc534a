"""Device halves of installed packages' tasks, which are copied to a device into this folder."""

from __future__ import annotations

from pathlib import Path

from edgetl.runtime.errors import TaskError
from edgetl.runtime.installed_modules import InstalledModules

INSTALLED = InstalledModules(
    group="edgetl.runtime_tasks",
    folder=Path(__file__).resolve().parent,
    noun="a device half",
    of="of task",
    error=TaskError,
)
