"""Metadata hook: edgetl depends on exactly its own version of edgetl-runtime."""

from __future__ import annotations

from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Dependencies(MetadataHookInterface):
    """Adds edgetl-runtime to the dependencies that the hook's table in pyproject.toml lists."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set ``dependencies``; hatchling has set ``version`` before."""
        runtime = f"edgetl-runtime=={metadata['version']}"
        metadata["dependencies"] = [runtime, *self.config["dependencies"]]
