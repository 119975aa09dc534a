"""The cases that need no baseline: files and labels, golden samples, and limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from edgetl.config.limits import LIMITS, Bound, Figures, Judge, Source
from edgetl.config.target import Target
from edgetl.errors import ExitCode
from edgetl.evaluation import Predictions
from edgetl.evaluation.judged import figures_of
from edgetl.facts.scores import Difference, Score
from edgetl.facts.verification import ClassFigures, at_thresholds
from edgetl.gate.bundle import Bundle, Images
from edgetl.gate.case import MANIFEST, Case, Status, judged, warned
from edgetl.gate.measure import Measurements, Times
from edgetl.runtime.bundle import check_files
from edgetl.runtime.contract import LABELS_FILE, Contract
from edgetl.runtime.errors import BundleError, ContractError
from edgetl.runtime.golden import ReplayRow, image_file
from edgetl.tasks import TASKS
from edgetl.types import Provenance, Split

_PP = 100.0
_ACCURACY = "accuracy"
"""The case that all accuracy limits share."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy on the test images."""

    score: Score
    at_chance: str | None
    """Why it is no better than guessing, in words; None if it is better."""
    no_predictions: bool
    """Whether it predicts nothing at all, which fails whatever the limits."""
    drop: Difference
    """Against the trained model."""
    classes: tuple[ClassFigures, ...]
    provenance: str

    @classmethod
    def of_manifest(cls, bundle: Bundle) -> Accuracy:
        """Return the accuracy that was verified where the bundle was made."""
        verification = bundle.manifest.accuracy
        return cls(
            score=verification,
            at_chance=verification.at_chance,
            no_predictions=verification.num_predictions == 0,
            drop=verification.drop,
            classes=verification.judged_classes,
            provenance=MANIFEST,
        )

    @classmethod
    def of_predictions(
        cls, predictions: Predictions, images: Images, bundle: Bundle, provenance: str
    ) -> Accuracy:
        """Return the accuracy of predictions made on a device."""
        # Here, because the command line must not wait for numpy.
        from edgetl.evaluation.operating import operating_figures

        evaluation = TASKS.load(images.dataset.task).evaluation
        contract, dataset = Contract.load(bundle.folder), images.dataset
        nms, reported = contract.nms, predictions
        if contract.class_thresholds is not None:
            reported = evaluation.reported(predictions, contract.class_thresholds)
        score = evaluation.score(predictions, dataset, Split.TEST)
        details = evaluation.details(predictions, dataset, Split.TEST)
        operating = operating_figures(evaluation, predictions, dataset, contract)
        return cls(
            score=score,
            at_chance=evaluation.at_chance(reported, dataset, Split.TEST, nms),
            no_predictions=evaluation.num_predictions(reported, nms) == 0,
            drop=_drop(bundle, score),
            classes=at_thresholds(ClassFigures.of_details(details), operating),
            provenance=provenance,
        )

    def figures(self, bundle: Bundle, times: Times | None) -> Figures:
        """Return all figures that limits apply to.

        Args:
            bundle: Of the model file.
            times: From the device; None if it took no valid ones.
        """
        return figures_of(
            self.score,
            self.drop,
            self.classes,
            None if times is None else times.summary,
            at_chance=self.at_chance,
            no_predictions=self.no_predictions,
            size_bytes=bundle.size_bytes(),
            interfered=times is not None and times.disturbed,
        )


def _drop(bundle: Bundle, score: Score) -> Difference:
    """Return the drop of predictions made on a device, with `score`, against the trained model.

    Its interval is that of the file's drop where it was made, moved to the device's drop: the
    trained model's predictions are not in a bundle.
    """
    made = bundle.manifest.accuracy.drop
    pp = round(_PP * (made.value - score.value), 4)
    return Difference(pp=pp, low_pp=made.low_pp + pp - made.pp, high_pp=made.high_pp + pp - made.pp)


def judged_accuracy(
    bundle: Bundle, images: Images | None, measurements: Measurements | None
) -> tuple[Accuracy, Predictions | None]:
    """Return the accuracy to judge, and the predictions for the test images if there are any.

    Predictions made by a device replace those made where the bundle was made.
    """
    if images is None:
        return Accuracy.of_manifest(bundle), None
    if measurements is None or measurements.predictions is None:
        return Accuracy.of_manifest(bundle), images.predictions
    predictions, provenance = measurements.predictions, measurements.provenance
    return Accuracy.of_predictions(predictions, images, bundle, provenance), predictions


def files_case(bundle: Bundle) -> Case:
    """Return whether every file is the one that the manifest lists."""
    try:
        count = check_files(bundle.folder)
    except BundleError as error:
        return Case("files", Status.FAILED, error.message, exit_code=ExitCode.DAMAGED)
    return Case("files", Status.PASSED, f"{count} files as listed in the manifest")


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
        new = [f"has {', '.join(map(repr, added))} instead or in addition"] if added else []
        return f"the contract {' and '.join(lost + new)}; compared with {where}"
    place = next(i for i, pair in enumerate(zip(labels, others, strict=False)) if len({*pair}) > 1)
    return (
        f"the contract names class {place} '{labels[place]}', {where} '{others[place]}': "
        "their order differs"
    )


def golden_cases(bundle: Bundle, measurements: Measurements) -> tuple[Case, Case]:
    """Return whether the device reproduces the golden samples, and the fitted pixels of images."""
    provenance = measurements.provenance
    if measurements.error:
        skipped = Case("fitted pixels", Status.SKIPPED, "not run: the golden samples do not run")
        return Case("golden samples", Status.FAILED, measurements.error, provenance), skipped
    image_files = {image_file(i) for i in range(len(measurements.golden))}
    rows = [row for row in measurements.golden if row.tolerance is not None]
    predictions = _replayed(
        "golden samples", [row for row in rows if row.name not in image_files], provenance
    )
    images = [row for row in rows if row.name in image_files]
    pixels = _replayed("fitted pixels", images, provenance)
    if not images:
        pixels = Case("fitted pixels", Status.SKIPPED, "the model takes no image")
    breaks_at = bundle.manifest.accuracy.breaks_at
    if breaks_at is None:
        return predictions, pixels
    warning = f"where it was made, parity with the trained model broke at {breaks_at}"
    return dataclasses.replace(predictions, warning=warning), pixels


def limit_cases(
    bundle: Bundle, accuracy: Accuracy, measurements: Measurements, target: Target
) -> list[Case]:
    """Return whether the figures meet the limits of `target`.

    All accuracy limits are one case, which also fails if the model is no better than guessing.
    """
    figures = accuracy.figures(bundle, measurements.times)
    cases = [_accuracy_case(accuracy, figures, target)]
    for name, limit in LIMITS.items():
        if limit.case == _ACCURACY:
            continue
        if limit.source.on_device:
            cases.append(_device_case(name, figures, measurements, target))
        else:
            measured_by_it = limit.source is Source.PREDICTIONS
            provenance = accuracy.provenance if measured_by_it else ""
            cases.append(_judged_limit(name, figures, target, provenance=provenance))
    return cases


def _accuracy_case(accuracy: Accuracy, figures: Figures, target: Target) -> Case:
    score, limits = accuracy.score, target.limits
    problems = [limits.chance_problem(figures)]
    not_shown: list[str] = []
    for bound in limits.bounds():
        limit = bound.limit
        if limit.case != _ACCURACY:
            continue
        value = limit.figure(figures)
        if value is None:
            required = limit.required(bound.value)
            problems.append(f"{limit.title} is not known; {required} is required")
        elif limit.excess(value, bound.value) > 0:
            problems.append(limit.miss(figures, value, bound.value))
        else:
            not_shown.append(bound.not_shown(figures))
    if target.judge is Judge.SHOWN:
        problems, not_shown = [*problems, *not_shown], []
    fine = f"{score.title} {score.value:.4g} [{score.low:.4g}, {score.high:.4g}] "
    case = judged(
        _ACCURACY,
        "; ".join(filter(None, problems)),
        f"{fine}of {score.images} images",
        provenance=accuracy.provenance,
        figures={score.metric: score.value, "images": score.images},
    )
    return warned(case, *not_shown)


def _device_case(name: str, figures: Figures, measurements: Measurements, target: Target) -> Case:
    """Return the case of a figure that only a measurement on a real device can pass."""
    limit, bound = LIMITS[name], target.limits.bound(name)
    if bound is None or measurements.times is None:
        return _unmeasured(name, measurements, target)
    provenance = measurements.provenance
    if limit.figure(figures) is None:
        reason = f"{limit.unknown}; {limit.required(bound)} allowed"
        return Case(limit.case, Status.FAILED, reason, provenance)
    case = _judged_limit(name, figures, target, provenance=provenance)
    if limit.source is not Source.TIMING:
        return case
    # Disturbances can only have made the times longer.
    return warned(unproven(case, measurements.times), *measurements.times.doubts())


def unproven(case: Case, times: Times) -> Case:
    """Return `case`, doubtful if it is red, and unverified if its times were disturbed."""
    if case.status is not Status.FAILED:
        return case
    count = f" in {times.measurements} measurements" if times.measurements > 1 else ""
    if not times.disturbed:
        return dataclasses.replace(case, reason=f"{case.reason}{count}", doubtful=True)
    return dataclasses.replace(
        case,
        status=Status.UNVERIFIED,
        reason=f"{case.reason}, but the timing was disturbed{count}: run again when the device is "
        "idle",
        doubtful=True,
    )


def _replayed(name: str, rows: Sequence[ReplayRow], provenance: str) -> Case:
    broken = [_compared(row) for row in rows if not row.passed]
    fine = "; ".join(map(_compared, rows))
    figures = {row.name: row.worst for row in rows}
    return judged(name, "; ".join(broken), fine, provenance=provenance, figures=figures)


def _compared(row: ReplayRow) -> str:
    return f"{row.name} {row.what}: worst {row.worst:.3g}, {row.tolerance or 0.0:.3g} allowed"


def _judged_limit(name: str, figures: Figures, target: Target, *, provenance: str) -> Case:
    """Return the case of a limit whose figure is known."""
    limit, bound = LIMITS[name], target.limits.bound(name)
    value = limit.figure(figures)
    if value is None:
        raise ValueError(f"the figure of {name} is not known")
    data = {"value": round(value, 6), "limit": bound, "unit": limit.unit}
    if bound is None:
        reason = f"{value:.4g} {limit.unit}; {_no_limit(target)}"
        return Case(limit.case, Status.SKIPPED, reason, provenance, figures=data)
    text = limit.compared(value, bound)
    problem = text if limit.excess(value, bound) > 0 else ""
    not_shown = Bound(name, limit, bound).not_shown(figures)
    if target.judge is Judge.SHOWN:
        problem, not_shown = problem or not_shown, ""
    return warned(judged(limit.case, problem, text, provenance=provenance, figures=data), not_shown)


def _unmeasured(name: str, measurements: Measurements, target: Target) -> Case:
    """Return the case of a figure without a limit, or without a valid measurement."""
    limit, bound = LIMITS[name], target.limits.bound(name)
    if measurements.error:
        return Case(limit.case, Status.SKIPPED, "not run: the golden samples do not run")
    if bound is None:
        return Case(limit.case, Status.SKIPPED, _no_limit(target))
    reason = (
        f"{limit.required(bound)} allowed, but only a {Provenance.MEASURED} figure can pass, and "
        f"device '{measurements.device}' is {measurements.provenance}"
    )
    return Case(limit.case, Status.UNVERIFIED, reason, measurements.provenance)


def _no_limit(target: Target) -> str:
    return f"targets/{target.name}.yaml sets no limit"
