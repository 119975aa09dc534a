"""Train a small network with a teacher, and once more without: the student and its control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import Field, SerializeAsAny

from edgetl.config.recipe import InputTable
from edgetl.config.table import Table
from edgetl.errors import Problem
from edgetl.facts.training import TrainingFacts
from edgetl.models import FAMILIES
from edgetl.stages import Cores, Job, Node, Planned, Root, Stage, Workspace
from edgetl.stages._phases import TEACHER
from edgetl.stages._student import (
    CONTROL,
    METHOD_KEYS,
    STUDENT,
    student_table,
    student_training,
)
from edgetl.stages._training import (
    family_of,
    missing_for_training,
    network_plugins,
    network_problems,
    network_settings,
    result_sentence,
    run_context,
    unread_table,
)
from edgetl.stages._views import inputs_of, model_view, network_input
from edgetl.stages._weights import fetch_pretrained
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.train.distillation import METHODS, MethodSettings, TeacherSignal, method_settings
from edgetl.train.options import DistillTable, NetworkSettings, Training
from edgetl.train.strategies import EVERYTHING, Phase

LABELS = "labels"
"""The method in the facts of a control, which has none."""


class Settings(Table):
    """What a student depends on in addition to its inputs."""

    network: NetworkSettings
    training: SerializeAsAny[Training]
    label_weight: float
    method: MethodSettings | None
    """None for a control, which is trained on labels alone."""
    model: str
    """Name of the network: `STUDENT` or `CONTROL`."""
    device: str = Field(exclude=True)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    student = job.recipe.student
    if student is None:
        return []
    table = student_table(job)
    settings = Settings(
        network=network_settings(job, student, seed=job.recipe.seed),
        training=student_training(job, student),
        label_weight=table.label_weight,
        method=method_settings(table.method, table),
        model=STUDENT,
        device=job.recipe.device,
    )
    dataset, teacher_dataset = (model_view(job, made, name) for name in (STUDENT, TEACHER))
    inputs = {"dataset": dataset, "teacher": made["teacher"][0]}
    if made["teacher outputs"]:
        inputs["teacher outputs"] = made["teacher outputs"][0]
    elif teacher_dataset is not dataset:
        inputs["teacher dataset"] = teacher_dataset
    nodes = [Node("distill", "distill", settings, inputs, key=STUDENT)]
    if table.control:
        # On labels alone, otherwise the same.
        alone = {"method": None, "label_weight": 1.0, "model": CONTROL}
        control = settings.model_copy(update=alone)
        nodes.append(Node("distill", "control", control, {"dataset": dataset}, key=CONTROL))
    return nodes


def _input(job: Job) -> InputTable | None:
    return None if job.recipe.student is None else network_input(job, job.recipe.student)


def _check(job: Job) -> Iterator[Problem]:
    if job.recipe.student is None:
        yield from unread_table(job, "distill", "student")
        return
    yield from network_problems(job, job.recipe.student, "student")
    method = student_table(job).method
    lacking = METHODS.load(method).signals - TASKS.load(job.recipe.task).training.signals
    if lacking:
        yield Problem(
            "distill.method",
            f"'{method}' needs {', '.join(sorted(lacking))}, which {job.recipe.task} does not "
            "provide; choose another method",
        )
    if not METHODS.load(method).follows_logits_alone and len(inputs_of(job)) > 1:
        yield Problem(
            "student.input",
            f"differs from the teacher's; `method: {method}` compares feature maps, so both need "
            "the same input",
        )


def _prepare(settings: Settings) -> None:
    fetch_pretrained(settings.network)


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> TrainingFacts:
    from edgetl.data.dataset import Dataset
    from edgetl.models import load_model
    from edgetl.train.device import open_fabric
    from edgetl.train.training_artifacts import write_training_artifacts
    from edgetl.train.weights import build_network

    dataset = Dataset.open(inputs["dataset"].folder)
    task = TASKS.load(dataset.task)
    family, module, report = build_network(settings.network, len(dataset.classes))
    work.progress.note(f"{settings.network.family}: {report.sentence()}")
    teacher_signal = None
    if settings.method is not None:
        spec, network = load_model(inputs["teacher"].folder)
        fabric = open_fabric(settings.device, mixed_precision=settings.training.mixed_precision)
        own, outputs = inputs.get("teacher dataset"), inputs.get("teacher outputs")
        teacher_signal = TeacherSignal(
            spec,
            network.to(fabric.device),
            settings.method,
            settings.label_weight,
            dataset=Dataset.open(own.folder) if own else None,
            outputs=outputs.folder if outputs else None,
        )
    phase = Phase(name="student", learns=(EVERYTHING,), training=settings.training)
    fitted = task.training.train(
        module,
        family,
        phase,
        dataset=dataset,
        run_context=run_context(work, phase.name, settings.device, resumes=True),
        teacher_signal=teacher_signal,
    )
    facts = write_training_artifacts(
        work.out,
        fitted.module,
        network=settings.network,
        dataset=dataset,
        evaluation=task.evaluation,
        report=report,
        phases={phase.name: fitted},
        model=settings.model,
    )
    method = settings.method.name if settings.method else LABELS
    return facts.model_copy(update={"method": method})


def _summary(facts: TrainingFacts) -> str:
    alone = ", on labels alone" if facts.method == LABELS else ""
    return f"{result_sentence(facts)}{alone}"


def _tools(settings: Settings) -> tuple[str, ...]:
    return TASKS.load(FAMILIES.load(settings.network.family).task).training.tools


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    plugins = network_plugins(settings.network)
    if settings.method is not None:
        plugins |= METHODS.stamp(settings.method.name) | family_of(inputs["teacher"])
    return plugins


STAGE = Stage(
    name="distill",
    version=6,
    needs=("view", "teacher", "teacher outputs"),
    makes="student",
    root=Root(STUDENT, _input),
    options=DistillTable,
    plan=_plan,
    tools=_tools,
    facts=TrainingFacts,
    run=_run,
    summary=_summary,
    check=_check,
    missing=missing_for_training,
    prepare=_prepare,
    plugins=_plugins,
    methods=METHOD_KEYS,
    cores=Cores.ALL,
)
