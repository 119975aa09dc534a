"""Quantize exported files: fp16 without data, int8 and w8a16 with calibration images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgetl.config.calibration import Calibration, Int8Table, RangeTable
from edgetl.config.table import Table
from edgetl.config.target import Target
from edgetl.errors import DataError, MissingPackage, Problem
from edgetl.exporters import EXPORTERS
from edgetl.facts.model_files import QuantizationFacts
from edgetl.hashing import digest_value
from edgetl.plugins import ENGINES
from edgetl.quantizers import CALIBRATED, QUANTIZERS, for_format
from edgetl.stages import Job, Node, NoOptions, Planned, Stage, Workspace
from edgetl.stages._candidates import float_node, size_bytes, wanted
from edgetl.stages._model_folder import complete, mib
from edgetl.stages._views import deployed_view
from edgetl.store.store import Artifact
from edgetl.types import Precision, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from edgetl.data.dataset import Dataset
    from edgetl.runtime.contract import Contract
    from edgetl.runtime.inputs import InputSpec

_CALIBRATION_DIGEST_DIGITS = 12


class Images(Table):
    """How calibration images are sampled; fields of a calibration recipe."""

    name: str = Field(exclude=True)
    """For messages; not part of the key."""
    split: Literal["train", "val"]
    count: int
    allow_fewer: bool = Field(exclude=True)
    """Not part of the key: the digest of the data settles whether there are fewer."""
    sampling: Literal["random", "balanced"]
    seed: int


class Settings(Table):
    """What a quantized file depends on in addition to its inputs."""

    model: str
    """Name of the network in the recipe."""
    format: str
    precision: Precision
    quantizer: str
    images: Images | None
    """None for fp16, which needs no images."""
    int8: Int8Table | None
    """Only for int8; the wider precisions cover all values and keep nothing in float."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    nodes: list[Node] = []
    for file in wanted(job):
        name, precision = file.format, file.precision
        if precision is Precision.FP32:
            continue
        quantizer = for_format(name)
        if quantizer is None:
            raise ValueError(f"no quantizer reads '{name}'; the check should have refused it")
        settings = Settings(
            model=file.model,
            format=name,
            precision=precision,
            quantizer=quantizer,
            images=_images(job.calibration) if precision in CALIBRATED else None,
            int8=_int8(job.calibration) if precision is Precision.INT8 else None,
        )
        inputs = {"dataset": deployed_view(job, made), "float": float_node(made, file)}
        nodes.append(Node("quantize", f"quantize {file.name}", settings, inputs, key=file))
    return nodes


def _images(calibration: Calibration) -> Images:
    return Images.model_validate(calibration.model_dump(include=set(Images.model_fields)))


def _int8(calibration: Calibration) -> Int8Table:
    wanted, estimator = calibration.int8, calibration.range.estimator
    if estimator == "percentile":
        return wanted
    # The percentile stays out of the key of an estimator that does not use it.
    return Int8Table(range=RangeTable(estimator=estimator), float_layers=wanted.float_layers)


def _check(job: Job) -> Iterator[Problem]:
    """Yield combinations of format, precision and calibration that no quantizer can make."""
    if job.recipe.data.test == "val" and job.calibration.split == "val":
        what = (
            f"'{job.calibration.name}' calibrates with the val split, which data.test measures on"
        )
        yield Problem("calibration", what)
    for target in job.targets:
        for name, precisions in target.files().items():
            if name in EXPORTERS.names():
                yield from _check_format(job.calibration, target, name, precisions)


def _check_format(
    calibration: Calibration, target: Target, name: str, precisions: Sequence[Precision]
) -> Iterator[Problem]:
    quantizer_name = for_format(name)
    quantizer = QUANTIZERS.load(quantizer_name) if quantizer_name else None
    can = {Precision.FP32, *(quantizer.precisions if quantizer else ())}
    for precision in precisions:
        if precision not in can:
            allowed = ", ".join(each.value for each in Precision if each in can)
            yield Problem(
                "targets",
                f"targets/{target.name}.yaml: candidates.{name}: there is no {precision.value} of "
                f"{name}; it has {allowed}",
            )
    if quantizer is None:
        return
    estimator = calibration.range.estimator
    if Precision.INT8 in precisions and estimator not in quantizer.estimators:
        yield Problem(
            "calibration",
            f"'{calibration.name}' estimates ranges by {estimator}, which quantizer "
            f"'{quantizer_name}' of {name} int8 (target '{target.name}') does not know; it knows "
            f"{', '.join(sorted(quantizer.estimators))}",
        )


def _missing(job: Job) -> Iterator[MissingPackage]:
    formats = (file.format for file in wanted(job) if file.precision is not Precision.FP32)
    for quantizer in filter(None, dict.fromkeys(map(for_format, formats))):
        for module in QUANTIZERS.load(quantizer).requires:
            if find_spec(module) is None:
                yield QUANTIZERS.missing(quantizer, module)


def _tools(settings: Settings) -> tuple[str, ...]:
    from edgetl.runtime.engines import package

    tools = {*QUANTIZERS.load(settings.quantizer).tools, package(settings.format), "numpy"}
    return tuple(sorted(tools))


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> QuantizationFacts:
    from edgetl.runtime import golden
    from edgetl.runtime.contract import Contract
    from edgetl.runtime.image_file import read_image
    from edgetl.runtime.model_files import describe_files

    source = inputs["float"].folder
    contract = Contract.load(source)
    images, digests = _calibration(settings, inputs["dataset"].folder)
    tried = QUANTIZERS.load(settings.quantizer).quantize(
        inputs["float"].file(contract.file),
        {contract.image.tensor: images},
        settings.precision,
        settings.int8 or Int8Table(),
        work.out,
    )
    samples = golden.load(source, contract)
    files = [file.name for file in contract.files]
    quantized = dataclasses.replace(
        contract,
        precision=settings.precision.value,
        files=describe_files(work.out, files),
        inputs=_inputs(contract, work.out),
    )
    error = complete(
        work.out,
        quantized,
        samples.inputs,
        samples.reference,
        [read_image(source / golden.image_file(i)) for i in range(len(samples.fitted))],
    )
    return QuantizationFacts(
        model=settings.model,
        format=settings.format,
        precision=settings.precision,
        size_bytes=size_bytes(work.out, settings.format),
        float_size_bytes=size_bytes(source, settings.format),
        max_abs_error=error,
        **tried,
        calibration_images=len(digests),
        calibration_digest=digest_value(sorted(digests)) if digests else None,
    )


def _inputs(contract: Contract, folder: Path) -> tuple[InputSpec, ...]:
    """Return the inputs of `contract` with the dtypes that they have in the file in `folder`."""
    from edgetl.runtime.engines import open_session

    session = open_session(contract.format, folder / contract.file, 1)
    dtypes = {info.name: info.dtype for info in session.inputs}
    return tuple(dataclasses.replace(spec, dtype=dtypes[spec.tensor]) for spec in contract.inputs)


def _calibration(settings: Settings, folder: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the images that calibrate, ``(N, H, W, 3)``, and the digests of their contents."""
    import numpy as np

    from edgetl.data.dataset import Dataset

    dataset = Dataset.open(folder)
    if settings.images is None:
        return np.empty((0, dataset.size, dataset.size, 3), np.uint8), []
    split = Split(settings.images.split)
    positions = _sampled(settings.images, dataset)
    items = [dataset.items(split)[position] for position in positions]
    return np.array(dataset.images(split)[positions]), [item.sha256 for item in items]


def _sampled(wanted: Images, dataset: Dataset) -> NDArray[np.int64]:
    """Return the positions of the images that calibrate.

    Raises:
        DataError: If there are too few, or some are test images.
    """
    from edgetl.data.calibration_sampling import sample_calibration

    calibration = Calibration.model_validate(dict(wanted))
    split = Split(calibration.split)
    positions = sample_calibration(dataset.labels(split), calibration)
    items = [dataset.items(split)[position] for position in positions]
    tested = {item.sha256 for item in dataset.items(Split.TEST)}
    shared = [item.name for item in items if item.sha256 in tested]
    if shared:
        raise DataError(
            f"{len(shared)} of {len(items)} calibration images are also test images, for example "
            f"'{shared[0]}'",
            remedy=f"set `split: train` in calibration/{calibration.name}.yaml",
        )
    return positions


def _foresee(settings: Settings, inputs: Mapping[str, Artifact]) -> None:
    """Sample the images that calibrate, which dropped images may have made too few."""
    from edgetl.data.dataset import Dataset

    if settings.images is not None and "dataset" in inputs:
        _sampled(settings.images, Dataset.open(inputs["dataset"].folder))


def _summary(facts: QuantizationFacts) -> str:
    times = facts.float_size_bytes / facts.size_bytes
    parts = [f"{mib(facts.size_bytes)}, {times:.1f}x smaller"]
    if facts.calibration_digest:
        digest = facts.calibration_digest[:_CALIBRATION_DIGEST_DIGITS]
        parts.append(f"{facts.calibration_images} images {digest}")
        parts.append(f"{sum(facts.float_operations.values())} operations left in float")
    if facts.estimators and facts.range is not None:
        error = min(row.error for row in facts.estimators)
        parts.append(f"ranges by {facts.range.estimator}, error {error:.3f} on held-out images")
    return "; ".join(parts)


def _plugins(settings: Settings, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    del inputs
    return {**QUANTIZERS.stamp(settings.quantizer), **ENGINES.stamp(settings.format)}


STAGE = Stage(
    name="quantize",
    version=6,
    needs=("view", "float"),
    makes="quantized",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    facts=QuantizationFacts,
    run=_run,
    summary=_summary,
    check=_check,
    missing=_missing,
    foresee=_foresee,
    plugins=_plugins,
    memory_mib=1536,
)
