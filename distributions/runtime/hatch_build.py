"""Build hook: add the runtime's files, which lie outside of this folder in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SOURCES = ("edgetl/__init__.py", "edgetl/py.typed", "edgetl/runtime")


class Sources(BuildHookInterface):
    """Maps `_SOURCES` to the same paths in the wheel and in the source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files; an editable install links to them instead."""
        if version == "editable":
            return
        folder = Path(self.root)
        # A source distribution contains them, a checkout has them two folders up.
        tree = folder if (folder / "edgetl").is_dir() else folder.parents[1]
        build_data["force_include"] |= {str(tree / name): name for name in _SOURCES}
