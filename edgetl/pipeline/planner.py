"""From a job to nodes, in rounds: nodes that depend on a decision are planned once it is made.

The order of stages follows from the kinds that each needs and makes. Several stages may make the
same kind: those that need it come after all of them. Refining stages have no fixed position in that
order: the planner puts the steps of a model's `refine` list after the root of its chain, and stages
that read the model get the last of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter

from edgetl.stages import (
    MODEL_KIND,
    STAGES,
    Job,
    Node,
    Refining,
    Stage,
    UndecidedError,
)
from edgetl.store.store import Artifact


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a job after one round."""

    nodes: tuple[Node, ...]
    """Each node after those that it reads."""
    undecided: tuple[Node, ...] = ()
    """Decisions among `nodes` that the next round waits for; none if the plan is complete."""


@cache
def all_stages() -> Mapping[str, Stage]:
    """Return every stage plug-in by name, in order, including those of installed packages.

    For features about all stages; a recipe needs `edgetl.pipeline.job.recipe_stages`.

    Raises:
        PluginError: If a stage of an installed package cannot be loaded.
        MissingPackageError: If a stage needs a package that is not installed.
    """
    return in_order([STAGES.load(name) for name in STAGES.names()])


def in_order(given: Iterable[Stage]) -> Mapping[str, Stage]:
    """Return stages by name, each after those that make what it needs; ties are broken by name.

    Raises:
        CycleError: If stages need each other's results.
        ValueError: If a stage needs a kind that no stage makes.
    """
    stages = {stage.name: stage for stage in given}
    makers: dict[str, set[str]] = {}
    for name, stage in stages.items():
        for kind in _kinds(stage):
            makers.setdefault(kind, set()).add(name)
    for name, stage in stages.items():
        unknown = sorted(set(stage.needs) - set(makers))
        if unknown:
            raise ValueError(f"stage {name} needs {', '.join(unknown)}, which no stage makes")
    sorter = TopologicalSorter(
        {name: set().union(*(makers[kind] for kind in _needs(stages, name))) for name in stages}
    )
    sorter.prepare()
    ordered: dict[str, Stage] = {}
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered |= {name: stages[name] for name in ready}
        sorter.done(*ready)
    return ordered


def plan_round(
    job: Job, stages: Mapping[str, Stage], find: Callable[[Node], Artifact | None]
) -> Plan:
    """Return everything that can be planned now.

    A stage whose plan depends on a decision without an artifact is postponed to the next round, and
    so is every stage that needs what it makes.

    Args:
        job: The job to plan.
        stages: In the order of `in_order`.
        find: Returns the artifact of a node if it exists.

    Raises:
        EdgetlError: If a stage cannot plan, for example because the data are missing.
        ValueError: If two nodes have the same label.
    """

    def decision(node: Node) -> Artifact:
        artifact = find(node)
        if artifact is None:
            raise UndecidedError(node)
        return artifact

    job = dataclasses.replace(job, decision=decision)
    made: dict[str, list[Node]] = {kind: [] for stage in stages.values() for kind in _kinds(stage)}
    nodes: list[Node] = []
    undecided: dict[Node, None] = {}
    open_kinds: set[str] = set()
    for stage in stages.values():
        if open_kinds & _needs(stages, stage.name):
            open_kinds.update(_kinds(stage))
            continue
        try:
            chains = [_chain(job, stages, stage, root, made) for root in stage.plan(job, made)]
        except UndecidedError as error:
            undecided[error.node] = None
            open_kinds.update(_kinds(stage))
            continue
        for chain in chains:
            nodes += chain
            for kind in _kinds(stage):
                made[kind].append(chain[-1])
    _check_labels(nodes)
    return Plan(tuple(nodes), tuple(undecided))


def _kinds(stage: Stage) -> tuple[str, ...]:
    """Return the kinds under which the nodes of a stage are listed."""
    return (stage.makes, MODEL_KIND) if stage.root else (stage.makes,)


def _needs(stages: Mapping[str, Stage], name: str) -> frozenset[str]:
    """Return the kinds that a stage needs; the root of a chain also those of refining stages."""
    needs = frozenset(stages[name].needs)
    if stages[name].root:
        needs = needs.union(*(stage.needs for stage in stages.values() if stage.refine))
    return needs


def _chain(
    job: Job,
    stages: Mapping[str, Stage],
    stage: Stage,
    root: Node,
    made: Mapping[str, Sequence[Node]],
) -> list[Node]:
    """Return the chain that starts with `root`: only `root` unless there is a `refine` list."""
    chain = [root]
    if stage.root and isinstance(root.key, str):
        for step, refinement in enumerate(job.refinements.get(root.key, ()), start=1):
            refine = stages[refinement.stage].refine
            if refine is None:
                raise ValueError(f"stage '{refinement.stage}' does not refine models")
            chain.append(refine(job, Refining(root.key, step, refinement.options, chain[-1]), made))
    return chain


def _check_labels(nodes: Sequence[Node]) -> None:
    labels: set[str] = set()
    for node in nodes:
        if node.label in labels:
            raise ValueError(f"two nodes are called '{node.label}'")
        labels.add(node.label)
