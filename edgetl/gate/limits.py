"""The cases that need no baseline: is the bundle whole, does it answer, does it hold its limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgetl.config.target import ACCURACIES, Limits, Target
from edgetl.errors import ExitCode
from edgetl.evaluation import EVALUATIONS, Predictions
from edgetl.gate.bundle import Bundle, Images
from edgetl.gate.case import MANIFEST, Case, Status, judged, warned
from edgetl.gate.measure import Measurements, Times
from edgetl.runtime.bundle import check_files
from edgetl.runtime.contract import LABELS_FILE, Contract
from edgetl.runtime.errors import BundleError, ContractError
from edgetl.runtime.golden import ReplayRow, image_file
from edgetl.types import Provenance, Split

_MIB = 2**20
_PP = 100.0
_P95 = "p95"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What the answers to the test images are worth."""

    metric: str
    title: str
    value: float
    low: float
    high: float
    images: int
    at_chance: str | None
    """Why it is no better than guessing, in words; None if it is better."""
    no_predictions: bool
    """Whether it answers nothing at all, which no limit makes a result."""
    drop_pp: float
    provenance: str
    others: Mapping[str, float | None] = field(default_factory=dict)
    """Figures besides the metric that a limit can be set on."""

    @classmethod
    def of_manifest(cls, bundle: Bundle) -> Accuracy:
        """Return what was verified where the bundle was made."""
        found = bundle.manifest.accuracy
        return cls(
            metric=found.metric,
            title=found.title,
            value=found.value,
            low=found.low,
            high=found.high,
            images=found.images,
            at_chance=found.at_chance,
            no_predictions=found.num_predictions == 0,
            drop_pp=found.drop.pp,
            provenance=MANIFEST,
            others={"map50": found.map50},
        )

    @classmethod
    def of_predictions(
        cls, predictions: Predictions, images: Images, bundle: Bundle, provenance: str
    ) -> Accuracy:
        """Return what answers given on a device are worth."""
        evaluation = EVALUATIONS.load(images.dataset.task.value)
        nms = Contract.load(bundle.folder).nms
        score = evaluation.score(predictions, images.dataset, Split.TEST)
        return cls(
            metric=score["metric"],
            title=score["title"],
            value=score["value"],
            low=score["low"],
            high=score["high"],
            images=score["images"],
            at_chance=evaluation.at_chance(predictions, images.dataset, Split.TEST, nms),
            no_predictions=evaluation.num_predictions(predictions, nms) == 0,
            drop_pp=_PP * (bundle.manifest.accuracy.drop.value - score["value"]),
            provenance=provenance,
            others={"map50": score.get("map50")},
        )


def files_case(bundle: Bundle) -> Case:
    """Return whether every file is the one that the manifest lists."""
    try:
        count = check_files(bundle.folder)
    except BundleError as error:
        return Case("files", Status.FAILED, error.message, exit_code=ExitCode.DAMAGED)
    return Case("files", Status.PASSED, f"{count} files as the manifest says")


def labels_case(bundle: Bundle, expected: tuple[str, ...] | None) -> Case:
    """Return whether the classes are those that were verified, in their order.

    Args:
        bundle: Its files are intact.
        expected: The baseline's classes; None without a baseline.
    """
    try:
        labels = Contract.load(bundle.folder).labels
    except ContractError as error:
        return Case("labels", Status.FAILED, error.message, exit_code=ExitCode.DAMAGED)
    path = bundle.folder / LABELS_FILE
    listed = tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else None
    others = {"the verification": bundle.labels, LABELS_FILE: listed, "the baseline": expected}
    problems = (
        _label_problem(labels, other, where) for where, other in others.items() if other is not None
    )
    problem = next(filter(None, problems), "")
    return judged("labels", problem, f"{len(labels)} classes in the order that was verified")


def _label_problem(labels: tuple[str, ...], others: tuple[str, ...], where: str) -> str:
    if labels == others:
        return ""
    missing = [label for label in others if label not in labels]
    added = [label for label in labels if label not in others]
    if missing or added:
        lost = [f"lacks {', '.join(map(repr, missing))}"] if missing else []
        new = [f"has {', '.join(map(repr, added))} instead or besides"] if added else []
        return f"the contract {' and '.join(lost + new)}; compared with {where}"
    place = next(i for i, pair in enumerate(zip(labels, others, strict=False)) if len({*pair}) > 1)
    return (
        f"the contract names class {place} '{labels[place]}', {where} '{others[place]}': "
        "their order differs"
    )


def golden_cases(bundle: Bundle, measurements: Measurements) -> tuple[Case, Case]:
    """Return whether the golden samples answer on the device, and images become the same pixels."""
    found = measurements.provenance
    if measurements.error:
        skipped = Case("fitted pixels", Status.SKIPPED, "not run: the golden samples do not run")
        return Case("golden samples", Status.FAILED, measurements.error, found), skipped
    image_files = {image_file(i) for i in range(len(measurements.golden))}
    rows = [row for row in measurements.golden if row.tolerance is not None]
    predictions = _replayed(
        "golden samples", [row for row in rows if row.name not in image_files], found
    )
    pixels = _replayed("fitted pixels", [row for row in rows if row.name in image_files], found)
    breaks_at = bundle.manifest.accuracy.breaks_at
    if breaks_at is None:
        return predictions, pixels
    warning = f"where it was made, parity with the trained model broke at {breaks_at}"
    return dataclasses.replace(predictions, warning=warning), pixels


def accuracy_cases(accuracy: Accuracy, target: Target) -> tuple[Case, Case]:
    """Return whether the accuracy is enough, and whether the loss against the float model is."""
    limits = target.limits
    fine = (
        f"{accuracy.title} {accuracy.value:.4g} [{accuracy.low:.4g}, {accuracy.high:.4g}] "
        f"of {accuracy.images} images"
    )
    figures = {accuracy.metric: accuracy.value, "images": accuracy.images}
    first = judged(
        "accuracy",
        "; ".join(_too_low(accuracy, limits)),
        fine,
        provenance=accuracy.provenance,
        figures=figures,
    )
    drop_pp = round(accuracy.drop_pp, 4)
    return first, _at_most(
        "accuracy drop",
        drop_pp,
        limits.drop_pp,
        "pp",
        provenance=accuracy.provenance,
        target=target,
    )


def size_case(bundle: Bundle, target: Target) -> Case:
    """Return whether the model file is small enough."""
    size_mib = bundle.size_bytes() / _MIB
    return _at_most("size", size_mib, target.limits.size_mib, "MiB", provenance="", target=target)


def latency_case(measurements: Measurements, target: Target) -> Case:
    """Return whether the device answers in time; only a measured time can pass."""
    limit = target.limits.p95_ms
    if limit is None or measurements.times is None:
        return _unmeasured("latency", limit, "ms", measurements, target)
    times = measurements.times
    quantile = times.summary["model_ms"].get(_P95)
    if quantile is None:
        count = times.summary["count"]
        why = f"{count} times are too few for a p95; at most {limit:g} ms allowed"
        return Case("latency", Status.FAILED, why, measurements.provenance)
    case = _at_most(
        "latency", quantile["value"], limit, "ms", provenance=measurements.provenance, target=target
    )
    # What disturbs can only have made the times longer.
    return warned(unproven(case, times), *times.doubts())


def unproven(case: Case, times: Times) -> Case:
    """Return `case`, doubtful if it is red, and unverified if by times that are not the model's."""
    if case.status is not Status.FAILED:
        return case
    count = f" in {times.measurements} measurements" if times.measurements > 1 else ""
    if not times.disturbed:
        return dataclasses.replace(case, reason=f"{case.reason}{count}", doubtful=True)
    return dataclasses.replace(
        case,
        status=Status.UNVERIFIED,
        reason=f"{case.reason}, but the timing was disturbed{count}: run again when the device is "
        "quiet",
        doubtful=True,
    )


def memory_case(measurements: Measurements, target: Target) -> Case:
    """Return whether the process that answers needs little enough memory."""
    limit = target.limits.memory_mib
    if limit is None or measurements.times is None:
        return _unmeasured("memory", limit, "MiB", measurements, target)
    memory = measurements.times.summary["peak_memory_bytes"]
    if memory is None:
        why = f"the device does not tell its peak memory; at most {limit:g} MiB allowed"
        return Case("memory", Status.FAILED, why, measurements.provenance)
    return _at_most(
        "memory", memory / _MIB, limit, "MiB", provenance=measurements.provenance, target=target
    )


def _replayed(name: str, rows: Sequence[ReplayRow], provenance: str) -> Case:
    said = [
        f"{row.name} {row.what}: worst {row.worst:.3g}, {row.tolerance or 0.0:.3g} allowed"
        for row in rows
    ]
    broken = [text for text, row in zip(said, rows, strict=True) if not row.passed]
    figures = {row.name: row.worst for row in rows}
    return judged(name, "; ".join(broken), "; ".join(said), provenance=provenance, figures=figures)


def _too_low(accuracy: Accuracy, limits: Limits) -> list[str]:
    problems = []
    if accuracy.at_chance is not None and (limits.better_than_guessing or accuracy.no_predictions):
        problems.append(accuracy.at_chance)
    known = next(titles for titles in ACCURACIES.values() if accuracy.metric in titles)
    for name, title in known.items():
        least: float | None = getattr(limits, name)
        value = accuracy.value if name == accuracy.metric else accuracy.others.get(name)
        if least is None:
            continue
        if value is None:
            problems.append(f"{title} is not known; at least {least:g} is wanted")
        elif value < least:
            problems.append(f"{title} {value:.4g} < {least:g}")
    return problems


def _at_most(
    name: str, value: float, most: float | None, unit: str, *, provenance: str, target: Target
) -> Case:
    figures = {"value": round(value, 6), "limit": most, "unit": unit}
    if most is None:
        reason = f"{value:.4g} {unit}; targets/{target.name}.yaml sets no limit"
        return Case(name, Status.SKIPPED, reason, provenance, figures=figures)
    problem = f"{value:.4g} > {most:g} {unit}" if value > most else ""
    fine = f"{value:.4g} <= {most:g} {unit}"
    return judged(name, problem, fine, provenance=provenance, figures=figures)


def _unmeasured(
    name: str, limit: float | None, unit: str, measurements: Measurements, target: Target
) -> Case:
    """Return the case of a figure without a limit, or without a measurement that means anything."""
    if measurements.error:
        return Case(name, Status.SKIPPED, "not run: the golden samples do not run")
    if limit is None:
        return Case(name, Status.SKIPPED, f"targets/{target.name}.yaml sets no limit")
    reason = (
        f"at most {limit:g} {unit} allowed, but only a {Provenance.MEASURED} figure can pass, and "
        f"device '{measurements.device}' is {measurements.provenance}"
    )
    return Case(name, Status.UNVERIFIED, reason, measurements.provenance)
