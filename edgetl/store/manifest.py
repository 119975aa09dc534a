"""The manifest of an artifact: request, inputs and result."""

from __future__ import annotations

from pydantic import Field

from edgetl.config.table import Table
from edgetl.types import Fact, Facts

MANIFEST_FILE = "manifest.json"
SCHEMA = 2
"""Of new manifests; in those of schema 1, and in their keys, there are no plug-ins."""


class Manifest(Table):
    """Metadata of one artifact."""

    schema_version: int = SCHEMA
    stage: str
    version: int
    """Version of the stage that created it."""
    kind: str
    label: str
    """Display name from the plan; not part of key or digest."""
    settings: dict[str, Fact]
    inputs: dict[str, str]
    """Input name to the digest of the input artifact."""
    tools: dict[str, str]
    """Distribution to version, for those that may change the result."""
    plugins: dict[str, str] = Field(default_factory=dict)
    """Kind and name to version, of every plug-in that was loaded: ``exporter onnx`` to ``1``."""
    files: dict[str, str]
    """POSIX path relative to the artifact, to SHA-256."""
    facts: Facts
    key: str
    """SHA-256 of the request: stage, version, settings, inputs, tools, plug-ins."""
    digest: str
    """SHA-256 of the result: kind, files, facts."""
    made_at: str
    """UTC time of the commit, ISO 8601."""
    seconds: float
    """Duration of the successful run of the stage."""
