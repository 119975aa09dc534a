"""Measure the gain from the teacher: the student against the same student on labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from edgetl.config.table import Table
from edgetl.facts.training import ComparisonFacts
from edgetl.stages import Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._deployed import predictions_of
from edgetl.stages._model_chain import chain_of
from edgetl.stages._student import CONTROL, STUDENT
from edgetl.stages._training import family_of
from edgetl.stages._views import deployed_view
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.types import Split


class Settings(Table):
    """What a comparison depends on in addition to the two models and the images."""

    task: str = Field(exclude=True)
    """Enters the key only by its version and the tools of its evaluation."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    students = {node.key: node for node in made["student"]}
    if CONTROL not in students:
        return []
    inputs = {
        "dataset": deployed_view(job, made),
        # Before its `refine` steps, which the control does not get.
        "student": chain_of(students[STUDENT])[0],
        "control": students[CONTROL],
    }
    return [Node("compare", "compare", Settings(task=job.recipe.task), inputs)]


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> ComparisonFacts:
    del settings, work
    from edgetl.data.dataset import Dataset

    dataset = Dataset.open(inputs["dataset"].folder)
    if not dataset.names(Split.TEST):
        return ComparisonFacts(images=0)
    evaluation = TASKS.load(dataset.task).evaluation
    student, control = (
        predictions_of(inputs[name], dataset, Split.TEST, None) for name in ("student", "control")
    )
    return ComparisonFacts(
        images=len(dataset.names(Split.TEST)),
        student=evaluation.score(student, dataset, Split.TEST),
        control=evaluation.score(control, dataset, Split.TEST),
        gain=evaluation.difference(student, control, dataset, Split.TEST),
    )


def _summary(facts: ComparisonFacts) -> str:
    if facts.student is None or facts.gain is None:
        return "no test images, so no gain can be measured"
    gain = facts.gain
    figures = (
        f"{facts.student.title} gain {gain.pp:+.1f} pp [{gain.low_pp:+.1f}, {gain.high_pp:+.1f}]"
    )
    if gain.low_pp > 0.0:
        return f"{figures}: the student is better with its teacher"
    if gain.high_pp < 0.0:
        return f"{figures}: the student is worse with its teacher"
    return f"{figures}: no benefit shown"


def _tools(settings: Settings) -> tuple[str, ...]:
    return (*TASKS.load(settings.task).evaluation_tools, "numpy", "torch", "torchvision")


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del settings
    return family_of(inputs["student"]) | family_of(inputs["control"])


STAGE = Stage(
    name="compare",
    version=5,
    needs=("view", "student"),
    makes="comparison",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=ComparisonFacts,
    run=_run,
    summary=_summary,
    plugins=_plugins,
)
