"""Check a bundle on a device: every case in turn; cases that cannot run are reported as skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetl.config.limits import LIMITS
from edgetl.config.target import Target
from edgetl.devices import Device, open_device
from edgetl.errors import ConfigError, DeviceError, ExitCode, Problem, UsageError
from edgetl.evaluation import Predictions
from edgetl.gate.baseline import Baseline, baseline_predictions, read_baseline
from edgetl.gate.bundle import Bundle, Images
from edgetl.gate.case import MANIFEST, Case, Required, Status, exit_code, warned
from edgetl.gate.compare import FALSE_ALARM, Allowed, Current, baseline_cases
from edgetl.gate.limits import (
    files_case,
    golden_cases,
    judged_accuracy,
    labels_case,
    limit_cases,
)
from edgetl.gate.measure import MEASUREMENTS, Measurements, measure, time_again
from edgetl.types import Facts, Provenance

_CASES = (
    "golden samples",
    "fitted pixels",
    *dict.fromkeys(limit.case for limit in LIMITS.values()),
)
_BASELINE_CASES = ("accuracy against baseline", "latency against baseline", "size against baseline")


_NOT_FROM_HERE = (
    "from the manifest, not from this device; check the recipe to let the device predict the test "
    "images"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """The options of a check."""

    target: Target
    allowed: Allowed
    required: Required = Required.MEASURED
    baseline: Path | None = None
    seconds: float = 10.0
    """Each run of a timing takes at least this long."""
    images: Images | None = None
    """The test images with the predictions made along with the bundle; None if not available."""
    predict: bool = False
    """Whether the device predicts the test images itself."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check."""

    bundle: Bundle
    options: CheckOptions
    device: Device
    measurements: Measurements | None
    """None if the bundle could not be run."""
    cases: tuple[Case, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of the process."""
        return exit_code(self.cases, self.options.required)

    @property
    def verdict(self) -> str:
        """``failed`` if a case is red; ``unverified`` if a required figure could not be shown."""
        if any(case.status is Status.FAILED for case in self.cases):
            return "failed"
        return "unverified" if self.exit_code else "passed"

    def as_json(self) -> Facts:
        """Return everything that reports need, as plain JSON."""
        manifest, options = self.bundle.manifest, self.options
        times = None if self.measurements is None else self.measurements.times
        return {
            "schema": 1,
            "verdict": self.verdict,
            "exit_code": int(self.exit_code),
            "bundle": str(self.bundle.folder),
            "name": manifest.name,
            "target": manifest.target.name,
            "candidate": manifest.candidate.name,
            "device": self.device.address,
            "provenance": self.device.provenance,
            "required": options.required.value,
            "baseline": None if options.baseline is None else str(options.baseline),
            "allowed_drop_pp": options.allowed.drop_pp,
            "allowed_ratio": options.allowed.ratio,
            "false_alarm_rate": FALSE_ALARM,
            "host": None if times is None else times.host,
            "latency": None if times is None else times.summary.model_dump(mode="json"),
            "cases": [case.as_json() for case in self.cases],
        }


def check_bundle(bundle: Bundle, device: Device, options: CheckOptions) -> Checked:
    """Check `bundle` on `device` case by case.

    Raises:
        DeviceError: If the device cannot be reached, or Python fails there.
        ConfigError: If the baseline is damaged, or belongs to another model, target or test split;
            or if the target limits a class that the model does not have.
    """
    _check_classes(bundle, options.target)
    baseline, kept = _read(bundle, options)
    files = files_case(bundle)
    if files.status is Status.FAILED:
        cases = [files, *_not_run(("labels", *_CASES), baseline, "the files are damaged")]
        return Checked(bundle, options, device, None, tuple(cases))
    labels = labels_case(bundle, None if baseline is None else baseline.labels)
    if labels.status is Status.FAILED and labels.exit_code is ExitCode.DAMAGED:
        cases = [files, labels, *_not_run(_CASES, baseline, "the contract cannot be read")]
        return Checked(bundle, options, device, None, tuple(cases))
    threads, seconds = options.target.threads, options.seconds
    measurements = measure(
        bundle,
        device,
        threads=threads,
        seconds=seconds if _times_matter(options.target, baseline) else None,
        dataset=options.images.dataset if options.predict and options.images else None,
    )
    measured_cases = _measured_cases(bundle, options, measurements, baseline, kept)
    for _ in range(MEASUREMENTS - 1):
        if any(case.doubtful for case in measured_cases):
            measurements = time_again(
                measurements, bundle, device, threads=threads, seconds=seconds
            )
            measured_cases = _measured_cases(bundle, options, measurements, baseline, kept)
    return Checked(bundle, options, device, measurements, (files, labels, *measured_cases))


def _check_classes(bundle: Bundle, target: Target) -> None:
    unknown = [Problem("", what) for what in target.limits.unknown_classes(bundle.labels)]
    if unknown:
        raise ConfigError(f"targets/{target.name}.yaml", unknown)


def reach(target: Target, address: str | None, required: Required) -> Device:
    """Return the device to check on; nothing is connected yet.

    Raises:
        DeviceError: If neither the target nor the caller names one.
        UsageError: If it is emulated, and measured figures are required.
    """
    given = address or target.device
    if given is None:
        raise DeviceError(
            f"targets/{target.name}.yaml names no device, and neither does --device, so the bundle "
            "cannot be run",
            remedy="--device ssh://user@board, or --device emulated:cortex-a72 --require emulated",
        )
    device = open_device(given)
    if required is Required.MEASURED and device.provenance != Provenance.MEASURED:
        raise UsageError(
            f"device '{device.address}' is {device.provenance}, but --require {required.value} "
            "needs a real one",
            remedy="name the board with --device, or accept emulation with --require emulated",
        )
    return device


def _read(bundle: Bundle, options: CheckOptions) -> tuple[Baseline | None, Predictions | None]:
    """Return the baseline and its predictions for the test images; None for what is missing."""
    path = options.baseline
    if path is None:
        return None, None
    baseline = read_baseline(path, bundle)
    return baseline, baseline_predictions(baseline, bundle, options.images, path)


def _measured_cases(
    bundle: Bundle,
    options: CheckOptions,
    measurements: Measurements,
    baseline: Baseline | None,
    kept: Predictions | None,
) -> list[Case]:
    images, target = options.images, options.target
    accuracy, predictions = judged_accuracy(bundle, images, measurements)
    cases = [
        *golden_cases(bundle, measurements),
        *limit_cases(bundle, accuracy, measurements, target),
    ]
    if baseline is not None:
        current = Current(bundle, accuracy, predictions, images, measurements)
        cases += baseline_cases(current, baseline, kept, options.allowed)
    if options.required is Required.MEASURED:
        cases = [
            warned(case, _NOT_FROM_HERE)
            if case.provenance == MANIFEST and case.status is not Status.SKIPPED
            else case
            for case in cases
        ]
    return cases


def _times_matter(target: Target, baseline: Baseline | None) -> bool:
    limited = any(bound.limit.source.on_device for bound in target.limits.bounds())
    return limited or (baseline is not None and baseline.latency is not None)


def _not_run(names: Sequence[str], baseline: Baseline | None, why: str) -> list[Case]:
    every = names if baseline is None else (*names, *_BASELINE_CASES)
    return [Case(name, Status.SKIPPED, f"not run: {why}") for name in every]
