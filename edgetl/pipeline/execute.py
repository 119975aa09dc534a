"""Look up existing artifacts and make the missing ones, in order."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from edgetl.errors import MissingPackage, MissingPackageError, StoreError
from edgetl.pipeline.planner import plan_round
from edgetl.runtime.errors import EngineError
from edgetl.stages import Job, Node, Progress, Stage, Workspace
from edgetl.store.store import Artifact, Request, Store

_FULL_BYTES = 1 << 20
"""If less space than this is free after a failure, the full disk was the reason."""


class Listener(Progress, Protocol):
    """Receives the events of a run, by node."""

    def begins(self, node: Node) -> None:
        """The stage of `node` starts to run."""

    def ends(self, node: Node, artifact: Artifact, *, reused: bool) -> None:
        """The artifact of `node` exists: it was in the store, or was just made."""


@dataclass(frozen=True, slots=True)
class Step:
    """A node with what is known about it before anything runs."""

    node: Node
    request: Request | None
    """None as long as an input does not exist, whose digest is part of the request, or a package is
    not installed, whose version is."""
    artifact: Artifact | None
    """The finished artifact, if it exists."""


class Finder:
    """Finds the artifacts of planned nodes in a store, by the requests that would make them."""

    def __init__(self, store: Store, stages: Mapping[str, Stage]) -> None:
        self._store = store
        self._stages = stages
        self._steps: dict[Node, Step] = {}

    def step(self, node: Node) -> Step:
        """Return what is known about `node`.

        Raises:
            StoreError: If its artifact, or one that it reads, is damaged.
        """
        if node not in self._steps:
            self._steps[node] = self._look_up(node)
        return self._steps[node]

    def find(self, node: Node) -> Artifact | None:
        """Return the artifact of `node`, None if it does not exist; raises like `step`."""
        return self.step(node).artifact

    def _look_up(self, node: Node) -> Step:
        inputs: dict[str, Artifact] = {}
        for name, source in node.inputs.items():
            artifact = self.find(source)
            if artifact is None:
                return Step(node, None, None)
            inputs[name] = artifact
        try:
            request = _request(node, inputs, self._stages[node.stage])
        except (PackageNotFoundError, EngineError):
            return Step(node, None, None)
        return Step(node, request, self._store.find(request))


@dataclass(frozen=True, slots=True)
class Survey:
    """The existing and the missing artifacts of a job."""

    steps: tuple[Step, ...]
    undecided: tuple[Node, ...]
    """Decisions after which more nodes are planned."""
    missing: tuple[MissingPackage, ...]
    """Packages that a run needs and that are not installed."""


def survey(job: Job, store: Store, stages: Mapping[str, Stage]) -> Survey:
    """Return the existing and the missing artifacts, without making anything.

    Raises:
        EdgetlError: If a stage cannot plan.
        StoreError: If an artifact that would be used is damaged.
    """
    finder = Finder(store, stages)
    plan = plan_round(job, stages, finder.find)
    steps = tuple(finder.step(node) for node in plan.nodes)
    store.memory.save()
    return Survey(steps, plan.undecided, _missing_packages(job, stages))


def run(
    job: Job, store: Store, stages: Mapping[str, Stage], listener: Listener
) -> dict[str, Artifact]:
    """Make everything that is missing and return all artifacts by label.

    Nodes that depend on a decision are planned once it is made. After a failure the artifacts made
    so far and the checkpoints of the failed stage are kept; the same call resumes from there.

    Raises:
        MissingPackageError: If packages that the job needs are not installed; nothing is made.
        EdgetlError: If a stage fails for a reason that a user can fix.
        OSError: If the store cannot be written.
        ValueError: If a plan waits for a decision that no stage plans.
    """
    missing = _missing_packages(job, stages)
    if missing:
        raise MissingPackageError.of(missing)
    store.root.mkdir(parents=True, exist_ok=True)
    attempt = _Attempt(store, stages, listener)
    try:
        while True:
            finder = Finder(store, stages)
            plan = plan_round(job, stages, finder.find)
            to_make = {node for node in plan.nodes if finder.find(node) is None}
            for node in plan.nodes:
                if node in to_make:
                    stages[node.stage].prepare(node.settings)
            artifacts = attempt.obtain_all(plan.nodes, to_make)
            for node in plan.undecided:
                if node not in artifacts:
                    raise ValueError(f"a plan waits for '{node.label}', which no stage plans")
            if not plan.undecided:
                return {node.label: artifact for node, artifact in artifacts.items()}
    finally:
        store.memory.save()


def run_nodes(
    nodes: Sequence[Node], store: Store, stages: Mapping[str, Stage], listener: Listener
) -> dict[Node, Artifact]:
    """Make the missing artifacts of `nodes`, each after those that it reads; raises like `run`."""
    store.root.mkdir(parents=True, exist_ok=True)
    try:
        return _Attempt(store, stages, listener).obtain_all(nodes, set(nodes))
    finally:
        store.memory.save()


@dataclass(frozen=True, slots=True)
class _Attempt:
    store: Store
    stages: Mapping[str, Stage]
    listener: Listener
    done: dict[str, Artifact] = field(default_factory=dict)
    """By key: the artifacts that an earlier round has reported already."""

    def obtain_all(self, nodes: Sequence[Node], to_make: AbstractSet[Node]) -> dict[Node, Artifact]:
        """Return the artifacts of `nodes`, of which `to_make` did not exist at the start."""
        artifacts: dict[Node, Artifact] = {}
        for node in nodes:
            inputs = {name: artifacts[source] for name, source in node.inputs.items()}
            artifacts[node] = self._obtain(node, inputs)
            for reader in nodes:
                if reader in to_make and node in reader.inputs.values():
                    self._foresee(reader, artifacts)
        return artifacts

    def _foresee(self, node: Node, artifacts: Mapping[Node, Artifact]) -> None:
        """Let the stage of `node` look at those of its inputs that exist."""
        inputs = {name: artifacts[each] for name, each in node.inputs.items() if each in artifacts}
        self.stages[node.stage].foresee(node.settings, inputs)

    def _obtain(self, node: Node, inputs: Mapping[str, Artifact]) -> Artifact:
        request = _request(node, inputs, self.stages[node.stage])
        if request.key not in self.done:
            self.done[request.key] = self._find_or_make(node, request, inputs)
        return self.done[request.key]

    def _find_or_make(
        self, node: Node, request: Request, inputs: Mapping[str, Artifact]
    ) -> Artifact:
        artifact = self.store.find(request)
        if artifact is not None:
            self.listener.ends(node, artifact, reused=True)
            return artifact
        with (
            _disk_full_named(self.store),
            self.store.making(
                request.key,
                waits=lambda: self.listener.note(
                    f"{node.label}: another process is making this; waiting"
                ),
            ),
        ):
            artifact = self.store.find(
                request
            )  # the other process may have made it in the meantime
            reused = artifact is not None
            if artifact is None:
                self.listener.begins(node)
                artifact = self._make(node, request, inputs)
        self.listener.ends(node, artifact, reused=reused)
        return artifact

    def _make(self, node: Node, request: Request, inputs: Mapping[str, Artifact]) -> Artifact:
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
        plugins=dict(sorted(stage.plugins(node.settings, inputs).items())),
    )


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


def _missing_packages(job: Job, stages: Mapping[str, Stage]) -> tuple[MissingPackage, ...]:
    """Return the packages that a run of `job` needs and that are not installed."""
    return tuple(package for stage in stages.values() for package in stage.missing(job))


@cache
def _installed(distribution: str) -> str:
    return version(distribution)
