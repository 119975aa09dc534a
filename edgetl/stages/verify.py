"""Verify a model file: step-by-step parity with torch, and accuracy with the shipped runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from edgetl.config.candidate import ModelFile
from edgetl.config.table import Table
from edgetl.errors import DataError, MissingPackage, Problem
from edgetl.evaluation import Evaluation, Inputs, Outputs, Predictions
from edgetl.exporters import EXPORTERS
from edgetl.facts.verification import ClassFigures, Drop, LadderStep, VerificationFacts
from edgetl.plugins import ENGINES
from edgetl.runtime.errors import ContractError, EngineError
from edgetl.stages import (
    MODEL_KIND,
    Job,
    Node,
    NoOptions,
    Planned,
    Progress,
    Stage,
    Workspace,
)
from edgetl.stages._candidates import (
    file_node,
    float_node,
    runtime_digest,
    size_bytes,
    wanted,
)
from edgetl.stages._deployed import outputs_of, predictions_of, trained_outputs
from edgetl.stages._model_chain import deployed_node, teacher_of
from edgetl.stages._phases import TEACHER
from edgetl.stages._training import family_of
from edgetl.stages._views import deployed_view, model_view
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.train.packages import missing_packages
from edgetl.types import Precision, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.data.dataset import Dataset
    from edgetl.runtime.detections import NmsSettings
    from edgetl.runtime.predictor import Predictor

WORST_ERRORS_FILE = "worst-errors.png"
PREDICTIONS_FILE = "predictions.npz"
VERIFICATION_FILE = "verification.json"


class Settings(Table):
    """What a verification depends on in addition to its inputs."""

    model: str
    """Name of the network in the recipe."""
    format: str
    precision: Precision
    runtime: str
    """Digest of the runtime's files, which compute the predictions."""
    task: str = Field(exclude=True)
    """Enters the key only by its version and the tools of its evaluation."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    model, view = deployed_node(job, made), deployed_view(job, made)
    teacher = teacher_of(model)
    nodes: list[Node] = []
    for file in wanted(job):
        inputs = {"dataset": view, "model": model, "float": float_node(made, file)}
        if teacher is not None:
            inputs["teacher"] = teacher
            inputs["teacher dataset"] = model_view(job, made, str(teacher.key))
        if file.precision is not Precision.FP32:
            inputs["candidate"] = file_node(made, file)
        settings = Settings(
            model=file.model,
            format=file.format,
            precision=file.precision,
            runtime=runtime_digest(job, [file.format]),
            task=job.recipe.task,
        )
        nodes.append(Node("verify", f"verify {file.name}", settings, inputs, key=file))
    return nodes


def _check(job: Job) -> Iterator[Problem]:
    """Yield the formats that no engine runs."""
    from edgetl.runtime.engines import packages

    for target in job.targets:
        for name in target.files():
            if name not in EXPORTERS.names():
                continue  # reported by export
            try:
                packages(name)
            except ContractError as error:
                yield Problem("targets", f"target '{target.name}': {error.message}")


def _missing(job: Job) -> Iterator[MissingPackage]:
    from edgetl.runtime.engines import package, packages

    yield from missing_packages()
    for name in dict.fromkeys(name for target in job.targets for name in target.files()):
        try:
            package(name)
        except EngineError:
            extra, engine = EXPORTERS.extra_of(name), packages(name)[0]
            requirement = f"edgetl[{extra}]" if extra else engine
            yield MissingPackage(f"a model of format '{name}'", engine, requirement)


def _tools(settings: Settings) -> tuple[str, ...]:
    from edgetl.runtime.engines import package

    tools = TASKS.load(settings.task).evaluation_tools
    return (*tools, package(settings.format), "numpy", "pillow", "torch")


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> VerificationFacts:
    import numpy as np
    from PIL import Image

    from edgetl.data.dataset import Dataset
    from edgetl.runtime.predictor import Predictor

    dataset = Dataset.open(inputs["dataset"].folder)
    evaluation = TASKS.load(dataset.task).evaluation
    _check_images(dataset, evaluation)
    candidate = inputs.get("candidate", inputs["float"])
    predictor = Predictor.open(candidate.folder)
    predictions, first = _predictions(predictor, evaluation, dataset, work.progress)
    samples = evaluation.inputs(dataset, Split.TEST, slice(evaluation.images_per_chunk))
    ladder = _ladder(settings, inputs, samples, first)
    details = evaluation.details(predictions, dataset, Split.TEST)
    nms = predictor.contract.nms
    drop = _drop(inputs["model"], predictions, dataset, nms, against=settings.model)
    picture = evaluation.worst_errors(predictions, dataset, Split.TEST, nms)
    dataset.release()
    facts = VerificationFacts(
        **dict(evaluation.score(predictions, dataset, Split.TEST)),
        model=settings.model,
        format=settings.format,
        precision=settings.precision,
        engine=predictor.session.engine,
        num_predictions=evaluation.num_predictions(predictions, nms),
        at_chance=evaluation.at_chance(predictions, dataset, Split.TEST, nms),
        truncated=evaluation.truncated(dataset, Split.TEST, nms),
        drop=drop,
        teacher_drop=_teacher_drop(inputs, predictions, nms) or drop,
        ladder=tuple(ladder),
        breaks_at=next((step.step for step in ladder if not step.holds), None),
        classes=ClassFigures.of_details(details),
        worst_errors=None if picture is None else WORST_ERRORS_FILE,
        size_bytes=size_bytes(candidate.folder, settings.format),
    )
    if picture is not None:
        Image.fromarray(picture).save(work.out / WORST_ERRORS_FILE)
    with (work.out / PREDICTIONS_FILE).open("wb") as file:
        np.savez(file, allow_pickle=False, **predictions)
    # Tables and curves grow with the classes, so they are kept out of the facts, which every later
    # run reads.
    table = {**facts.model_dump(mode="json"), **details}
    text = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    (work.out / VERIFICATION_FILE).write_text(text, encoding="utf-8")
    return facts


def _check_images(dataset: Dataset, evaluation: Evaluation) -> None:
    shown = evaluation.shown(dataset, Split.TEST)
    if not len(shown):
        raise DataError(
            "the test split has no images, so no accuracy can be measured",
            remedy="set data.test above 0, or give the images a test/ folder",
        )
    if not shown.any():
        raise DataError(
            f"none of the {len(shown):,} images of the test split has a box, so no accuracy can "
            "be measured",
            remedy="label what the test images show, or move images with boxes into the test split",
        )


def _predictions(
    predictor: Predictor, evaluation: Evaluation, dataset: Dataset, progress: Progress
) -> tuple[Predictions, Outputs]:
    """Return the predictions for all test images, and the raw outputs for the first few of them.

    The raw outputs of a detector are a thousand times larger than its predictions, so they are
    never held for more than a few images.
    """
    count, chunk = len(dataset.items(Split.TEST)), evaluation.images_per_chunk
    nms = predictor.contract.nms
    first = predictor.run(evaluation.inputs(dataset, Split.TEST, slice(chunk)))
    parts = [evaluation.collect(first, dataset, Split.TEST, 0, nms)]
    for start in range(chunk, count, chunk):
        progress.step(start, count, "test images")
        outputs = predictor.run(evaluation.inputs(dataset, Split.TEST, slice(start, start + chunk)))
        parts.append(evaluation.collect(outputs, dataset, Split.TEST, start, nms))
    return evaluation.join(parts), first


def _ladder(
    settings: Settings,
    inputs: Mapping[str, Artifact],
    samples: Inputs,
    outputs: Outputs,
) -> list[LadderStep]:
    """Return the steps from the model as it was trained to the candidate, compared on `samples`.

    They are: as trained to as deployed (folded, normalisation in the graph), as deployed to float
    file, float file to quantized file.

    Args:
        settings: Of the candidate.
        inputs: Of the stage.
        samples: The first of the test split.
        outputs: Of the candidate for `samples`.
    """
    from edgetl.models import deployable, load_model
    from edgetl.runtime.predictor import Predictor

    name = settings.format
    spec, module = load_model(inputs["model"].folder)
    evaluation = TASKS.load(spec.task).evaluation
    exporter = Predictor.open(inputs["float"].folder)
    trained = trained_outputs(spec, module, samples, evaluation.outputs)
    deployed = outputs_of(deployable(spec, module), samples, evaluation.outputs)
    exported = outputs if settings.precision is Precision.FP32 else exporter.run(samples)

    def step(name: str, precision: Precision, before: Outputs, after: Outputs) -> LadderStep:
        agreement = evaluation.compare(before, after, exporter.contract.nms)
        lowest = evaluation.lowest_snr_db[precision]
        return LadderStep(
            **dict(agreement),
            step=name,
            images=len(next(iter(samples.values()))),
            lowest_snr_db=lowest,
            holds=agreement.snr_db >= lowest,
        )

    ladder = [
        step("torch as trained to torch as deployed", Precision.FP32, trained, deployed),
        step(f"torch as deployed to {name} fp32", Precision.FP32, deployed, exported),
    ]
    if settings.precision is not Precision.FP32:
        candidate = ModelFile(settings.model, name, settings.precision).name
        ladder.append(step(f"{name} fp32 to {candidate}", settings.precision, exported, outputs))
    return ladder


def _drop(
    trained: Artifact,
    predictions: Predictions,
    dataset: Dataset,
    nms: NmsSettings | None,
    *,
    against: str,
) -> Drop:
    """Return the drop of the metric against a torch model, in percentage points.

    Both use the same `nms`, which is not part of the drop.
    """
    evaluation = TASKS.load(dataset.task).evaluation
    before = predictions_of(trained, dataset, Split.TEST, nms)
    return Drop(
        **dict(evaluation.difference(before, predictions, dataset, Split.TEST)),
        against=against,
        value=round(evaluation.value(before, dataset, Split.TEST), 6),
    )


def _teacher_drop(
    inputs: Mapping[str, Artifact], predictions: Predictions, nms: NmsSettings | None
) -> Drop | None:
    """Return `_drop` against the teacher, which has its own view; None without a teacher."""
    from edgetl.data.dataset import Dataset

    if "teacher" not in inputs:
        return None
    dataset = Dataset.open(inputs["teacher dataset"].folder)
    return _drop(inputs["teacher"], predictions, dataset, nms, against=TEACHER)


def _summary(facts: VerificationFacts) -> str:
    """Return for example ``top-1 0.981 [0.964, 0.990], drop 0.3 pp``."""
    text = (
        f"{facts.title} {facts.value:.3f} [{facts.low:.3f}, {facts.high:.3f}], "
        f"drop {facts.drop.pp:z.1f} pp"
    )
    warnings = (facts.truncated, facts.breaks_at and f"breaks at {facts.breaks_at}")
    return "; ".join([text, *filter(None, warnings)])


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    teacher = family_of(inputs["teacher"]) if "teacher" in inputs else {}
    return ENGINES.stamp(settings.format) | family_of(inputs["model"]) | teacher


STAGE = Stage(
    name="verify",
    version=7,
    needs=("view", MODEL_KIND, "float", "quantized"),
    makes="verification",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=VerificationFacts,
    run=_run,
    summary=_summary,
    check=_check,
    missing=_missing,
    plugins=_plugins,
)
