"""The manifest of a bundle: its target, accuracy and latency, lineage and files."""

from __future__ import annotations

from pydantic import Field

from edgetl.config.board import Board
from edgetl.config.candidate import Candidate
from edgetl.config.limits import Judge, Limits
from edgetl.facts import FactsModel
from edgetl.facts.latency import LatencyFacts
from edgetl.facts.package import Outcome
from edgetl.facts.verification import VerificationFacts


class BundleTarget(FactsModel):
    """The target that a bundle was made for, with the content of its file at that time."""

    name: str
    description: str
    device: str | None
    threads: int
    limits: Limits
    judge: Judge = Judge.POINT
    board: Board | None


class Origin(FactsModel):
    """An artifact that a bundle was made from or judged by."""

    stage: str
    key: str
    digest: str


class BundleManifest(FactsModel):
    """The content of a bundle's ``manifest.json``."""

    schema_version: int = Field(alias="schema")
    """Of the keys that the runtime reads: this and `files`."""
    name: str
    """Of the recipe."""
    edgetl: str
    """Version that made it."""
    target: BundleTarget
    candidate: Candidate
    verdict: Outcome
    why: str
    accuracy: VerificationFacts
    latency: LatencyFacts | None
    made_with: dict[str, str]
    """Distribution to version."""
    lineage: dict[str, Origin]
    model_files: tuple[str, ...]
    """The model's file, and those of its weights if they are separate."""
    files: dict[str, str]
    """POSIX path to SHA-256 of every file except this one."""
