"""Steps of a `refine` list come behind the root of their model; readers get the last of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from edgetl.config.refinement import Refinement
from edgetl.config.table import Table
from edgetl.facts import NoFacts
from edgetl.pipeline.planner import Plan, in_order, plan_round
from edgetl.stages import (
    MODEL_KIND,
    REFINED_KIND,
    Job,
    Node,
    Planned,
    Refining,
    Root,
    Stage,
    no_nodes,
)
from edgetl.stages._model_chain import chain_of
from edgetl.store.store import Artifact
from edgetl.types import Facts


class Options(Table):
    amount: int = 0


def _stage(
    name: str,
    needs: tuple[str, ...],
    makes: str,
    *,
    plan: Callable[[Job, Planned], Sequence[Node]] = no_nodes,
    refine: Callable[[Job, Refining, Planned], Node] | None = None,
    root: str = "",
) -> Stage:
    return Stage(
        name=name,
        version=1,
        needs=needs,
        makes=makes,
        options=Options,
        plan=plan,
        refine=refine,
        root=Root(root, lambda _: None) if root else None,
        tools=lambda _: (),
        facts=NoFacts,
        run=lambda _settings, _inputs, _work: NoFacts(),
        summary=lambda _: "",
    )


def _train(job: Job, made: Planned) -> list[Node]:
    del job
    return [Node("finetune", "finetune", Table(), {"view": made["view"][0]}, key="teacher")]


def _distill(job: Job, made: Planned) -> list[Node]:
    del job
    inputs = {"teacher": made["teacher"][0]}
    return [
        Node("distill", "distill", Table(), inputs, key="student"),
        Node("distill", "control", Table(), key="control"),
    ]


def _adapt(job: Job, step: Refining, made: Planned) -> Node:
    del job
    inputs = {"model": step.source, "unlabelled": made["unlabelled"][0]}
    label = f"adapt {step.model} {step.step}"
    return Node("adapt", label, step.options, inputs, key=step.model)


def _count(job: Job, made: Planned) -> list[Node]:
    del job
    return [Node("count", "count", Table(), {str(node.key): node for node in made[MODEL_KIND]})]


def _one(stage: str) -> Callable[[Job, Planned], Sequence[Node]]:
    return lambda _job, _made: [Node(stage, stage, Table())]


@pytest.fixture
def stages() -> Mapping[str, Stage]:
    return in_order(
        [
            _stage("adapt", ("unlabelled",), REFINED_KIND, refine=_adapt),
            _stage("distill", ("teacher",), "student", plan=_distill, root="student"),
            _stage("finetune", ("view",), "teacher", plan=_train, root="teacher"),
            _stage("view", (), "view", plan=_one("view")),
            # By its name it would come after the trainings.
            _stage("watch", (), "unlabelled", plan=_one("watch")),
        ]
    )


def _plan(
    job: Job,
    stages: Mapping[str, Stage],
    find: Callable[[Node], Artifact | None] = lambda _: None,
    **refine: int,
) -> Plan:
    refinements = {
        model: tuple(
            Refinement("adapt", Options(amount=i), f"{model}.refine.{i}") for i in range(n)
        )
        for model, n in refine.items()
    }
    return plan_round(dataclasses.replace(job, refinements=refinements), stages, find)


def test_without_a_list_nothing_is_added(job: Job, stages: Mapping[str, Stage]) -> None:
    plan = _plan(job, stages)
    assert [node.label for node in plan.nodes] == [
        "view", "watch", "finetune", "distill", "control",
    ]  # fmt: skip


def test_steps_follow_their_root_in_the_order_of_the_list(
    job: Job, stages: Mapping[str, Stage]
) -> None:
    plan = _plan(job, stages, teacher=2, student=1)
    labels = [node.label for node in plan.nodes]
    assert labels == [
        "view", "watch", "finetune", "adapt teacher 1", "adapt teacher 2", "distill",
        "adapt student 1", "control",
    ]  # fmt: skip
    by_label = dict(zip(labels, plan.nodes, strict=True))
    assert by_label["adapt teacher 1"].inputs["model"] is by_label["finetune"]
    assert by_label["adapt teacher 2"].inputs["model"] is by_label["adapt teacher 1"]
    assert by_label["adapt teacher 2"].settings == Options(amount=1)
    # Readers of the teacher get the last of its chain; the control is not refined.
    assert by_label["distill"].inputs["teacher"] is by_label["adapt teacher 2"]
    assert by_label["control"].inputs == {}


def test_training_waits_for_a_decision_on_what_its_refining_steps_need(
    job: Job,
    stages: Mapping[str, Stage],
    tmp_path: Path,
    shelve: Callable[[Path, str, str, Facts], Artifact],
) -> None:
    choice = Node("choice", "choice", Table())

    def watch(job: Job, made: Planned) -> list[Node]:
        del made
        job.decision(choice)
        return [Node("watch", "watch", Table())]

    waiting = {**stages, "watch": dataclasses.replace(stages["watch"], plan=watch)}

    before = _plan(job, waiting, teacher=1)
    after = _plan(job, waiting, lambda _: shelve(tmp_path, "choice", "choice", {}), teacher=1)

    # The training needs a view alone, but the step behind it reads what waits for the choice.
    assert [node.label for node in before.nodes] == ["view"]
    assert before.undecided == (choice,)
    assert [node.label for node in after.nodes] == [
        "view", "watch", "finetune", "adapt teacher 1", "distill", "control",
    ]  # fmt: skip
    assert after.undecided == ()


def test_stage_that_needs_models_gets_the_end_of_every_chain(
    job: Job, stages: Mapping[str, Stage]
) -> None:
    # By its name it would come before the trainings.
    count = _stage("count", (MODEL_KIND,), "count", plan=_count)
    nodes = _plan(job, in_order([count, *stages.values()]), teacher=2, student=1).nodes
    by_label = {node.label: node for node in nodes}
    assert by_label["count"].inputs == {
        "teacher": by_label["adapt teacher 2"],
        "student": by_label["adapt student 1"],
        "control": by_label["control"],
    }


def test_stage_that_refines_nothing_is_a_bug(job: Job, stages: Mapping[str, Stage]) -> None:
    broken = {**stages, "adapt": dataclasses.replace(stages["adapt"], refine=None)}
    with pytest.raises(ValueError, match="stage 'adapt' does not refine models"):
        _plan(job, broken, teacher=1)


def test_chain_of_a_model_starts_at_its_root(job: Job, stages: Mapping[str, Stage]) -> None:
    nodes = {node.label: node for node in _plan(job, stages, teacher=2).nodes}
    chain = chain_of(nodes["adapt teacher 2"])
    assert [node.label for node in chain] == ["finetune", "adapt teacher 1", "adapt teacher 2"]
    assert chain_of(nodes["finetune"]) == (nodes["finetune"],)
