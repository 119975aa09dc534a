"""The order of stages, derived from what each needs and makes; the nodes of a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import TopologicalSorter

from edgetl.stages import STAGES, Job, Node, Stage


@cache
def all_stages() -> Mapping[str, Stage]:
    """Return every stage plug-in by name, in order."""
    return in_order([STAGES.load(name) for name in STAGES.names()])


def in_order(given: Iterable[Stage]) -> Mapping[str, Stage]:
    """Return stages by name, each after those that make what it needs; alike ones by name.

    Raises:
        CycleError: If stages need each other's results.
        ValueError: If a stage needs a kind that none makes, or two make the same.
    """
    stages = {stage.name: stage for stage in given}
    makers: dict[str, str] = {}
    for name, stage in stages.items():
        if stage.makes in makers:
            raise ValueError(f"stages {makers[stage.makes]} and {name} both make {stage.makes}")
        makers[stage.makes] = name
    for name, stage in stages.items():
        unknown = sorted(set(stage.needs) - set(makers))
        if unknown:
            raise ValueError(f"stage {name} needs {', '.join(unknown)}, which no stage makes")
    sorter = TopologicalSorter(
        {name: {makers[kind] for kind in stages[name].needs} for name in stages}
    )
    sorter.prepare()
    ordered: dict[str, Stage] = {}
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered |= {name: stages[name] for name in ready}
        sorter.done(*ready)
    return ordered


def plan_nodes(job: Job, stages: Mapping[str, Stage]) -> tuple[Node, ...]:
    """Return everything that `job` wants from ordered `stages`, each node after those it reads.

    Raises:
        EdgetlError: If a stage cannot plan, for example because the data are missing.
        ValueError: If two nodes carry the same label.
    """
    made: dict[str, list[Node]] = {stage.makes: [] for stage in stages.values()}
    nodes: list[Node] = []
    for stage in stages.values():
        for node in stage.plan(job, made):
            if any(other.label == node.label for other in nodes):
                raise ValueError(f"two nodes are called '{node.label}'")
            made[stage.makes].append(node)
            nodes.append(node)
    return tuple(nodes)
