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
"""Times the largest operation that was timed; up to there, a price is taken to hold."""
_LARGER_BAND = 1.5
_UNKNOWN_BAND = 2.0
_STANDS_IN = {Precision.FP16: Precision.FP32}
"""What is computed alike: halves are widened when the file is loaded."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """An estimate and what a reader should know of it."""

    estimate: Estimate
    notes: tuple[str, ...]
    """What lies outside of what the profile was made for, one sentence each."""


def find_model(given: Path) -> Path:
    """Return the model file that `given` is or holds.

    Args:
        given: A model file, or a model folder or bundle.

    Raises:
        ConfigError: If it is neither.
        UsageError: If the folder's model is not for the CPU.
        EdgetlRuntimeError: If the folder's contract cannot be read.
    """
    if given.is_dir():
        if not (given / CONTRACT_FILE).is_file():
            what = f"has no {CONTRACT_FILE}; a model folder or bundle has one"
            raise ConfigError(
                str(given), [Problem("", what)], remedy=f"name a model file: {', '.join(FORMATS)}"
            )
        contract = Contract.load(given)
        if contract.provider != CPU:
            raise UsageError(
                f"{given} runs on '{contract.provider}', and estimates are for the CPU alone",
                remedy="measure it: edgetl check BUNDLE --target NAME --device ssh://user@host",
            )
        return given / contract.file
    return given


def estimate_by_profile(graph: Graph, profile: CostProfile) -> Prediction:
    """Return what one inference of `graph` takes on the profile's device.

    Raises:
        UsageError: If the profile has no prices for such files.
    """
    fit = _fit_for(graph, profile)
    ms = _priced_ms(graph, fit, profile.fit(graph.format, Precision.FP32))
    low = high = fit.band
    notes = []
    if graph.precision is Precision.FP16:
        notes.append("fp16 files are computed as fp32 ones, and priced so")
    larger = list(_larger(graph, fit))
    if larger:
        low, high = low * _LARGER_BAND, high * _LARGER_BAND
        notes.append(
            f"larger than anything that was timed, so the band is wider: {', '.join(larger)}"
        )
    if graph.unknown:
        high *= _UNKNOWN_BAND
        named = ", ".join(f"{count} x {name}" for name, count in sorted(graph.unknown.items()))
        notes.append(f"not priced, so the band reaches twice as high: {named}")
    basis = (
        f"{fit.engine} on {profile.host.get('processor') or profile.device}, {profile.threads} "
        f"thread(s), fitted to {len(fit.networks)} networks; the band held {fit.coverage:.0%} of "
        "them when each was predicted from the others"
    )
    return Prediction(Estimate(ms, ms / low, ms * high, METHOD, basis), tuple(notes))


def _fit_for(graph: Graph, profile: CostProfile) -> Fit:
    precision = _STANDS_IN.get(graph.precision, graph.precision)
    found = profile.fit(graph.format, precision)
    if found is not None:
        return found
    known = ", ".join(f"{each.format} {each.precision}" for each in profile.fits)
    raise UsageError(
        f"the cost profile of device '{profile.device}' has no prices for {graph.format} "
        f"{precision}; it has {known}",
        remedy="estimate such files, or measure this one: python -m edgetl.runtime bench FOLDER",
    )


def _priced_ms(graph: Graph, fit: Fit, in_float: Fit | None) -> float:
    """Return the sum of all prices; convolutions that an int8 file leaves in float cost as such."""
    if fit.precision is not Precision.INT8 or in_float is None:
        return price_ms(graph.operations, fit.ns, fit.lane)
    left = [each for each in graph.operations if each.kind in WEIGHTED and not each.integer]
    rest = [each for each in graph.operations if each.kind not in WEIGHTED or each.integer]
    nothing = price_ms([], in_float.ns, in_float.lane)
    extra = price_ms(left, in_float.ns, in_float.lane) - nothing
    return price_ms(rest, fit.ns, fit.lane) + extra


def _larger(graph: Graph, fit: Fit) -> Iterator[str]:
    """Yield the kinds of which an operation is far larger than all that were timed."""
    worst: dict[str, Operation] = {}
    for each in graph.operations:
        if each.kind not in worst or size(each) > size(worst[each.kind]):
            worst[each.kind.value] = each
    for kind, each in sorted(worst.items()):
        timed = fit.largest.get(kind)
        if timed is None:
            yield f"{kind} ({each.name}; none was timed)"
        elif size(each) > _LARGER * timed:
            yield f"{kind} ({size(each) / timed:.1f} times)"
