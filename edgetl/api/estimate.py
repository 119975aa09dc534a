"""``edgetl.estimate``: estimate a model's latency on a device that is not available."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.api.arguments import PathLike, as_optional_path, as_optional_text, as_paths
from edgetl.config.load import load_target
from edgetl.config.target import Target
from edgetl.errors import UsageError
from edgetl.types import Facts, Precision, Provenance

if TYPE_CHECKING:  # help must not wait for numpy
    from edgetl.estimator import Estimate
    from edgetl.estimator.cost_profile import CostProfile
    from edgetl.estimator.graph import Graph
    from edgetl.estimator.predict import Prediction


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """The estimated latency of one model."""

    model: Path
    """As it was given."""
    format: str
    precision: Precision
    estimate: Estimate
    """Median with its band, milliseconds, and how it was found."""
    notes: tuple[str, ...]
    """Properties of the model that the estimate does not cover."""
    warnings: tuple[str, ...]
    """Reasons to distrust the estimate, or to expect a missed limit."""

    def as_json(self) -> Facts:
        """Return plain JSON."""
        return {
            "model": str(self.model),
            "format": self.format,
            "precision": self.precision.value,
            "provenance": Provenance.ESTIMATED.value,
            **dataclasses.asdict(self.estimate),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


def estimate(
    models: PathLike | Sequence[PathLike],
    *,
    target: str | None = None,
    profile: PathLike | None = None,
) -> tuple[ModelEstimate, ...]:
    """Estimate the latency of model files, fastest first.

    An estimate ranks models; it never meets or misses a limit.

    Args:
        models: A model file (.onnx, .tflite, or OpenVINO's .xml), a model folder or a bundle, or
            several of them.
        target: Name of a target. Its ``profiles/<target>.json`` is used; without this file,
            instructions are counted on the emulated board.
        profile: A file that ``edgetl profile`` wrote.

    Raises:
        UsageError: If an argument is of the wrong type, neither `target` nor `profile` is given,
            or there is no price for such files.
        ConfigError: If a file cannot be read.
        MissingPackageError: If the package that reads a format is not installed.
        EdgetlRuntimeError: If the contract of a folder cannot be read.
    """
    files, name = as_paths("models", models), as_optional_text("target", target)
    path = as_optional_path("profile", profile)
    if name is None and path is None:
        raise UsageError(
            "neither a target nor a profile was given",
            remedy="edgetl estimate MODEL --target NAME; 'edgetl targets' lists the targets",
        )
    from edgetl.devices import check_address
    from edgetl.estimator.cost_profile import FOLDER, load_profile

    board = load_target(name, check_address=check_address) if name else None
    kept = path or FOLDER / f"{name}.json"
    prices = load_profile(kept) if path or kept.is_file() else None
    estimates = [_estimate(each, prices, board) for each in files]
    return tuple(sorted(estimates, key=lambda each: each.estimate.ms))


def _estimate(path: Path, profile: CostProfile | None, target: Target | None) -> ModelEstimate:
    from edgetl.estimator.graph import read_graph
    from edgetl.estimator.predict import find_model
    from edgetl.graph_lint import require_runnable

    model = find_model(path)
    graph = read_graph(model)
    require_runnable(model)
    if target is not None and graph.format not in target.files():
        raise UsageError(
            f"{path} is for '{graph.format}', which target '{target.name}' does not offer; it "
            f"offers {', '.join(sorted(target.files()))}",
            remedy="use a file of one of these formats, or add the format to `candidates` in "
            f"targets/{target.name}.yaml",
        )
    prediction = _predict(model, graph, profile, target)
    return ModelEstimate(
        model=path,
        format=graph.format,
        precision=graph.precision,
        estimate=prediction.estimate,
        notes=prediction.notes,
        warnings=tuple(_warnings(graph, prediction.estimate, profile, target)),
    )


def _predict(
    model: Path, graph: Graph, profile: CostProfile | None, target: Target | None
) -> Prediction:
    from edgetl.estimator.predict import Prediction, estimate_by_profile

    if profile is not None:
        return estimate_by_profile(graph, profile)
    if target is None:
        raise TypeError("neither a profile nor a target")
    from edgetl.estimator.instructions import estimate_by_instructions

    try:
        return Prediction(estimate_by_instructions(model, target), ())
    except UsageError as error:
        raise UsageError(
            f"profiles/{target.name}.json does not exist, and instructions cannot replace it: "
            f"{error.message}",
            remedy=f"edgetl profile --target {target.name} --device "
            f"{target.device or 'ssh://user@host'}",
        ) from error


def _warnings(
    graph: Graph, estimate: Estimate, profile: CostProfile | None, target: Target | None
) -> Iterator[str]:
    """Yield reasons to distrust the estimate, or to expect a missed limit."""
    if target is None:
        return
    if profile is not None and profile.threads != target.threads:
        yield (
            f"the profile was made with {profile.threads} thread(s), but {target.name} uses "
            f"{target.threads}"
        )
    if profile is not None and target.board is not None:
        yield from _other_engine(graph, profile, target)
    limit = target.limits.p95_ms
    if limit is not None and estimate.high_ms >= limit:
        relation = "lies above" if estimate.low_ms > limit else "reaches"
        yield (
            f"the band {relation} the limit p95_ms {limit:g} of {target.name}; only a measurement "
            "can decide: edgetl check BUNDLE --target "
            f"{target.name} --device {target.device or 'ssh://user@host'}"
        )


def _other_engine(graph: Graph, profile: CostProfile, target: Target) -> Iterator[str]:
    fit = profile.fit(graph.format, graph.precision)
    if fit is None or target.board is None:
        return
    package, _, timed = fit.engine.partition(" ")
    known = {
        system.engines[package] for system in target.board.systems if package in system.engines
    }
    if known and timed not in known:
        yield (
            f"the profile timed {fit.engine}, but {target.name} has {' or '.join(sorted(known))}"
        )
