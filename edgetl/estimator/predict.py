"""Predict a model file's latency from a cost profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgetl.errors import ConfigError, Problem, UsageError
from edgetl.estimator import Estimate
from edgetl.estimator.cost import size
from edgetl.estimator.cost_profile import CostProfile, Fit
from edgetl.estimator.fit import price_ms
from edgetl.estimator.graph import FORMATS, WEIGHTED, Graph, Operation
from edgetl.runtime.contract import CONTRACT_FILE, Contract
from edgetl.runtime.engines import CPU
from edgetl.types import Precision

METHOD = "cost profile"

_LARGER = 2.0
"""Multiple of the largest timed operation up to which a price is assumed to hold."""
_LARGER_BAND = 1.5
_UNKNOWN_BAND = 2.0
_COMPUTED_AS = {Precision.FP16: Precision.FP32}
"""Half-precision weights are converted to float32 when a file is loaded."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """An estimate with notes for the user."""

    estimate: Estimate
    notes: tuple[str, ...]
    """Properties of the model that the profile does not cover, one sentence each."""


def find_model(path: Path) -> Path:
    """Return the model file at `path` or in the folder `path`.

    Args:
        path: A model file, or a model folder or bundle.

    Raises:
        ConfigError: If it is neither.
        UsageError: If the folder's model is not for the CPU.
        EdgetlRuntimeError: If the folder's contract cannot be read.
    """
    if path.is_dir():
        if not (path / CONTRACT_FILE).is_file():
            what = f"has no {CONTRACT_FILE}; a model folder or bundle has one"
            raise ConfigError(
                str(path), [Problem("", what)], remedy=f"name a model file: {', '.join(FORMATS)}"
            )
        contract = Contract.load(path)
        if contract.provider != CPU:
            raise UsageError(
                f"{path} runs on '{contract.provider}', but estimates are only for the CPU",
                remedy="measure it: edgetl check BUNDLE --target NAME --device ssh://user@host",
            )
        return path / contract.file
    return path


def estimate_by_profile(graph: Graph, profile: CostProfile) -> Prediction:
    """Estimate the latency of `graph` on the profile's device.

    Raises:
        UsageError: If the profile has no prices for such files.
    """
    fit = _fit_for(graph, profile)
    ms = _priced_ms(graph, fit, profile.fit(graph.format, Precision.FP32))
    low = high = fit.band
    notes = []
    if graph.precision is Precision.FP16:
        notes.append("fp16 files are computed in fp32 and priced accordingly")
    larger = list(_larger(graph, fit))
    if larger:
        low, high = low * _LARGER_BAND, high * _LARGER_BAND
        notes.append(f"larger than any timed operation, so the band is wider: {', '.join(larger)}")
    if graph.unknown:
        high *= _UNKNOWN_BAND
        named = ", ".join(f"{count} x {name}" for name, count in sorted(graph.unknown.items()))
        notes.append(f"without a price, so the band's upper end is doubled: {named}")
    basis = (
        f"{fit.engine} on {profile.host.get('processor') or profile.device}, {profile.threads} "
        f"thread(s), fitted to {len(fit.networks)} networks; the band contained {fit.coverage:.0%} "
        "of them when each was predicted from the others"
    )
    return Prediction(Estimate(ms, ms / low, ms * high, METHOD, basis), tuple(notes))


def _fit_for(graph: Graph, profile: CostProfile) -> Fit:
    precision = _COMPUTED_AS.get(graph.precision, graph.precision)
    fit = profile.fit(graph.format, precision)
    if fit is not None:
        return fit
    known = ", ".join(f"{each.format} {each.precision}" for each in profile.fits)
    raise UsageError(
        f"the cost profile of device '{profile.device}' has no prices for {graph.format} "
        f"{precision}; it has {known}",
        remedy="estimate such files, or measure this one: python -m edgetl.runtime bench FOLDER",
    )


def _priced_ms(graph: Graph, fit: Fit, in_float: Fit | None) -> float:
    """Return the sum of all prices; float convolutions in an int8 file have float prices."""
    if fit.precision is not Precision.INT8 or in_float is None:
        return price_ms(graph.operations, fit.ns, fit.lane)
    floats = [each for each in graph.operations if each.kind in WEIGHTED and not each.integer]
    rest = [each for each in graph.operations if each.kind not in WEIGHTED or each.integer]
    base_ms = price_ms([], in_float.ns, in_float.lane)
    floats_ms = price_ms(floats, in_float.ns, in_float.lane) - base_ms
    return price_ms(rest, fit.ns, fit.lane) + floats_ms


def _larger(graph: Graph, fit: Fit) -> Iterator[str]:
    """Yield the kinds with an operation far larger than all timed ones."""
    largest: dict[str, Operation] = {}
    for each in graph.operations:
        if each.kind not in largest or size(each) > size(largest[each.kind]):
            largest[each.kind.value] = each
    for kind, each in sorted(largest.items()):
        timed = fit.largest.get(kind)
        if timed is None:
            yield f"{kind} ({each.name}; none was timed)"
        elif size(each) > _LARGER * timed:
            yield f"{kind} ({size(each) / timed:.1f} times as large)"
