"""Make one artifact, in any process that reaches the store."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Protocol

from edgetl.errors import StoreError
from edgetl.stages import Cores, Node, Progress, Stage, Workspace
from edgetl.store.store import Artifact, Request, Store

_FULL_BYTES = 1 << 20
"""If less space than this is free after a failure, the full disk was the reason."""


class NodeEvents(Progress, Protocol):
    """Receives the events of one node."""

    def begins(self) -> None:
        """The stage starts to run."""


@dataclass(frozen=True, slots=True, eq=False)
class WorkItem:
    """A node that can be made, because everything that it reads exists.

    It has no functions, so it can be sent to another process, which loads the stage by its name.
    """

    node: Node
    request: Request
    inputs: Mapping[str, Artifact]


@dataclass(frozen=True, slots=True)
class Made:
    """The artifact of a work item."""

    artifact: Artifact
    reused: bool
    """Whether another process has made it in the meantime."""


def request_of(node: Node, inputs: Mapping[str, Artifact], stage: Stage) -> Request:
    """Return the request for the artifact of `node`.

    Raises:
        PackageNotFoundError: If a package whose version is part of it is not installed.
        EngineError: If that package is the engine of a format.
    """
    return Request(
        stage=stage.name,
        version=stage.version,
        settings=node.settings.model_dump(mode="json"),
        inputs={name: artifact.manifest.digest for name, artifact in inputs.items()},
        tools={tool: _installed(tool) for tool in sorted(stage.tools(node.settings))},
        plugins=dict(sorted(stage.plugins(node.settings, inputs).items())),
    )


def make(item: WorkItem, stage: Stage, store: Store, events: NodeEvents) -> Made:
    """Run the stage of `item` in this process, and put the result into the store.

    Holds the lock of the artifact; if another process holds it, this waits, and usually finds the
    artifact made.

    Raises:
        EdgetlError: If the stage fails for a reason that a user can fix.
        OSError: If the store cannot be written.
        TypeError: If the stage returns other facts than it states.
    """
    waits = "another process is making this; waiting"
    with (
        _disk_full_named(store),
        store.making(item.request.key, waits=lambda: events.note(waits)),
    ):
        artifact = store.find(item.request)
        if artifact is not None:
            return Made(artifact, reused=True)
        events.begins()
        with _threads_of(stage, item.request):
            return Made(_run(item, stage, store, events), reused=False)


def _run(item: WorkItem, stage: Stage, store: Store, events: NodeEvents) -> Artifact:
    out, scratch, logs = store.folders(item.request)
    started = time.monotonic()
    work = Workspace(out=out, scratch=scratch, logs=logs, progress=events)
    facts = stage.run(item.node.settings, item.inputs, work)
    if type(facts) is not stage.facts:
        raise TypeError(
            f"stage {stage.name} returned {type(facts).__name__}, not {stage.facts.__name__}"
        )
    return store.commit(
        item.request,
        kind=stage.makes,
        label=item.node.label,
        facts=facts.model_dump(mode="json"),
        seconds=time.monotonic() - started,
    )


@contextmanager
def _threads_of(stage: Stage, request: Request) -> Iterator[None]:
    """Let torch use one thread in a stage that needs one core.

    The number of threads may change the last bits of a result, so no executor chooses it. Threads
    that wait for each other are slow on cores that other processes use as well.
    """
    if stage.cores is not Cores.ONE or "torch" not in request.tools:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _disk_full_named(store: Store) -> Iterator[None]:
    # Libraries wrap the error of a full disk in their own, so check the disk as well.
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
                f"no space left on the disk of {store.root}; finished work is kept",
                remedy="free some space ('edgetl prune' removes what no recipe uses) and run again",
            ) from reason


@cache
def _installed(distribution: str) -> str:
    return version(distribution)
