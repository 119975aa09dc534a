"""Look up what is there, make what is not, in order."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Protocol

from edgetl.errors import StoreError
from edgetl.stages import Node, Progress, Stage, Workspace
from edgetl.store.store import Artifact, Request, Store

_FULL_BYTES = 1 << 20
"""Less free space than this after a failure means that the disk was the reason."""


class Listener(Progress, Protocol):
    """Who is told what happens to which node."""

    def begins(self, node: Node) -> None:
        """The stage of `node` starts to run."""

    def ends(self, node: Node, artifact: Artifact, *, reused: bool) -> None:
        """`node` is there, found in the store or just made."""


@dataclass(frozen=True, slots=True)
class Step:
    """A node with what is known of it before anything runs."""

    node: Node
    request: Request | None
    """None while an input is still to be made, because its digest is part of the request."""
    artifact: Artifact | None
    """The finished artifact, if it is there."""


def survey(nodes: Sequence[Node], store: Store, stages: Mapping[str, Stage]) -> tuple[Step, ...]:
    """Return what is there and what is to be made, without making anything.

    Raises:
        StoreError: If an artifact that would be used is damaged.
    """
    found: dict[str, Artifact] = {}
    steps: list[Step] = []
    for node in nodes:
        if any(source.label not in found for source in node.inputs.values()):
            steps.append(Step(node, None, None))
            continue
        inputs = {name: found[source.label] for name, source in node.inputs.items()}
        request = _request(node, inputs, stages[node.stage])
        artifact = store.find(request)
        if artifact is not None:
            found[node.label] = artifact
        steps.append(Step(node, request, artifact))
    store.memory.save()
    return tuple(steps)


def run(
    nodes: Sequence[Node], store: Store, stages: Mapping[str, Stage], listener: Listener
) -> dict[str, Artifact]:
    """Make everything that is missing and return all artifacts by label.

    A failure leaves the artifacts made so far and the checkpoints of the stage that failed; the
    same call goes on from there.

    Raises:
        EdgetlError: If a stage fails for a reason that a user can mend.
        OSError: If the store cannot be written.
    """
    store.root.mkdir(parents=True, exist_ok=True)
    attempt = _Attempt(store, stages, listener)
    found: dict[str, Artifact] = {}
    try:
        for node in nodes:
            inputs = {name: found[source.label] for name, source in node.inputs.items()}
            found[node.label] = attempt.obtain(node, inputs)
    finally:
        store.memory.save()
    return found


@dataclass(frozen=True, slots=True)
class _Attempt:
    store: Store
    stages: Mapping[str, Stage]
    listener: Listener

    def obtain(self, node: Node, inputs: Mapping[str, Artifact]) -> Artifact:
        request = _request(node, inputs, self.stages[node.stage])
        artifact = self.store.find(request)
        if artifact is not None:
            self.listener.ends(node, artifact, reused=True)
            return artifact
        with (
            _disk_full_named(self.store),
            self.store.making(
                request.key,
                waits=lambda: self.listener.note(
                    f"{node.label}: another edgetl is making this; waiting"
                ),
            ),
        ):
            artifact = self.store.find(request)  # the other process may have made it meanwhile
            reused = artifact is not None
            if artifact is None:
                self.listener.begins(node)
                artifact = self.make(node, request, inputs)
        self.listener.ends(node, artifact, reused=reused)
        return artifact

    def make(self, node: Node, request: Request, inputs: Mapping[str, Artifact]) -> Artifact:
        stage = self.stages[node.stage]
        out, scratch, logs = self.store.folders(request)
        started = time.monotonic()
        work = Workspace(out=out, scratch=scratch, logs=logs, progress=self.listener)
        facts = stage.run(node.settings, inputs, work)
        if type(facts) is not stage.facts:
            raise TypeError(
                f"stage {stage.name} returned {type(facts).__name__}, not {stage.facts.__name__}"
            )
        return self.store.commit(
            request,
            kind=stage.makes,
            label=node.label,
            facts=facts.model_dump(mode="json"),
            seconds=time.monotonic() - started,
        )


def _request(node: Node, inputs: Mapping[str, Artifact], stage: Stage) -> Request:
    return Request(
        stage=stage.name,
        version=stage.version,
        settings=node.settings.model_dump(mode="json"),
        inputs={name: artifact.manifest.digest for name, artifact in inputs.items()},
        tools={tool: _installed(tool) for tool in sorted(stage.tools(node.settings))},
    )


@contextmanager
def _disk_full_named(store: Store) -> Iterator[None]:
    # Libraries dress up a full disk in errors of their own, so look at the disk itself as well.
    done = False
    reason: OSError | None = None
    try:
        yield
        done = True
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        reason = error
    finally:
        if not done and (reason or shutil.disk_usage(store.root).free < _FULL_BYTES):
            raise StoreError(
                f"no space left on the disk of {store.root}; what was finished is kept",
                remedy="free some space ('edgetl prune' removes what no recipe uses) and run again",
            ) from reason


@cache
def _installed(distribution: str) -> str:
    return version(distribution)
