"""The manifest of an artifact: what was asked for, what came out, from what."""

from __future__ import annotations

from pydantic import Field

from edgetl.config.table import Table
from edgetl.types import Fact, Facts

MANIFEST_FILE = "manifest.json"


class Manifest(Table):
    """Everything known about one artifact."""

    schema_version: int = 1
    stage: str
    version: int
    """Version of the stage that made it."""
    kind: str
    label: str
    """What the plan called it when it was made; for people, no part of key or digest."""
    settings: dict[str, Fact]
    inputs: dict[str, str]
    """Input name to the digest of the artifact that was read."""
    tools: dict[str, str]
    """Distribution to version, of those that may change the result."""
    plugins: dict[str, str] = Field(default_factory=dict)
    """Kind and name to version, of every plug-in that was loaded: ``exporter onnx`` to ``1``."""
    files: dict[str, str]
    """POSIX path below the artifact to SHA-256."""
    facts: Facts
    key: str
    """SHA-256 of what was asked for: stage, version, settings, inputs, tools, plug-ins."""
    digest: str
    """SHA-256 of what came out: kind, files, facts."""
    made_at: str
    """UTC time of the commit, ISO 8601."""
    seconds: float
    """How long the stage ran, in the attempt that ended well."""
