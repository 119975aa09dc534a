"""Choose the thresholds of classes on the validation split, with the shipped runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import Field

from edgetl.config.operating_point import OperatingPointTable
from edgetl.config.table import Table
from edgetl.errors import DataError, Problem, first_of
from edgetl.facts.operating_point import ClassThreshold, OperatingPointFacts
from edgetl.plugins import ENGINES
from edgetl.stages import Job, Node, Planned, Stage, Workspace
from edgetl.stages._candidates import file_node, runtime_digest, wanted
from edgetl.stages._views import deployed_view
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.types import Precision, Split

_NEEDED_LIMIT = "class_recall"
"""A task with this limit scores predictions of classes."""
_MOST_SHOWN = 3


class Settings(Table):
    """What the thresholds depend on in addition to the file and the images."""

    model: str
    """Name of the network in the recipe."""
    format: str
    precision: Precision
    stated: OperatingPointTable
    runtime: str
    """Digest of the runtime's files, which compute the predictions."""
    task: str = Field(exclude=True)
    """Enters the key only by its version and the tools of its evaluation."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    table = _table(job)
    if not table.is_set:
        return []
    nodes = []
    for file in wanted(job):
        settings = Settings(
            model=file.model,
            format=file.format,
            precision=file.precision,
            stated=table,
            runtime=runtime_digest(job, [file.format]),
            task=job.recipe.task,
        )
        inputs = {"dataset": deployed_view(job, made), "candidate": file_node(made, file)}
        label = f"operating point {file.name}"
        nodes.append(Node("operating_point", label, settings, inputs, key=file))
    return nodes


def _check(job: Job) -> Iterator[Problem]:
    """Yield that the task has no classes with scores."""
    task = job.recipe.task
    if _table(job).is_set and _NEEDED_LIMIT not in TASKS.load(task).limits:
        yield Problem("operating_point", f"is not for {task}, whose classes have no scores")


def _tools(settings: Settings) -> tuple[str, ...]:
    from edgetl.runtime.engines import package

    tools = TASKS.load(settings.task).evaluation_tools
    return (*tools, package(settings.format), "numpy", "pillow")


def _run(
    settings: Settings, inputs: Mapping[str, Artifact], work: Workspace
) -> OperatingPointFacts:
    from edgetl.data.dataset import Dataset
    from edgetl.evaluation.operating import choose_threshold, default_threshold
    from edgetl.runtime.predictor import Predictor
    from edgetl.stages._file_predictions import predict_split

    dataset = Dataset.open(inputs["dataset"].folder)
    _check_images(dataset.names(Split.VAL))
    if dataset.names(Split.VAL) == dataset.names(Split.TEST):
        work.progress.note(
            "the thresholds are chosen on the images that they are then measured on, since the "
            "test split is the validation split: expect less of other images"
        )
    evaluation = TASKS.load(dataset.task).evaluation
    predictor = Predictor.open(inputs["candidate"].folder)
    predictions, _ = predict_split(predictor, evaluation, dataset, Split.VAL, work.progress)
    ranking = evaluation.ranking(predictions, dataset, Split.VAL)
    dataset.release()
    if ranking is None:
        raise ValueError(f"task '{dataset.task}' has a limit on classes but ranks none")
    default = default_threshold(predictor.contract)
    return OperatingPointFacts(
        model=settings.model,
        format=settings.format,
        precision=settings.precision,
        images=ranking.images,
        unit=ranking.unit,
        classes=tuple(
            choose_threshold(ranked, settings.stated.goal(ranked.label), default)
            for ranked in ranking.classes
        ),
    )


def _check_images(names: Sequence[str]) -> None:
    if not names:
        raise DataError(
            "the validation split has no images, so no threshold can be chosen",
            remedy="set data.val above 0, give the images a val/ folder, or remove "
            "`operating_point` from the recipe",
        )


def _table(job: Job) -> OperatingPointTable:
    table = job.tables.get("operating_point", OperatingPointTable())
    if not isinstance(table, OperatingPointTable):
        raise TypeError(f"the table of 'operating_point' is a {type(table).__name__}")
    return table


def _summary(facts: OperatingPointFacts) -> str:
    """Return for example ``crack from 0.71: precision 0.983 [0.910, 0.997] of 59, on 400 ...``.

    What cannot be reached comes first.
    """
    unreached = list(facts.unreached())
    if unreached:
        more = len(unreached) - 1
        return f"{unreached[0]}; {more} more like it" if more else unreached[0]
    chosen = [_chosen(row) for row in facts.classes if row.stated is not None]
    text = f"{first_of(chosen, _MOST_SHOWN)}, on {facts.images:,} validation images"
    doubtful = [f"'{row.label}'" for row in facts.not_shown()]
    if doubtful:
        text += f"; too few to show it of {first_of(doubtful, _MOST_SHOWN)}"
    return text


def _chosen(row: ClassThreshold) -> str:
    if row.threshold is None or row.reached is None:
        raise ValueError(f"class '{row.label}' has no threshold")
    reached = row.reached
    return (
        f"{row.label} from {row.threshold:.3f}: {row.figure} {reached.value:.3f} "
        f"[{reached.low:.3f}, {reached.high:.3f}] of {reached.total:,}"
    )


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del inputs
    return ENGINES.stamp(settings.format)


STAGE = Stage(
    name="operating_point",
    version=1,
    needs=("view", "float", "quantized"),
    makes="operating point",
    options=OperatingPointTable,
    plan=_plan,
    tools=_tools,
    facts=OperatingPointFacts,
    run=_run,
    summary=_summary,
    check=_check,
    plugins=_plugins,
)
