"""What a later check compares with: the figures of a bundle that was good, in a file to keep."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from edgetl.config.table import Table
from edgetl.errors import ConfigError, Problem
from edgetl.evaluation import Answers
from edgetl.gate.bundle import Bundle, Photos, Quantile
from edgetl.gate.limits import Accuracy
from edgetl.gate.measure import Evidence
from edgetl.types import Fact, Provenance

if TYPE_CHECKING:  # the command line must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

_LOGITS = "logits"
_UPDATE = "write it anew: edgetl baseline update BUNDLE"


class PackedArray(Table):
    """An array as text: its bytes, deflated, in base 64."""

    dtype: str
    shape: tuple[int, ...]
    data: str


class AccuracyRecord(Table):
    """What the answers were worth, and the answers."""

    metric: str
    value: float
    low: float
    high: float
    photos: int
    provenance: str
    split: str | None
    """Digest of the test photos and their labels; None if they were not at hand."""
    answers: dict[str, PackedArray] | None
    """To every test photo, in their order: of a classifier only which class is first."""


class LatencyRecord(Table):
    """Quantiles of single inferences with their 95 % intervals, and where they were taken."""

    model_ms: dict[str, Quantile | None]
    """None where there were too few times."""
    threads: int
    host: dict[str, str | int | float | None]


class Baseline(Table):
    """The content of ``baseline.json``."""

    version: Literal[1] = 1
    edgetl: str
    name: str
    """Of the recipe."""
    target: str
    candidate: str
    labels: tuple[str, ...]
    size_bytes: int
    model: dict[str, str]
    """Digests of the model's files."""
    accuracy: AccuracyRecord
    latency: LatencyRecord | None
    """None if no undisturbed measured time was at hand."""


def make_baseline(bundle: Bundle, photos: Photos | None, evidence: Evidence | None) -> Baseline:
    """Return the baseline of `bundle`.

    Args:
        bundle: Its files are intact.
        photos: What it was tested on; None if that is not at hand, so answers cannot be compared.
        evidence: From a device; None to take what the bundle's manifest says.
    """
    from edgetl import __version__

    accuracy, answers = Accuracy.of_manifest(bundle), None if photos is None else photos.answers
    if photos is not None and evidence is not None and evidence.answers is not None:
        answers = evidence.answers
        accuracy = Accuracy.of_answers(answers, photos, bundle, evidence.provenance)
    return Baseline(
        edgetl=__version__,
        name=bundle.manifest.name,
        target=bundle.manifest.target.name,
        candidate=bundle.manifest.candidate,
        labels=bundle.labels,
        size_bytes=bundle.size_bytes(),
        model=bundle.model_files(),
        accuracy=AccuracyRecord(
            metric=accuracy.metric,
            value=accuracy.value,
            low=accuracy.low,
            high=accuracy.high,
            photos=accuracy.photos,
            provenance=accuracy.provenance,
            split=None if photos is None else photos.digest,
            answers=None if answers is None else pack(answers),
        ),
        latency=_latency(bundle, evidence),
    )


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write `baseline`, byte for byte the same for the same figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(baseline.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_baseline(path: Path, bundle: Bundle) -> Baseline:
    """Return the baseline in `path`, which must be one of `bundle`'s model and target.

    Raises:
        ConfigError: If it cannot be read, or belongs to another model or target.
    """
    try:
        baseline = Baseline.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        problems = [Problem("", "no such file")]
        raise ConfigError(
            str(path),
            problems,
            remedy=f"edgetl baseline update {bundle.folder} --out {path}",
        ) from error
    except ValidationError as error:
        problems = [
            Problem(".".join(map(str, each["loc"])), each["msg"].lower())
            for each in error.errors(include_input=False)
        ]
        raise ConfigError(str(path), problems, remedy=_UPDATE) from error
    manifest = bundle.manifest
    pairs = {
        "name": (baseline.name, manifest.name),
        "target": (baseline.target, manifest.target.name),
        "accuracy.metric": (baseline.accuracy.metric, manifest.accuracy.metric),
    }
    problems = [
        Problem(where, f"is '{kept}', but the bundle's is '{found}'")
        for where, (kept, found) in pairs.items()
        if kept != found
    ]
    if problems:
        remedy = (
            f"give the baseline of this model, or {_UPDATE.replace('BUNDLE', str(bundle.folder))}"
        )
        raise ConfigError(str(path), problems, remedy=remedy)
    return baseline


def check_split(baseline: Baseline, photos: Photos | None, source: str) -> None:
    """Refuse a baseline that was made with other test photos.

    Raises:
        ConfigError: If it was; answers to other photos cannot be compared one by one.
    """
    kept = baseline.accuracy.split
    if photos is None or kept in {None, photos.digest}:
        return
    raise ConfigError(
        source,
        [
            Problem(
                "accuracy.split",
                f"its {baseline.accuracy.photos} test photos or their labels are not those of the "
                "bundle, so answers cannot be compared photo by photo",
            )
        ],
        remedy="check with the old test photos, or say that the new ones are meant: "
        "edgetl baseline update BUNDLE",
    )


def pack(answers: Answers) -> dict[str, PackedArray]:
    """Return `answers` as text; of logits only which one is largest, so that files stay small."""
    import numpy as np

    packed = {}
    for name, values in answers.items():
        array = np.ascontiguousarray(values)
        if name == _LOGITS:
            array = np.zeros(values.shape, np.uint8)
            array[np.arange(len(values)), values.argmax(axis=1)] = 1
        data = base64.b64encode(zlib.compress(array.tobytes(), 9)).decode("ascii")
        packed[name] = PackedArray(dtype=array.dtype.str, shape=array.shape, data=data)
    return packed


def unpack(packed: dict[str, PackedArray], source: str) -> Answers:
    """Return what `pack` took, logits as zeros and a one.

    Raises:
        ConfigError: If the text is damaged.
    """
    return {name: _array(name, each, source) for name, each in packed.items()}


def _array(name: str, packed: PackedArray, source: str) -> NDArray[np.generic]:
    import numpy as np

    try:
        data = zlib.decompress(base64.b64decode(packed.data, validate=True))
        array = np.frombuffer(data, np.dtype(packed.dtype)).reshape(packed.shape)
    except (ValueError, TypeError, zlib.error) as error:
        problems = [Problem(f"accuracy.answers.{name}", f"is damaged: {error}")]
        raise ConfigError(source, problems, remedy=_UPDATE) from error
    return array


def _latency(bundle: Bundle, evidence: Evidence | None) -> LatencyRecord | None:
    """Return times of the device, else those of the manifest; None if neither was measured well."""
    if evidence is not None:
        if evidence.times is None or evidence.times.summary["interfered"]:
            return None
        summary: dict[str, Fact] = evidence.times.summary
        return LatencyRecord(
            model_ms=summary["model_ms"], threads=summary["threads"], host=evidence.times.host
        )
    timed = bundle.manifest.latency
    if timed is None or timed.provenance != Provenance.MEASURED or timed.interfered:
        return None
    return LatencyRecord(model_ms=timed.model_ms, threads=timed.threads, host=timed.host)
