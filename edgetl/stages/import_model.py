"""Import a model that edgetl saved: the first of a chain that needs no training."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from edgetl.config.recipe import InputTable
from edgetl.config.table import Table
from edgetl.errors import DataError, Problem, StoreError, first_of
from edgetl.facts.training import ImportFacts
from edgetl.hashing import digest_file
from edgetl.models import MODEL_FILES, ModelSpec, check_versions, read_spec
from edgetl.placeholder import placeholder
from edgetl.stages import (
    Inspection,
    Job,
    Node,
    NoOptions,
    Planned,
    Progress,
    Root,
    Stage,
    Workspace,
)
from edgetl.stages._training import missing_for_training, model_plugins, result_sentence
from edgetl.stages._views import model_view, without_unread
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.types import Role, Split

MODEL = "model"

_REPAIR = "copy the folder again from where edgetl saved it"
_MOST_NAMED = 5


class Settings(Table):
    """What an imported model depends on in addition to the images."""

    files: dict[str, str]
    """SHA-256 of every file, by name."""
    folder: Path = Field(exclude=True)
    """Where they are."""
    task: str = Field(exclude=True)
    """Enters the key by its version and the tools of its evaluation alone."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    folder = _folder(job)
    if folder is None:
        return []
    settings = Settings(
        files={name: job.digest(folder / name) for name in MODEL_FILES},
        folder=folder,
        task=job.recipe.task,
    )
    inputs = {"dataset": model_view(job, made, MODEL)}
    return [Node("import_model", "import model", settings, inputs, key=MODEL)]


def _folder(job: Job) -> Path | None:
    table = job.recipe.model
    return None if table is None else job.folder / Path(table.path).expanduser()


def _input(job: Job) -> InputTable | None:
    folder = _folder(job)
    if folder is None:
        return None
    try:
        return without_unread(read_spec(folder).input)
    except StoreError:
        return None


def _check(job: Job) -> Iterator[Problem]:
    """Yield why the model cannot be read, or does not fit the recipe."""
    folder = _folder(job)
    if folder is None:
        return
    what = _folder_problem(folder)
    if what:
        yield Problem("model.path", what)
        return
    try:
        spec = read_spec(folder, repair=_REPAIR)
        check_versions(folder, spec)
    except StoreError as error:
        yield Problem("model.path", f"{error.message}; {error.remedy}")
        return
    if spec.task != job.recipe.task:
        yield Problem(
            "model.path",
            f"the model in '{folder}' is for {spec.task}, the task is {job.recipe.task}; name the "
            "folder of another model",
        )
    yield from _input_problems(job.recipe.input, without_unread(spec.input))


def _inspect(job: Job, progress: Progress) -> Inspection:
    """Return whether the model has the classes that the images show."""
    del progress
    folder = _folder(job)
    shown = [each.facts.classes for each in job.overviews if each.facts.role is Role.DATA]
    if folder is None or not shown or any(_check(job)):
        return Inspection(())
    error = _classes_error(read_spec(folder), shown[0], folder)
    return Inspection(() if error is None else (Problem("model.path", str(error)),))


def _folder_problem(folder: Path) -> str:
    """Return why `folder` holds no saved model; empty if it has all files of one."""
    if folder.is_file():
        return f"'{folder}' is a file; name the folder that has {' and '.join(MODEL_FILES)}"
    if not folder.is_dir():
        return f"there is no folder '{folder}'; check the path"
    lacking = [name for name in MODEL_FILES if not (folder / name).is_file()]
    if lacking:
        return (
            f"'{folder}' has no {' and no '.join(lacking)}; name a folder in which edgetl saved a "
            "model, such as that of an artifact, which 'edgetl show RECIPE LABEL' prints"
        )
    for name in MODEL_FILES:
        instead = placeholder(folder / name)
        if instead is not None:
            return f"'{folder / name}' {instead.what}; {instead.remedy}"
    return ""


def _input_problems(given: InputTable, own: InputTable) -> Iterator[Problem]:
    """Yield the fields of the recipe's input that are not those of the model."""
    stated = {name: getattr(given, name) for name in given.model_fields_set}
    wanted = without_unread(own.model_copy(update=stated))
    for name in InputTable.model_fields:
        if name in stated and getattr(wanted, name) != getattr(own, name):
            yield Problem(
                f"input.{name}",
                f"is {stated[name]}, but `model` was trained with {getattr(own, name)}; remove it, "
                "as a saved model brings its own input",
            )


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> ImportFacts:
    from edgetl.data.dataset import Dataset
    from edgetl.models import load_model
    from edgetl.train.training_artifacts import write_predictions

    try:
        spec, module = load_model(settings.folder, repair=_REPAIR)
    except StoreError as error:
        raise DataError(error.message, remedy=error.remedy) from error
    dataset = Dataset.open(inputs["dataset"].folder)
    different = _classes_error(spec, dataset.classes, settings.folder)
    if different is not None:
        raise different
    for name, digest in settings.files.items():
        shutil.copyfile(settings.folder / name, work.out / name)
        if digest_file(work.out / name) != digest:
            raise DataError(
                f"'{settings.folder / name}' changed after the run was planned", remedy="run again"
            )
    scores = write_predictions(
        work.out, spec, module, dataset=dataset, evaluation=TASKS.load(spec.task).evaluation
    )
    return ImportFacts(
        model=MODEL,
        family=spec.family,
        width=spec.width,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        edits=len(spec.edits),
        val=scores.get(Split.VAL),
        test=scores.get(Split.TEST),
    )


def _classes_error(spec: ModelSpec, classes: Sequence[str], folder: Path) -> DataError | None:
    """Return the error of a model whose outputs stand for other classes than the labels.

    None if it has the `classes` of the data.
    """
    if spec.classes == tuple(classes):
        return None
    differences = {
        "only the model has": [name for name in spec.classes if name not in classes],
        "only the data have": [name for name in classes if name not in spec.classes],
    }
    parts = [f"{whose} {_named(names)}" for whose, names in differences.items() if names]
    if not parts:
        parts = [f"the model has {_named(spec.classes)}, the data have {_named(classes)}"]
    return DataError(
        f"the classes of the model in '{folder}' are not those of the data, in their order: "
        f"{'; '.join(parts)}",
        remedy="set `model.path` to a model of these classes, or `data` to images of the model's",
    )


def _named(names: Sequence[str]) -> str:
    return first_of([f"'{name}'" for name in names], _MOST_NAMED)


def _tools(settings: Settings) -> tuple[str, ...]:
    return (*TASKS.load(settings.task).evaluation_tools, "numpy", "torch", "torchvision")


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del inputs
    return model_plugins(read_spec(settings.folder))


STAGE = Stage(
    name="import_model",
    version=2,
    needs=("view",),
    makes="imported",
    root=Root(MODEL, _input),
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=ImportFacts,
    run=_run,
    summary=result_sentence,
    check=_check,
    inspect=_inspect,
    missing=missing_for_training,
    plugins=_plugins,
)
