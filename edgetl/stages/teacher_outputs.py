"""Compute what the teacher predicts for all views of the training images, once.

Planned if a training is limited to so few views that they recur: the student and everything else
that learns from the teacher share the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from edgetl.config.table import Table
from edgetl.data.levels import Level
from edgetl.facts.training import TeacherOutputsFacts
from edgetl.stages import Cores, Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._phases import TEACHER
from edgetl.stages._student import num_stored_views, student_training
from edgetl.stages._training import family_of
from edgetl.stages._views import model_view
from edgetl.store.store import Artifact
from edgetl.types import Split


class Settings(Table):
    """What the outputs depend on in addition to the teacher and its view of the images."""

    level: Level
    num_views: int
    seed: int
    """Of the training that uses these views."""
    device: str = Field(exclude=True)


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    student, count = job.recipe.student, num_stored_views(job)
    if student is None or count is None:
        return []
    training = student_training(job, student)
    settings = Settings(
        level=Level(training.augment),
        num_views=count,
        seed=training.seed,
        device=job.recipe.device,
    )
    inputs = {"dataset": model_view(job, made, TEACHER), "teacher": made["teacher"][0]}
    return [Node("teacher_outputs", "teacher outputs", settings, inputs)]


def _run(
    settings: Settings, inputs: Mapping[str, Artifact], work: Workspace
) -> TeacherOutputsFacts:
    from edgetl.data.dataset import Dataset
    from edgetl.data.loaders import AugmentedImages
    from edgetl.models import load_model
    from edgetl.train.device import open_fabric
    from edgetl.train.teacher_logits import write_logits

    dataset = Dataset.open(inputs["dataset"].folder)
    spec, module = load_model(inputs["teacher"].folder)
    device = open_fabric(settings.device, mixed_precision=False).device
    images = AugmentedImages(dataset, Split.TRAIN, level=settings.level, seed=settings.seed)
    write_logits(
        work.out,
        module.eval().to(device),
        spec,
        images=images,
        num_views=settings.num_views,
        progress=work.progress.step,
    )
    return TeacherOutputsFacts(images=len(images), views=settings.num_views)


def _summary(facts: TeacherOutputsFacts) -> str:
    """Return for example ``4 views of 1,680 images through the teacher``."""
    views = "1 view" if facts.views == 1 else f"{facts.views:,} views"
    return f"{views} of {facts.images:,} images through the teacher"


def _tools(settings: Settings) -> tuple[str, ...]:
    del settings
    return ("numpy", "pillow", "torch", "torchvision")


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del settings
    return family_of(inputs["teacher"])


STAGE = Stage(
    name="teacher_outputs",
    version=1,
    needs=("view", "teacher"),
    makes="teacher outputs",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=TeacherOutputsFacts,
    run=_run,
    summary=_summary,
    plugins=_plugins,
    cores=Cores.ALL,
)
