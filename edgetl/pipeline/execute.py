"""Look up existing artifacts and make the missing ones, by an executor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError

from edgetl.errors import MissingPackage, MissingPackageError
from edgetl.pipeline.executors import Executor
from edgetl.pipeline.executors.serial import EXECUTOR
from edgetl.pipeline.listener import Listener
from edgetl.pipeline.make import request_of
from edgetl.pipeline.planner import plan_round
from edgetl.pipeline.schedule import Schedule
from edgetl.runtime.errors import EngineError
from edgetl.stages import Job, Node, Stage
from edgetl.store.store import Artifact, Request, Store


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
            request = request_of(node, inputs, self._stages[node.stage])
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
    job: Job,
    store: Store,
    stages: Mapping[str, Stage],
    listener: Listener,
    *,
    executor: Executor = EXECUTOR,
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
    artifacts: dict[str, Artifact] = {}

    def rounds() -> Iterator[Schedule]:
        reported: dict[str, Artifact] = {}
        undecided = True
        while undecided:
            finder = Finder(store, stages)
            plan = plan_round(job, stages, finder.find)
            to_make = {node for node in plan.nodes if finder.find(node) is None}
            for node in plan.nodes:
                if node in to_make:
                    stages[node.stage].prepare(node.settings)
            schedule = Schedule(
                plan.nodes, store, stages, listener, to_make=to_make, reported=reported
            )
            yield schedule
            for node in plan.undecided:
                if node not in schedule.artifacts:
                    raise ValueError(f"a plan waits for '{node.label}', which no stage plans")
            undecided = bool(plan.undecided)
            artifacts.update((node.label, schedule.artifacts[node]) for node in plan.nodes)

    try:
        executor.execute(rounds())
    finally:
        store.memory.save()
    return artifacts


def run_nodes(
    nodes: Sequence[Node],
    store: Store,
    stages: Mapping[str, Stage],
    listener: Listener,
    *,
    executor: Executor = EXECUTOR,
) -> dict[Node, Artifact]:
    """Make the missing artifacts of `nodes`, each after those that it reads; raises like `run`."""
    store.root.mkdir(parents=True, exist_ok=True)
    schedule = Schedule(nodes, store, stages, listener, to_make=set(nodes), reported={})
    try:
        executor.execute([schedule])
    finally:
        store.memory.save()
    return {node: schedule.artifacts[node] for node in nodes}


def _missing_packages(job: Job, stages: Mapping[str, Stage]) -> tuple[MissingPackage, ...]:
    """Return the packages that a run of `job` needs and that are not installed."""
    return tuple(package for stage in stages.values() for package in stage.missing(job))
