"""The reference of later checks: the figures of a known good bundle, in a file to keep in git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from edgetl.config.candidate import Candidate
from edgetl.config.table import Table
from edgetl.errors import ConfigError, Problem
from edgetl.evaluation import Predictions
from edgetl.facts.latency import Host, Quantiles, TimingFacts
from edgetl.gate.bundle import Bundle, Images
from edgetl.gate.limits import judged_accuracy
from edgetl.gate.measure import Measurements
from edgetl.gate.packed import PackedArray, pack, unpack
from edgetl.placeholder import placeholder

_CONFLICT = b"<<<<<<< "
"""Begins the first line of each conflict that git leaves in a file."""
_MOST_PROBLEMS = 3
"""Shown of a file; more would not help."""


class AccuracyRecord(Table):
    """The accuracy on the test images, and the predictions for them."""

    metric: str
    value: float = Field(ge=0.0, le=1.0)
    low: float = Field(ge=0.0, le=1.0)
    high: float = Field(ge=0.0, le=1.0)
    images: int = Field(ge=1)
    provenance: str
    split: str | None
    """Digest of the test images and their labels; None if they were not available."""
    predictions: dict[str, PackedArray] | None
    """For the test images, in their order; for a classifier only the top class."""

    @model_validator(mode="after")
    def _predictions_of_known_images(self) -> Self:
        if (self.split is None) != (self.predictions is None):
            raise ValueError("split and predictions belong together")
        return self


class LatencyRecord(Table):
    """Quantiles of single inferences with their 95 % intervals, and where they were taken."""

    model_ms: Quantiles
    threads: int = Field(ge=1)
    host: Host
    engine: str | None = None
    """Package and version; older files do not name it."""


class Baseline(Table):
    """The content of ``baseline.json``."""

    version: Literal[1] = 1
    edgetl: str
    name: str
    """Of the recipe."""
    target: str
    candidate: Candidate
    labels: tuple[str, ...]
    size_bytes: int = Field(gt=0)
    model: dict[str, str]
    """Digests of the model's files."""
    accuracy: AccuracyRecord
    latency: LatencyRecord | None
    """None if there was no undisturbed measured time."""


def make_baseline(
    bundle: Bundle, images: Images | None, measurements: Measurements | None
) -> Baseline:
    """Return the baseline of `bundle`.

    Args:
        bundle: Its files are intact.
        images: Its test images; None if they are not available, so that predictions cannot be
            compared.
        measurements: From a device; None to use the bundle's manifest.
    """
    from edgetl import __version__

    accuracy, predictions = judged_accuracy(bundle, images, measurements)
    return Baseline(
        edgetl=__version__,
        name=bundle.manifest.name,
        target=bundle.manifest.target.name,
        candidate=bundle.manifest.candidate,
        labels=bundle.labels,
        size_bytes=bundle.size_bytes(),
        model=bundle.model_files(),
        accuracy=AccuracyRecord(
            metric=accuracy.score.metric,
            value=accuracy.score.value,
            low=accuracy.score.low,
            high=accuracy.score.high,
            images=accuracy.score.images,
            provenance=accuracy.provenance,
            split=None if images is None else images.digest,
            predictions=None if predictions is None else pack(predictions),
        ),
        latency=_latency(bundle, measurements),
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
        content = path.read_bytes()
        _refuse_unmerged(path, content)
        baseline = Baseline.model_validate_json(content)
    except FileNotFoundError as error:
        problems = [Problem("", "no such file")]
        raise ConfigError(str(path), problems, remedy=_command(path, bundle)) from error
    except ValidationError as error:
        remedy = _restored(path)
        if _is_foreign(error):
            # The user may need this file, so the remedy does not overwrite it.
            remedy = f"give a file written by: edgetl baseline update {bundle.folder}"
        raise ConfigError(str(path), list(_problems(error)), remedy=remedy) from error
    manifest = bundle.manifest
    pairs = {
        "name": (baseline.name, manifest.name),
        "target": (baseline.target, manifest.target.name),
        "accuracy.metric": (baseline.accuracy.metric, manifest.accuracy.metric),
    }
    problems = [
        Problem(key, f"is '{expected}', but the bundle's is '{actual}'")
        for key, (expected, actual) in pairs.items()
        if expected != actual
    ]
    if problems:
        remedy = f"give the baseline of this model, or write it again: {_command(path, bundle)}"
        raise ConfigError(str(path), problems, remedy=remedy)
    return baseline


def baseline_predictions(
    baseline: Baseline, bundle: Bundle, images: Images | None, path: Path
) -> Predictions | None:
    """Return the predictions in `baseline`, None if it has none or the images are not available.

    Args:
        baseline: Of the same model and target.
        bundle: The bundle to check.
        images: Its test images; None if they are not available.
        path: The file of the baseline.

    Raises:
        ConfigError: If they are damaged, or for other test images and cannot be compared one by
            one.
    """
    accuracy = baseline.accuracy
    if images is None or accuracy.predictions is None:
        return None
    if accuracy.split != images.digest:
        problem = Problem(
            "accuracy.split",
            f"its {accuracy.images} test images or their labels are not those of the bundle, so "
            "predictions cannot be compared image by image",
        )
        remedy = (
            "check with the old test images, or update the baseline to the new ones: "
            f"{_command(path, bundle)}"
        )
        raise ConfigError(str(path), [problem], remedy=remedy)
    return unpack(accuracy.predictions, images, source=str(path), remedy=_restored(path))


def _refuse_unmerged(path: Path, content: bytes) -> None:
    """Refuse a file that git has merged in part, or keeps elsewhere.

    Raises:
        ConfigError: With the commands that complete it.
    """
    instead = placeholder(path)
    if instead is not None:
        raise ConfigError(str(path), [Problem("", instead.what)], remedy=instead.remedy)
    if any(line.startswith(_CONFLICT) for line in content.splitlines()):
        raise ConfigError(
            str(path),
            [Problem("", "has conflicts of a merge that are not resolved")],
            remedy=f"take the file of one side: git checkout --ours {path}, or git checkout "
            f"--theirs {path}",
        )


def _restored(path: Path) -> str:
    """Return the remedy for a damaged file; one of the bundle at hand would let anything pass."""
    return (
        f"restore it, for example with: git checkout -- {path}; written from this bundle, it would "
        "hide what has become worse"
    )


def _command(path: Path, bundle: Bundle) -> str:
    return f"edgetl baseline update {bundle.folder} --out {path}"


def _is_foreign(error: ValidationError) -> bool:
    """Return whether the file is something other than a baseline, not just a damaged one."""
    top = {each["type"] for each in error.errors() if len(each["loc"]) <= 1}
    return bool(top & {"missing", "extra_forbidden", "model_type"})


def _problems(error: ValidationError) -> Iterator[Problem]:
    """Yield the first few problems."""
    details = error.errors(include_input=False, include_url=False)
    if _is_foreign(error):
        yield Problem("", "is not a baseline")
    for each in details[:_MOST_PROBLEMS]:
        what = each["msg"].lower().removeprefix("value error, ")
        yield Problem(".".join(map(str, each["loc"])), what)
    if len(details) > _MOST_PROBLEMS:
        yield Problem("", f"and {len(details) - _MOST_PROBLEMS} more")


def _latency(bundle: Bundle, measurements: Measurements | None) -> LatencyRecord | None:
    """Return times from the device, or else the manifest; None if disturbed or not measured."""
    if measurements is not None:
        if measurements.times is None or measurements.times.disturbed:
            return None
        return _record(measurements.times.summary, measurements.times.host)
    timed = bundle.manifest.latency
    if timed is None or not timed.measured or timed.interfered:
        return None
    return _record(timed, timed.host)


def _record(timing: TimingFacts, host: Host) -> LatencyRecord:
    return LatencyRecord(
        model_ms=timing.model_ms, threads=timing.threads, host=host, engine=timing.engine
    )
