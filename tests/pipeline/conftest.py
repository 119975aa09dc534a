"""Tiny stages: numbers instead of images and models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgetl.config.calibration import Calibration
from edgetl.config.recipe import Recipe
from edgetl.config.table import Table
from edgetl.config.target import Target
from edgetl.facts import FactsModel
from edgetl.pipeline.planner import in_order
from edgetl.stages import Job, Node, Planned, Stage, Workspace
from edgetl.store.store import Artifact


class ValueFacts(FactsModel):
    value: int


class NumberSettings(Table):
    number: int


class AddSettings(Table):
    add: int = 1


class AddTable(Table):
    add: int = 1


@dataclass
class Recorder:
    """Hears everything that a run says."""

    events: list[str] = field(default_factory=list)

    def begins(self, node: Node) -> None:
        self.events.append(f"begins {node.label}")

    def ends(self, node: Node, artifact: Artifact, *, reused: bool) -> None:
        value = artifact.read(ValueFacts).value
        self.events.append(f"{'reused' if reused else 'made'} {node.label} {value}")

    def step(self, node: Node, done: int, total: int, text: str) -> None:
        self.events.append(f"step {node.label} {done}/{total} {text}")

    def note(self, node: Node, text: str) -> None:
        self.events.append(f"note {node.label}: {text}")


def _source_run(
    settings: NumberSettings, inputs: Mapping[str, Artifact], work: Workspace
) -> ValueFacts:
    assert not inputs
    (work.out / "value.txt").write_text(str(settings.number))
    return ValueFacts(value=settings.number)


def _sum_run(settings: AddSettings, inputs: Mapping[str, Artifact], work: Workspace) -> ValueFacts:
    value = int(inputs["number"].file("value.txt").read_text()) + settings.add
    (work.out / "value.txt").write_text(str(value))
    return ValueFacts(value=value)


def _parity_run(settings: Table, inputs: Mapping[str, Artifact], work: Workspace) -> ValueFacts:
    del settings
    value = int(inputs["number"].file("value.txt").read_text()) % 2
    (work.out / "value.txt").write_text(str(value))
    return ValueFacts(value=value)


@pytest.fixture
def numbers() -> dict[str, int]:
    """The world that the source stage looks at."""
    return {"number": 3, "add": 1}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def tiny_stage(
    name: str,
    *,
    needs: tuple[str, ...],
    makes: str,
    plan: Callable[[Job, Planned], Sequence[Node]],
    run: Callable[..., ValueFacts],
    options: type[Table] = Table,
) -> Stage:
    return Stage(
        name=name,
        version=1,
        needs=needs,
        makes=makes,
        options=options,
        plan=plan,
        tools=lambda _: ("click",),
        facts=ValueFacts,
        run=run,
        summary=lambda facts: f"value {facts.value}",
    )


@pytest.fixture
def stages(numbers: dict[str, int]) -> Mapping[str, Stage]:
    def plan_source(job: Job, made: Planned) -> list[Node]:
        del job, made
        return [Node("source", "source", NumberSettings(number=numbers["number"]))]

    def plan_sum(job: Job, made: Planned) -> list[Node]:
        del job
        settings = AddSettings(add=numbers["add"])
        return [Node("sum", "sum", settings, {"number": made["number"][0]})]

    def plan_parity(job: Job, made: Planned) -> list[Node]:
        del job
        return [Node("parity", "parity", Table(), {"number": made["sum"][0]})]

    return in_order(
        [
            tiny_stage("parity", needs=("sum",), makes="parity", plan=plan_parity, run=_parity_run),
            tiny_stage(
                "sum", needs=("number",), makes="sum", plan=plan_sum, run=_sum_run, options=AddTable
            ),
            tiny_stage("source", needs=(), makes="number", plan=plan_source, run=_source_run),
        ]
    )


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        recipe=Recipe.model_validate(
            {
                "name": "tiny",
                "task": "classification",
                "data": {"path": "images"},
                "teacher": {"family": "mobilenet_v2"},
            }
        ),
        tables={},
        targets=(
            Target(
                name="host",
                description="",
                device=None,
                threads=1,
                candidates={"onnx": ()},
            ),
        ),
        calibration=Calibration(name="c", split="train", count=1, sampling="random"),
        folder=tmp_path,
        digest=lambda _: "0" * 64,
    )
