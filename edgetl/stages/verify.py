"""Verify a model file: parity with torch step by step, accuracy through the runtime that ships."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from edgetl.config.table import Table
from edgetl.errors import DataError, MissingPackageError, Problem
from edgetl.exporters import EXPORTERS
from edgetl.runtime.errors import ContractError, EngineError
from edgetl.stages import Job, Node, NoOptions, Planned, Progress, Stage, Workspace
from edgetl.stages._candidates import (
    candidate_name,
    file_node,
    float_node,
    model_node,
    runtime_digest,
    size_bytes,
    wanted,
)
from edgetl.store.store import Artifact
from edgetl.types import Facts, Precision, Split

if TYPE_CHECKING:  # planning must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

    from edgetl.runtime.predictor import Predictor

PREDICTIONS_FILE = "predictions.npz"
VERIFICATION_FILE = "verification.json"

_LADDER_PHOTOS = 64
_CHUNK = 64

_LOWEST_SNR_DB: Mapping[Precision, float] = {
    Precision.FP32: 60.0,
    Precision.FP16: 30.0,
    Precision.W8A16: 20.0,
    Precision.INT8: 10.0,
}
"""Below this a step of the ladder is broken, per precision of the file that it leads to.

60 dB is an error of 1/1000 of the signal: far more than float32 rounding makes, far less than a
wrong mean, channel order or layout. 30 dB is 1/30: half-precision
weights alone leave 34 dB in a MobileNetV2, where one depthwise weight carries the rounding.
20 and 10 dB are a tenth and a third, the coarsest that 16 and 8 bits are given.
"""
_NO_ERROR_DB = 200.0
"""Stands for equal bits, whose ratio is no number; also the most that is told."""


class Settings(Table):
    """What a verification depends on besides its inputs."""

    format: str
    precision: Precision
    runtime: str
    """Digest of the runtime's files, which give the answers."""


def _plan(job: Job, made: Planned) -> Sequence[Node]:
    model, teacher = model_node(made), made["teacher"][0]
    runtime = runtime_digest(job)
    nodes: list[Node] = []
    for candidate in wanted(job):
        name, precision = candidate
        inputs = {"dataset": made["dataset"][0], "model": model, "float": float_node(made, name)}
        if model is not teacher:
            inputs["teacher"] = teacher
        if precision is not Precision.FP32:
            inputs["candidate"] = file_node(made, candidate)
        settings = Settings(format=name, precision=precision, runtime=runtime)
        nodes.append(Node("verify", f"verify {candidate_name(candidate)}", settings, inputs))
    return nodes


def _check(job: Job) -> Iterator[Problem]:
    """Yield the formats that no engine runs; raise if an engine is not installed."""
    from edgetl.runtime.engines import package

    for target in job.targets:
        for name in target.candidates:
            if name not in EXPORTERS.names():
                continue  # said by export
            try:
                package(name)
            except ContractError as error:
                yield Problem("targets", f"target '{target.name}': {error.message}")
            except EngineError as error:
                raise MissingPackageError(
                    f"target '{target.name}': {error.message}",
                    remedy=f"pip install 'edgetl[{name}]'",
                ) from error


def _tools(settings: Settings) -> tuple[str, ...]:
    from edgetl.runtime.engines import package

    return (package(settings.format), "numpy", "torch")


def _run(settings: Settings, inputs: Mapping[str, Artifact], work: Workspace) -> Facts:
    import numpy as np

    from edgetl.data.dataset import Dataset
    from edgetl.runtime.predictor import Predictor
    from edgetl.train.metrics import top1

    dataset = Dataset.open(inputs["dataset"].folder)
    labels, images = dataset.labels(Split.TEST), dataset.images(Split.TEST)
    if not len(labels):
        raise DataError(
            "the test split has no photos, so no accuracy can be measured",
            remedy="set data.test above 0, or give the photos a test/ folder",
        )
    candidate = inputs.get("candidate", inputs["float"])
    predictor = Predictor.open(candidate.folder)
    logits = _answers(predictor, images, work.progress)
    ladder = _ladder(settings, inputs, images[:_LADDER_PHOTOS], logits[:_LADDER_PHOTOS])
    dataset.release()
    chosen = logits.argmax(axis=1)
    facts: Facts = {
        "format": settings.format,
        "precision": settings.precision.value,
        "engine": predictor.session.engine,
        **top1(logits, labels).facts(),
        "drop": _drop(inputs["model"], logits, labels),
        "teacher_drop": _drop(inputs.get("teacher", inputs["model"]), logits, labels),
        "ladder": ladder,
        "breaks_at": next((step["step"] for step in ladder if not step["holds"]), None),
        "classes": _per_class(chosen, labels, dataset.classes),
        "size_bytes": size_bytes(candidate),
    }
    with (work.out / PREDICTIONS_FILE).open("wb") as file:
        np.savez(file, allow_pickle=False, logits=logits, labels=labels)
    # Grows with the square of the classes, so it is no fact, which every later run would read.
    confusion = _confusion(chosen, labels, len(dataset.classes))
    text = json.dumps({**facts, "confusion": confusion}, indent=2, ensure_ascii=False) + "\n"
    (work.out / VERIFICATION_FILE).write_text(text, encoding="utf-8")
    return facts


def _answers(
    predictor: Predictor, images: NDArray[np.uint8], progress: Progress
) -> NDArray[np.float32]:
    """Return the logits of `images`, shape ``(N, K)``, a chunk at a time to tell how far it is."""
    import numpy as np

    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(images), _CHUNK):
        rows.append(predictor.run(images[start : start + _CHUNK])["logits"])
        progress.step(min(start + _CHUNK, len(images)), len(images), "test photos")
    return np.concatenate(rows)


def _ladder(
    settings: Settings,
    inputs: Mapping[str, Artifact],
    images: NDArray[np.uint8],
    logits: NDArray[np.float32],
) -> list[Facts]:
    """Return the comparisons torch to float file, and float file to candidate, on `images`.

    Args:
        settings: Of the candidate.
        inputs: Of the stage.
        images: Shape ``(N, H, W, 3)``.
        logits: What the candidate answers to them, shape ``(N, K)``.
    """
    from edgetl.runtime.predictor import Predictor

    name = settings.format
    trained = _torch_logits(inputs["model"], images)
    if settings.precision is Precision.FP32:
        return [_step(f"torch to {name} fp32", Precision.FP32, trained, logits)]
    exported = Predictor.open(inputs["float"].folder).run(images)["logits"]
    candidate = candidate_name((name, settings.precision))
    return [
        _step(f"torch to {name} fp32", Precision.FP32, trained, exported),
        _step(f"{name} fp32 to {candidate}", settings.precision, exported, logits),
    ]


def _torch_logits(model: Artifact, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    import torch

    from edgetl.models import load_model
    from edgetl.nn.layers import RawPixels

    spec, module = load_model(model.folder)
    whole = RawPixels(module, spec.mean, spec.std).eval()
    with torch.inference_mode():
        rows = [whole(torch.from_numpy(image[None].astype("float32"))) for image in images]
    logits: NDArray[np.float32] = torch.cat(rows).numpy()
    return logits


def _step(
    step: str,
    precision: Precision,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
) -> Facts:
    """Return how far `after` is from `before`; figures rounded to what other machines repeat."""
    import numpy as np

    expected = before.astype(np.float64)
    error = after.astype(np.float64) - expected
    signal, noise = float((expected**2).sum()), float((error**2).sum())
    snr_db = _NO_ERROR_DB if noise == 0.0 else 10 * math.log10(max(signal, 1e-30) / noise)
    lowest = _LOWEST_SNR_DB[precision]
    return {
        "step": step,
        "photos": len(before),
        "max_error": float(f"{np.abs(error).max():.3g}"),
        "snr_db": round(min(snr_db, _NO_ERROR_DB), 1),
        "lowest_snr_db": lowest,
        "top1_agreement": round(float((before.argmax(1) == after.argmax(1)).mean()), 6),
        "holds": snr_db >= lowest,
    }


def _drop(trained: Artifact, logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Facts:
    """Return how much accuracy the file lost against a torch model, percentage points."""
    import numpy as np

    from edgetl.train.metrics import paired_difference, top1

    with np.load(trained.file("logits.npz"), allow_pickle=False) as arrays:
        before = arrays["test_logits"]
    difference = paired_difference(before, logits, labels)
    low, high = difference.interval()
    return {
        "against": trained.manifest.label,
        "top1": top1(before, labels).facts()["top1"],
        "pp": round(100 * difference.value, 4),
        "low_pp": round(100 * low, 4),
        "high_pp": round(100 * high, 4),
    }


def _confusion(
    chosen: NDArray[np.int64], labels: NDArray[np.int64], num_classes: int
) -> list[list[int]]:
    """Return how often each class (row) was taken for each class (column)."""
    import numpy as np

    counts = np.bincount(labels * num_classes + chosen, minlength=num_classes**2)
    table: list[list[int]] = counts.reshape(num_classes, num_classes).tolist()
    return table


def _per_class(
    chosen: NDArray[np.int64], labels: NDArray[np.int64], names: Sequence[str]
) -> list[Facts]:
    """Return support, recall and precision per class; None where nothing was there or chosen."""
    rows: list[Facts] = []
    for index, name in enumerate(names):
        support, taken = int((labels == index).sum()), int((chosen == index).sum())
        right = int(((labels == index) & (chosen == index)).sum())
        rows.append(
            {
                "label": name,
                "support": support,
                "recall": round(right / support, 6) if support else None,
                "precision": round(right / taken, 6) if taken else None,
            }
        )
    return rows


def _summary(facts: Facts) -> str:
    """Return for example ``top-1 0.981 [0.964, 0.990], drop 0.3 pp``."""
    text = (
        f"top-1 {facts['top1']:.3f} [{facts['low']:.3f}, {facts['high']:.3f}], "
        f"drop {facts['drop']['pp']:.1f} pp"
    )
    return f"{text}; breaks at {facts['breaks_at']}" if facts["breaks_at"] else text


STAGE = Stage(
    name="verify",
    version=1,
    needs=("dataset", "teacher", "student", "float", "quantized"),
    makes="verification",
    options=NoOptions,
    plan=_plan,
    tools=_tools,
    run=_run,
    summary=_summary,
    check=_check,
)
