"""Export the model to every format that a target needs, and compare the files with torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pydantic import Field

from edgetl.config.candidate import ModelFile
from edgetl.config.recipe import NmsTable
from edgetl.config.table import Table
from edgetl.errors import EdgetlError, MissingPackage, Problem, UsageError
from edgetl.evaluation import IMAGE, Evaluation
from edgetl.exporters import EXPORTERS
from edgetl.facts.model_files import ExportFacts, NmsFacts
from edgetl.plugins import DEVICE_HALVES, ENGINES
from edgetl.stages import MODEL_KIND, Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._candidates import size_bytes
from edgetl.stages._deployed import outputs_of, predictions_of
from edgetl.stages._model_chain import deployed_name, deployed_node
from edgetl.stages._model_folder import complete, mib
from edgetl.stages._training import family_of
from edgetl.stages._views import deployed_view
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.train.packages import missing_packages
from edgetl.types import Precision, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from edgetl.data.dataset import Dataset
    from edgetl.runtime.detections import NmsSettings

_MOST_GOLDEN = 8
_LEAST_GOLDEN = 2
_GOLDEN_BYTES = 1 << 19
"""Of the outputs for all golden samples: bytes for a classifier, a megabyte for a detector."""
_LARGEST_ERROR = 1e-3
"""Of the range of the outputs, 1 for boxes and scores. Rounding stays near 1e-6; a wrong layout or
mean is near 1."""


class Settings(Table):
    """What an exported file depends on in addition to its inputs."""

    format: str
    nms: NmsTable | None
    """None for a classifier."""
    task: str = Field(exclude=True)
    """Enters the key only by its version and the tools of its evaluation."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    inputs = {"dataset": deployed_view(job, made), "model": deployed_node(job, made)}
    model = deployed_name(job)
    wanted = job.recipe.nms or NmsTable()
    nms = wanted if TASKS.load(job.recipe.task).has_nms else None
    return [
        Node(
            "export",
            f"export {name}",
            Settings(format=name, nms=nms, task=job.recipe.task),
            inputs,
            key=ModelFile(model, name, Precision.FP32),
        )
        for name in _formats(job)
    ]


def _formats(job: Job) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for target in job.targets for name in target.files()))


def _check(job: Job) -> Iterator[Problem]:
    """Yield keys that nothing reads, and tasks and formats that no device or exporter knows."""
    try:
        DEVICE_HALVES.check(job.recipe.task)
    except UsageError as error:
        what = f"'{job.recipe.task}' cannot be deployed: {error.message}; {error.remedy}"
        yield Problem("task", what)
    if job.recipe.nms is not None and not TASKS.load(job.recipe.task).has_nms:
        tasks = [f"`task: {name}`" for name in TASKS.names() if TASKS.load(name).has_nms]
        yield Problem("nms", f"is only read for {' and '.join(tasks)}; remove it")
    for target in job.targets:
        for name in target.files():
            try:
                EXPORTERS.check(name)
            except UsageError as error:
                what = f"targets/{target.name}.yaml: candidates: {error.message}; {error.remedy}"
                yield Problem("targets", what)


def _missing(job: Job) -> Iterator[MissingPackage]:
    yield from missing_packages()
    for name in _formats(job):
        for module in EXPORTERS.load(name).requires:
            if find_spec(module) is None:
                yield EXPORTERS.missing(name, module)


def _tools(settings: Settings) -> tuple[str, ...]:
    from edgetl.runtime.engines import package

    tools = {
        *EXPORTERS.load(settings.format).tools,
        *TASKS.load(settings.task).evaluation_tools,
        package(settings.format),
        "numpy",
        "torch",
    }
    return tuple(sorted(tools))


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> ExportFacts:
    import dataclasses

    import torch

    from edgetl.data.dataset import Dataset
    from edgetl.models import deployable, load_model
    from edgetl.runtime.contract import Contract, OutputSpec
    from edgetl.runtime.inputs import ImageInput
    from edgetl.runtime.model_files import describe_files

    spec, module = load_model(inputs["model"].folder)
    dataset = Dataset.open(inputs["dataset"].folder)
    evaluation = TASKS.load(spec.task).evaluation
    network = deployable(spec, module)
    pixels, reference = _golden(dataset, network, evaluation)
    exporter = EXPORTERS.load(settings.format)
    examples = {IMAGE: torch.zeros((1, *pixels.shape[1:]))}
    tensors = exporter.export(network, examples, evaluation.outputs, work.out)
    nms = _nms_settings(evaluation, dataset, inputs["model"], settings.nms)
    contract = Contract(
        task=spec.task,
        labels=spec.classes,
        format=settings.format,
        files=describe_files(work.out, exporter.files),
        precision="fp32",
        inputs=(ImageInput(IMAGE, IMAGE, spec.preprocess, "float32"),),
        # An evaluation names outputs by their meaning.
        outputs=tuple(
            OutputSpec(name, tensor, (1, *reference[name].shape[1:]), name)
            for name, tensor in tensors.items()
        ),
        nms=nms,
    )
    error = complete(work.out, contract, {IMAGE: pixels}, reference, _synthetic_images())
    span = evaluation.span(reference)
    # Written so that a NaN is refused too.
    if not error <= _LARGEST_ERROR * span:
        raise EdgetlError(
            f"outputs of the {settings.format} file differ from torch's by {error:.3g}, with a "
            f"range of {span:.3g}; at most {_LARGEST_ERROR:g} of it is allowed",
            remedy=f"remove '{settings.format}' from the targets' candidates and report the family",
        )
    return ExportFacts(
        size_bytes=size_bytes(work.out, settings.format),
        max_abs_error=error,
        output_span=span,
        nms=None if nms is None else NmsFacts(**dataclasses.asdict(nms)),
    )


def _nms_settings(
    evaluation: Evaluation, dataset: Dataset, model: Artifact, wanted: NmsTable | None
) -> NmsSettings | None:
    """Return the recipe's `nms`; if it sets no score threshold, with the one that suits the model.

    It is selected on the validation split, if there is one.
    """
    nms = evaluation.nms(dataset, wanted)
    if wanted is None or wanted.score_threshold is not None or not dataset.names(Split.VAL):
        return nms
    predictions = predictions_of(model, dataset, Split.VAL, nms)
    return evaluation.with_selected_threshold(nms, predictions, dataset, Split.VAL)


def _golden(
    dataset: Dataset, network: nn.Module, evaluation: Evaluation
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.float32]]]:
    """Return samples and the outputs of `network` for them, fewer the larger the outputs are.

    They are spread evenly over the labelled images of the validation split, or the training split.
    """
    import numpy as np

    split = Split.VAL if dataset.names(Split.VAL) else Split.TRAIN
    fitted = dataset.images(split)
    shown = np.flatnonzero(evaluation.shown(dataset, split))
    candidates = shown if len(shown) else np.arange(len(fitted))
    first = outputs_of(network, {IMAGE: fitted[candidates[:1]]}, evaluation.outputs)
    affordable = _GOLDEN_BYTES // sum(values.nbytes for values in first.values())
    count = min(max(affordable, _LEAST_GOLDEN), _MOST_GOLDEN, len(candidates))
    pixels = np.array(fitted[candidates[[i * len(candidates) // count for i in range(count)]]])
    return pixels, outputs_of(network, {IMAGE: pixels}, evaluation.outputs)


def _synthetic_images() -> list[NDArray[np.uint8]]:
    """Return images, landscape and portrait, that test decoding and resizing on any machine.

    They show gradients, edges and fine stripes, because different resizing differs most there. The
    images of the dataset already have the network's size and would test nothing.
    """
    import numpy as np

    images = []
    for height, width in ((200, 300), (300, 200)):
        y, x = np.mgrid[0:height, 0:width]
        disc = (y - height // 2) ** 2 + (x - width // 3) ** 2 < (height // 4) ** 2
        stripes = (x // 3 + y // 5) % 2 * 255
        planes = (
            x * 255 // width,
            np.where(disc, 230, y * 255 // height),
            np.where(disc, 30, stripes),
        )
        images.append(np.stack(planes, axis=-1).astype(np.uint8))
    return images


def _summary(facts: ExportFacts) -> str:
    """Return for example ``5.8 MiB; 2.1e-07 of the outputs' range from torch``."""
    share = facts.max_abs_error / facts.output_span
    text = f"{mib(facts.size_bytes)}; {share:.1e} of the outputs' range from torch"
    if facts.nms is None:
        return text
    return f"{text}; detects from a score of {facts.nms.score_threshold:g}"


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    name = settings.format
    return {**EXPORTERS.stamp(name), **ENGINES.stamp(name), **family_of(inputs["model"])}


STAGE = Stage(
    name="export",
    version=8,
    needs=("view", MODEL_KIND),
    makes="float",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=ExportFacts,
    run=_run,
    summary=_summary,
    check=_check,
    missing=_missing,
    plugins=_plugins,
    memory_mib=2048,
)
