"""What depends on a decision is planned, and made, in the round after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edgetl.config.table import Table
from edgetl.facts import FactsModel
from edgetl.pipeline.execute import run, survey
from edgetl.pipeline.planner import in_order
from edgetl.stages import Job, Node, Planned, Stage, Workspace
from edgetl.store.store import Artifact, Store

Stages = Mapping[str, Stage]


class ValueFacts(FactsModel):
    value: int


class Number(Table):
    number: int


def _value(settings: Number, inputs: object, work: Workspace) -> ValueFacts:
    del inputs
    (work.out / "value.txt").write_text(str(settings.number))
    return ValueFacts(value=settings.number)


def _total(settings: Number, inputs: Mapping[str, Artifact], work: Workspace) -> ValueFacts:
    value = settings.number + sum(artifact.read(ValueFacts).value for artifact in inputs.values())
    (work.out / "value.txt").write_text(str(value))
    return ValueFacts(value=value)


def _plan_trials(job: Job, made: Planned) -> list[Node]:
    del job, made
    return [Node("trial", f"trial {i}", Number(number=i)) for i in (1, 5, 3)]


def _plan_search(job: Job, made: Planned) -> list[Node]:
    del job
    return [Node("search", "search", Number(number=0), {n.label: n for n in made["trial"]})]


def _plan_rest(job: Job, made: Planned) -> list[Node]:
    """As many nodes as the decision says, which nobody knows before it is made."""
    [search] = made["search"]
    count = job.decision(search).read(ValueFacts).value
    return [Node("rest", f"rest {i}", Number(number=i)) for i in range(count)]


def _plan_last(job: Job, made: Planned) -> list[Node]:
    del job
    return [Node("last", "last", Number(number=0), {n.label: n for n in made["rest"]})]


@pytest.fixture
def stages() -> Stages:
    return in_order(
        [
            _stage("trial", (), _plan_trials, _value),
            _stage("search", ("trial",), _plan_search, _total),
            _stage("rest", ("search",), _plan_rest, _value),
            _stage("last", ("rest",), _plan_last, _total),
        ]
    )


def _stage(
    name: str,
    needs: tuple[str, ...],
    plan: Callable[[Job, Planned], list[Node]],
    run_it: Callable[..., ValueFacts],
) -> Stage:
    return Stage(
        name=name,
        version=1,
        needs=needs,
        makes=name,
        options=Table,
        plan=plan,
        tools=lambda _: (),
        run=run_it,
        summary=str,
        facts=ValueFacts,
    )


def test_plan_goes_as_far_as_the_decision_and_names_it(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    before = survey(job, Store(tmp_path), stages)
    assert [step.node.label for step in before.steps] == ["trial 1", "trial 5", "trial 3", "search"]
    assert [node.label for node in before.undecided] == ["search"]

    run(job, Store(tmp_path), stages, recorder)

    after = survey(job, Store(tmp_path), stages)
    assert [step.node.label for step in after.steps][4:] == [
        *(f"rest {i}" for i in range(9)),
        "last",
    ]
    assert all(step.artifact for step in after.steps)
    assert after.undecided == ()


def test_run_goes_on_after_the_decision_and_reports_every_node_once(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    made = run(job, Store(tmp_path), stages, recorder)
    assert made["search"].read(ValueFacts).value == 9  # 1 + 5 + 3
    assert made["last"].read(ValueFacts).value == 36  # 0 + 1 + ... + 8
    assert sorted(recorder.events) == sorted({*recorder.events})

    recorder.events.clear()
    assert run(job, Store(tmp_path), stages, recorder) == made
    assert len(recorder.events) == len(made)
    assert all(event.startswith("reused") for event in recorder.events)


def test_decision_that_no_stage_plans_is_a_bug(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    def waits(job: Job, made: Planned) -> list[Node]:
        del made
        job.decision(Node("search", "nowhere", Number(number=1)))
        return []

    broken = {**stages, "rest": dataclasses.replace(stages["rest"], plan=waits)}
    with pytest.raises(ValueError, match="a plan waits for 'nowhere', which no stage plans"):
        run(job, Store(tmp_path), broken, recorder)
