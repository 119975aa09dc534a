"""Measure the gain of each step of a model chain, on the evaluation data if there is any.

The control of a refining step is the model that it refines: both predict the same images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from edgetl.config.table import Table
from edgetl.facts.training import ChainFacts, ChainStep
from edgetl.stages import MODEL_KIND, Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._model_chain import chain_of, model_node
from edgetl.stages._training import family_of
from edgetl.stages._views import model_view
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.types import Role, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    from edgetl.data.dataset import Dataset
    from edgetl.evaluation import Evaluation, Predictions


class Settings(Table):
    """What the figures depend on in addition to the models and the images."""

    model: str
    role: Role
    """Of the dataset to measure on."""
    steps: tuple[str, ...]
    """Name of the stage of each step, for reports."""
    transductive: tuple[bool, ...]
    """Of each step, whether it may have adapted to the images that it is measured on."""
    task: str = Field(exclude=True)
    """Enters the key only by its version and the tools of its evaluation."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    return list(_nodes(job, made))


def _nodes(job: Job, made: Planned) -> Iterator[Node]:
    unlabelled = job.recipe.unlabelled
    transductive = unlabelled is not None and unlabelled.transductive
    for name in job.roots:
        chain = chain_of(model_node(made, name))
        if job.recipe.evaluation is not None:
            role = Role.EVALUATION
        elif len(chain) > 1:
            role = Role.DATA
        else:
            continue
        settings = Settings(
            model=name,
            role=role,
            steps=tuple(node.stage for node in chain),
            transductive=tuple(
                transductive and role is Role.EVALUATION and _saw_unlabelled(node) for node in chain
            ),
            task=job.recipe.task,
        )
        view = model_view(job, made, name, role=role)
        inputs = {"dataset": view, **{f"model {i}": node for i, node in enumerate(chain)}}
        yield Node("evaluate", f"evaluate {name}", settings, inputs, key=name)


def _saw_unlabelled(node: Node) -> bool:
    """Return whether `node`, or a teacher of it, was made with unlabelled images."""
    from edgetl.stages.view import Settings as ViewSettings

    settings = node.settings
    if isinstance(settings, ViewSettings):
        return settings.role is Role.UNLABELLED
    return any(_saw_unlabelled(source) for source in node.inputs.values())


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> ChainFacts:
    from edgetl.data.dataset import Dataset

    dataset = Dataset.open(inputs["dataset"].folder)
    evaluation = TASKS.load(dataset.task).evaluation
    steps: list[ChainStep] = []
    before: Predictions | None = None
    for position, stage in enumerate(settings.steps):
        work.progress.step(position, len(settings.steps), f"images through {stage}")
        after = _predictions(inputs[f"model {position}"], dataset, evaluation)
        gain = None
        if before is not None:
            gain = evaluation.difference(after, before, dataset, Split.TEST)
        score = evaluation.score(after, dataset, Split.TEST)
        transductive = settings.transductive[position]
        steps.append(ChainStep(stage=stage, score=score, gain=gain, transductive=transductive))
        before = after
    return ChainFacts(
        model=settings.model,
        role=settings.role,
        images=len(dataset.items(Split.TEST)),
        steps=tuple(steps),
    )


def _predictions(model: Artifact, dataset: Dataset, evaluation: Evaluation) -> Predictions:
    from edgetl.models import load_model
    from edgetl.train.training_artifacts import split_predictions

    spec, module = load_model(model.folder)
    return split_predictions(spec, module, dataset, Split.TEST, evaluation=evaluation)


def _summary(facts: ChainFacts) -> str:
    """Return for example ``top-1 0.581 [0.537, 0.624]; adapt 0.624 [...], gain +4.2 pp [...]``."""
    first = facts.steps[0].score
    parts = [f"{first.title} {_interval(facts.steps[0])} on {facts.images:,} images"]
    for step in facts.steps[1:]:
        text = f"{step.stage} {_interval(step)}"
        if step.gain is not None:
            gain = step.gain
            text += f", gain {gain.pp:+.1f} pp [{gain.low_pp:+.1f}, {gain.high_pp:+.1f}]"
        parts.append(text)
    if facts.transductive:
        parts.append("transductive: adapted to images that are measured on")
    return "; ".join(parts)


def _interval(step: ChainStep) -> str:
    return f"{step.score.value:.3f} [{step.score.low:.3f}, {step.score.high:.3f}]"


def _tools(settings: Settings) -> tuple[str, ...]:
    return (*TASKS.load(settings.task).evaluation_tools, "numpy", "torch", "torchvision")


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    plugins: dict[str, str] = {}
    for position in range(len(settings.steps)):
        plugins |= family_of(inputs[f"model {position}"])
    return plugins


STAGE = Stage(
    name="evaluate",
    version=3,
    needs=("view", MODEL_KIND),
    makes="evaluation",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=ChainFacts,
    run=_run,
    summary=_summary,
    plugins=_plugins,
)
