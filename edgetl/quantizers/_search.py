"""Search for the settings with which an int8 file best reproduces the outputs of its float file.

Files are compared on samples that did not calibrate them: every fourth calibration sample is held
out, and the float file's outputs on it are the reference. Test images are never used.

The number of trials is limited by counts, not by time, so equal arguments give equal bytes on a
slow machine too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgetl.config.calibration import FloatTable, Int8Table, RangeTable
from edgetl.quantizers._graph import Operation, tail, unit
from edgetl.quantizers._samples import Feed, Samples, each_sample, feeds, num_samples, select
from edgetl.runtime.engines import open_session
from edgetl.types import Facts

ESTIMATORS = (
    RangeTable(estimator="minmax"),
    RangeTable(estimator="mse"),
    RangeTable(estimator="percentile", percentile=99.99),
    RangeTable(estimator="percentile", percentile=99.9),
)
"""The estimators that `best` tries, in order; the earlier one wins a tie."""
MAX_HELD_OUT = 16
"""Maximum number of held-out samples that compare estimators."""
_HELD_OUT_EVERY = 4
_SENSITIVITY_SAMPLES = 4
"""Maximum number of samples that compare single convolutions, and of others that calibrate them.
Few suffice: a channel lost in quantization noise is lost on every sample."""
_HARMLESS = 1e-3
"""Error (see `output_error`), 30 dB below the signal, at which the search stops."""
_TRIED_PER_KEPT = 2
_LEAST_TRIED = 8
_DIGITS = 6

Outputs = Mapping[str, NDArray[np.float32]]


class QuantizationBackend(Protocol):
    """One float file, and the means to quantize it to int8."""

    @property
    def model(self) -> Path:
        """Return the float file."""

    @property
    def reads(self) -> str:
        """Return its format."""

    @property
    def operations(self) -> Sequence[Operation]:
        """Return the graph in topological order."""

    @property
    def outputs(self) -> Sequence[str]:
        """Return the names of the output tensors."""

    @property
    def channel_axis(self) -> int:
        """Return the channel axis of an activation."""

    def observe(self, feed: Feed) -> Iterable[tuple[str, NDArray[np.float32]]]:
        """Yield inputs and outputs of the weighted operations, by name, for one sample."""

    def write(
        self, samples: Samples, settings: RangeTable, left: frozenset[str], out: Path
    ) -> Path:
        """Write the int8 file to `out`, keeping the operations `left` in float; return its path."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search."""

    range: RangeTable
    left: frozenset[str]
    """Operations that stay in float."""
    facts: Facts
    """All trials, as JSON."""


def search(backend: QuantizationBackend, samples: Samples, settings: Int8Table) -> SearchResult:
    """Return the settings for the int8 file.

    Args:
        backend: Writes the files to compare.
        samples: Calibration samples.
        settings: The options to choose from.

    Returns:
        Range settings and float operations; those of `settings` where they leave no choice.
    """
    kept = settings.float_layers
    left = tail(backend.operations, backend.outputs) if kept.tail else frozenset()
    facts: Facts = {"range": settings.range.model_dump(), "tail": sorted(left)}
    if not settings.searches:
        return SearchResult(settings.range, left, facts)
    held_out, others = _split(samples)
    if kept.convolutions:
        few = slice(_SENSITIVITY_SAMPLES)
        rows = _sensitivity(backend, select(others, few), select(held_out, few), left, kept)
        facts["convolutions"] = rows
        by_name = {operation.name: operation for operation in backend.operations}
        for row in rows[: kept.convolutions]:
            left |= unit(backend.operations, by_name[row["operation"]])
    chosen = settings.range
    if chosen.estimator == "best":
        trials = _Trials(backend, others, held_out)
        errors: list[float] = []
        for each in ESTIMATORS:
            errors.append(trials.error(each, left))
            if errors[-1] <= _HARMLESS:
                break
        chosen = ESTIMATORS[int(np.argmin(errors))]
        facts["estimators"] = [
            {**each.model_dump(), "error": error}
            for each, error in zip(ESTIMATORS, errors, strict=False)
        ]
        facts["range"] = chosen.model_dump()
    facts["held_out"] = num_samples(held_out)
    return SearchResult(chosen, left, facts)


def output_error(expected: Outputs, actual: Outputs) -> float:
    """Return the power of the error divided by the power of the signal, mean over the outputs.

    0 means equal outputs; an output of zeros has error 1. For detectors the scores dominate:
    clipping and rounding show there, while boxes in 0..1 hardly move.
    """
    shares = [
        float(np.sum(np.square(actual[name] - values)) / max(np.sum(np.square(values)), 1e-12))
        for name, values in expected.items()
    ]
    return round(float(np.mean(shares)), _DIGITS)


class ChannelNoise:
    """Quantization noise of a tensor's channels when all of them share one range."""

    def __init__(self, axis: int) -> None:
        """Start without samples; `axis` is the channel axis."""
        self._axis = axis
        self._lowest, self._highest = 0.0, 0.0
        self._count = 0
        self._sums: NDArray[np.float64] | float = 0.0
        self._squares: NDArray[np.float64] | float = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Add the activations of one sample."""
        channels = np.moveaxis(values, self._axis, 0).reshape(values.shape[self._axis], -1)
        self._lowest = min(self._lowest, float(channels.min()))
        self._highest = max(self._highest, float(channels.max()))
        self._count += channels.shape[1]
        self._sums += channels.sum(axis=1, dtype=np.float64)
        self._squares += np.square(channels, dtype=np.float64).sum(axis=1)

    @property
    def observed(self) -> bool:
        """Whether any sample was added."""
        return self._count > 0

    def share(self) -> float:
        """Return ``noise / (noise + signal)``, mean over channels.

        Near 0 if every channel uses the whole range; near 1 if one channel widens the range so much
        that the others fall into a single step. The signal is a channel's variance over positions
        and samples: after global pooling a channel has one position but varies between samples.
        """
        noise = ((self._highest - self._lowest) / 255) ** 2 / 12
        signal = self._squares / self._count - np.square(self._sums / self._count)
        return float(np.mean(noise / np.maximum(noise + signal, 1e-12)))


def _split(samples: Samples) -> tuple[Samples, Samples]:
    """Return the held-out samples and the others."""
    is_held_out = np.arange(num_samples(samples)) % _HELD_OUT_EVERY == 0
    held_out = select(select(samples, is_held_out), slice(MAX_HELD_OUT))
    return held_out, select(samples, ~is_held_out)


def _sensitivity(
    backend: QuantizationBackend,
    samples: Samples,
    held_out: Samples,
    left: frozenset[str],
    kept: FloatTable,
) -> list[Facts]:
    """Return the convolutions that change the outputs most when quantized alone, worst first.

    Only those with the highest `ChannelNoise` are tried, and none if quantizing all of them
    together is `_HARMLESS`.
    """
    trials = _Trials(backend, samples, held_out)
    if trials.error(ESTIMATORS[0], left) <= _HARMLESS:
        return []
    noise = _noise(backend, held_out)
    weighted = [each for each in backend.operations if each.weighted and each.name not in left]
    weighted.sort(key=lambda each: -noise[each.name])
    everything = frozenset(each.name for each in backend.operations)
    rows: list[Facts] = []
    for operation in weighted[: max(_LEAST_TRIED, _TRIED_PER_KEPT * kept.convolutions)]:
        rest = everything - unit(backend.operations, operation)
        rows.append(
            {
                "operation": operation.name,
                "kind": operation.kind,
                "noise": round(noise[operation.name], _DIGITS),
                "error": trials.error(ESTIMATORS[0], rest),
            }
        )
    return sorted(rows, key=lambda row: -float(row["error"]))


def _noise(backend: QuantizationBackend, samples: Samples) -> dict[str, float]:
    """Return the highest noise among the inputs and outputs of each weighted operation."""
    touched = {
        each.name: (*each.inputs, *each.outputs) for each in backend.operations if each.weighted
    }
    axis = backend.channel_axis
    tensors = {name: ChannelNoise(axis) for names in touched.values() for name in names}
    for feed in feeds(samples):
        for name, values in backend.observe(feed):
            if name in tensors:
                tensors[name].add(values)
    shares = {name: noise.share() for name, noise in tensors.items() if noise.observed}
    return {name: max(shares.get(each, 0.0) for each in names) for name, names in touched.items()}


class _Trials:
    """Calibrates int8 files on some samples and compares them with the float file on others."""

    def __init__(self, backend: QuantizationBackend, samples: Samples, held_out: Samples) -> None:
        self._backend = backend
        self._samples = samples
        self._held_out = held_out
        self._expected = _outputs(backend.reads, backend.model, held_out)

    def error(self, settings: RangeTable, left: frozenset[str]) -> float:
        """Return the `output_error` of the file that keeps the operations `left` in float."""
        with tempfile.TemporaryDirectory(prefix="edgetl-search-") as folder:
            file = self._backend.write(self._samples, settings, left, Path(folder))
            outputs = _outputs(self._backend.reads, file, self._held_out)
            return output_error(self._expected, outputs)


def _outputs(reads: str, model: Path, samples: Samples) -> Outputs:
    session = open_session(reads, model, 1)
    rows = [session.run(sample) for sample in each_sample(samples)]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
