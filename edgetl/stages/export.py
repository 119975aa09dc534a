"""Export the model to every format that a target asks for, and prove that it still answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edgetl.config.table import Table
from edgetl.errors import EdgetlError, Problem, UsageError
from edgetl.exporters import EXPORTERS
from edgetl.stages import Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._candidates import model_node
from edgetl.stages._model_folder import complete, mib
from edgetl.store.store import Artifact
from edgetl.types import Facts, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from edgetl.data.dataset import Dataset

_NUM_GOLDEN = 8
_LARGEST_ERROR = 1e-3
"""Of the range of the outputs. Rounding stays near 1e-6; a wrong layout or mean is near 1."""


class Settings(Table):
    """What an exported file depends on besides its inputs."""

    format: str


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    inputs = {"dataset": made["dataset"][0], "model": model_node(made)}
    return [
        Node("export", f"export {name}", Settings(format=name), inputs) for name in _formats(job)
    ]


def _formats(job: Job) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for target in job.targets for name in target.candidates))


def _check(job: Job) -> Iterator[Problem]:
    """Yield the formats that no exporter writes; raise if what an exporter needs is missing."""
    for target in job.targets:
        for name in target.candidates:
            try:
                EXPORTERS.check(name)
            except UsageError as error:
                what = f"targets/{target.name}.yaml: candidates: {error.message}; {error.remedy}"
                yield Problem("targets", what)
                continue
            for module in EXPORTERS.load(name).requires:
                if find_spec(module) is None:
                    raise EXPORTERS.missing(name, module)


def _tools(settings: Settings) -> tuple[str, ...]:
    from edgetl.runtime.engines import package

    tools = {*EXPORTERS.load(settings.format).tools, package(settings.format), "numpy", "torch"}
    return tuple(sorted(tools))


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    import torch

    from edgetl.data.dataset import Dataset
    from edgetl.models import load_model
    from edgetl.nn.layers import RawPixels
    from edgetl.runtime.contract import Contract, InputSpec, OutputSpec

    spec, module = load_model(inputs["model"].folder)
    raw = RawPixels(module, spec.mean, spec.std).eval()
    pixels = _golden_pixels(Dataset.open(inputs["dataset"].folder))
    with torch.inference_mode():
        reference = raw(torch.from_numpy(pixels).float()).numpy()
    exporter = EXPORTERS.load(settings.format)
    example = torch.zeros((1, *pixels.shape[1:]))
    tensors = exporter.export(raw, example, ("logits",), work.out)
    contract = Contract(
        task=spec.task.value,
        labels=spec.classes,
        format=settings.format,
        file=exporter.file,
        precision="fp32",
        input=InputSpec("image", spec.preprocess.height, spec.preprocess.width),
        preprocess=spec.preprocess,
        outputs=tuple(
            OutputSpec(name, tensor, (1, len(spec.classes))) for name, tensor in tensors.items()
        ),
    )
    error = complete(work.out, contract, pixels, {"logits": reference}, _drawn_photos())
    span = float(reference.max() - reference.min())
    # Written so that a NaN is refused too.
    if not error <= _LARGEST_ERROR * span:
        raise EdgetlError(
            f"the {settings.format} file answers otherwise than torch: {error:.3g} off where the "
            f"outputs span {span:.3g}; allowed is {_LARGEST_ERROR:g} of that",
            remedy=f"take '{settings.format}' out of the targets' candidates and report the family",
        )
    sizes = [(work.out / name).stat().st_size for name in exporter.files]
    return {"size_bytes": sum(sizes), "max_abs_error": error, "output_span": span}


def _golden_pixels(dataset: Dataset) -> NDArray[np.uint8]:
    """Return samples spread evenly over the validation split, or over the training split."""
    import numpy as np

    split = Split.VAL if dataset.names(Split.VAL) else Split.TRAIN
    images = dataset.images(split)
    count = min(_NUM_GOLDEN, len(images))
    return np.array(images[[i * len(images) // count for i in range(count)]])


def _drawn_photos() -> list[NDArray[np.uint8]]:
    """Return photos, lying and upright, that prove decoding and resizing wherever they are read.

    Gradients, edges and fine stripes, because a resize that differs differs there. The photos of
    the dataset are already of the network's size and would prove nothing.
    """
    import numpy as np

    photos = []
    for height, width in ((200, 300), (300, 200)):
        y, x = np.mgrid[0:height, 0:width]
        disc = (y - height // 2) ** 2 + (x - width // 3) ** 2 < (height // 4) ** 2
        stripes = (x // 3 + y // 5) % 2 * 255
        planes = (
            x * 255 // width,
            np.where(disc, 230, y * 255 // height),
            np.where(disc, 30, stripes),
        )
        photos.append(np.stack(planes, axis=-1).astype(np.uint8))
    return photos


def _summary(facts: Facts) -> str:
    share = facts["max_abs_error"] / facts["output_span"]
    return f"{mib(facts['size_bytes'])}; {share:.1e} of the outputs' range from torch"


STAGE = Stage(
    name="export",
    version=1,
    needs=("dataset", "teacher", "student"),
    makes="float",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=_summary,
    check=_check,
)
