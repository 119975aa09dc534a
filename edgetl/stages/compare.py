"""Say what the teacher was good for: the student against the same student on labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgetl.config.table import Table
from edgetl.evaluation import EVALUATIONS
from edgetl.stages import Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._views import deployed_view
from edgetl.store.store import Artifact
from edgetl.types import Facts, Split


class Settings(Table):
    """Nothing: the result depends on the two models and the images alone."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    students = {node.label: node for node in made["student"]}
    if "control" not in students:
        return []
    inputs = {
        "dataset": deployed_view(job, made),
        "student": students["distill"],
        "control": students["control"],
    }
    return [Node("compare", "compare", Settings(), inputs)]


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    del settings, work
    from edgetl.data.dataset import Dataset
    from edgetl.train.training_artifacts import read_predictions

    dataset = Dataset.open(inputs["dataset"].folder)
    if not dataset.names(Split.TEST):
        return {"images": 0}
    evaluation = EVALUATIONS.load(dataset.task.value)
    student, control = (
        read_predictions(inputs[name].folder, Split.TEST) for name in ("student", "control")
    )
    difference = evaluation.difference(student, control, dataset, Split.TEST)
    return {
        "images": len(dataset.names(Split.TEST)),
        "student": evaluation.score(student, dataset, Split.TEST),
        "control": evaluation.score(control, dataset, Split.TEST),
        "gain_pp": difference["pp"],
        "low_pp": difference["low_pp"],
        "high_pp": difference["high_pp"],
    }


def _summary(facts: Facts) -> str:
    if not facts["images"]:
        return "no test images, so no gain can be measured"
    figures = (
        f"{facts['student']['title']} gain {facts['gain_pp']:+.1f} pp "
        f"[{facts['low_pp']:+.1f}, {facts['high_pp']:+.1f}]"
    )
    if facts["low_pp"] > 0.0:
        return f"{figures}: the student is better with its teacher"
    if facts["high_pp"] < 0.0:
        return f"{figures}: the student is worse with its teacher"
    return f"{figures}: no benefit shown"


def _tools(settings: Settings) -> tuple[str, ...]:
    del settings
    return ("numpy", "pycocotools")


STAGE = Stage(
    name="compare",
    version=3,
    needs=("view", "student"),
    makes="comparison",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=_summary,
)
