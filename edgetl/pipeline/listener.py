"""Receives the events of a run, in which several nodes may be made at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgetl.stages import Node
from edgetl.store.store import Artifact


class Listener(Protocol):
    """Receives the events of a run, by node."""

    def begins(self, node: Node) -> None:
        """The stage of `node` starts to run; once more if its process was killed."""

    def step(self, node: Node, done: int, total: int, text: str) -> None:
        """Report that `done` of `total` steps are done; `text` holds the current figures."""

    def note(self, node: Node, text: str) -> None:
        """Show one line about `node` that the user must know."""

    def ends(self, node: Node, artifact: Artifact, *, reused: bool) -> None:
        """The artifact of `node` exists: it was in the store, or was just made."""


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """Passes the progress of one node on to a listener; see `edgetl.pipeline.make.NodeEvents`."""

    listener: Listener
    node: Node

    def begins(self) -> None:
        """Report that the stage starts to run."""
        self.listener.begins(self.node)

    def step(self, done: int, total: int, text: str) -> None:
        """Report that `done` of `total` steps are done."""
        self.listener.step(self.node, done, total, text)

    def note(self, text: str) -> None:
        """Show one line that the user must know."""
        self.listener.note(self.node, text)
