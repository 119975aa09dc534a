"""Find by trying how an int8 file must be made to give the outputs of its float file.

Nothing is judged on samples that it was made from: every fourth calibration sample is held out, and
an int8 file must repeat the float file's outputs for it. Test images are never seen.

The number of trials is bounded by counts, not by time, so that equal arguments give equal bytes on
a slow machine too.
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
"""What `best` tries, in this order; at the same error the earlier one is taken."""
MOST_JUDGES = 16
"""Held-out samples that compare estimators, at most."""
_EVERY = 4
_FEW = 4
"""Samples that judge single convolutions, and as many others that set their ranges, at most: what
drowns does so on every sample."""
_HARMLESS = 1e-3
"""Error (see `output_error`), 30 dB below the outputs, up to which nothing better is looked for."""
_TRIED_PER_KEPT = 2
_LEAST_TRIED = 8
_DIGITS = 6

Outputs = Mapping[str, NDArray[np.float32]]


class QuantizationBackend(Protocol):
    """One float file, and how its format makes int8 files of it."""

    @property
    def model(self) -> Path:
        """Return the float file."""

    @property
    def reads(self) -> str:
        """Return its format."""

    @property
    def operations(self) -> Sequence[Operation]:
        """Return the graph, every operation after those that it reads."""

    @property
    def outputs(self) -> Sequence[str]:
        """Return the names of the output tensors."""

    @property
    def channel_axis(self) -> int:
        """Return which axis of an activation counts its channels."""

    def observe(self, feed: Feed) -> Iterable[tuple[str, NDArray[np.float32]]]:
        """Yield what the weighted operations read and write, by name, for one sample."""

    def write(
        self, samples: Samples, settings: RangeTable, left: frozenset[str], out: Path
    ) -> Path:
        """Write the int8 file into `out` with the operations `left` in float; return its path."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """How the int8 file is made."""

    range: RangeTable
    left: frozenset[str]
    """Operations that stay in float."""
    facts: Facts
    """What was tried, as JSON."""


def search(backend: QuantizationBackend, samples: Samples, settings: Int8Table) -> SearchResult:
    """Return how the int8 file should be made.

    Args:
        backend: Makes the files that are compared.
        samples: For calibration.
        settings: What may be chosen.

    Returns:
        Ranges and operations; `settings` themselves where they leave no choice.
    """
    kept = settings.float_layers
    left = tail(backend.operations, backend.outputs) if kept.tail else frozenset()
    facts: Facts = {"range": settings.range.model_dump(), "tail": sorted(left)}
    if not settings.searches:
        return SearchResult(settings.range, left, facts)
    judges, others = _split(samples)
    if kept.convolutions:
        rows = _sensitivity(
            backend, select(others, slice(_FEW)), select(judges, slice(_FEW)), left, kept
        )
        facts["convolutions"] = rows
        by_name = {operation.name: operation for operation in backend.operations}
        for row in rows[: kept.convolutions]:
            left |= unit(backend.operations, by_name[row["operation"]])
    chosen = settings.range
    if chosen.estimator == "best":
        trials = _Trials(backend, others, judges)
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
    facts["held_out"] = num_samples(judges)
    return SearchResult(chosen, left, facts)


def output_error(expected: Outputs, outputs: Outputs) -> float:
    """Return the power of the error over that of the expected values, mean over the outputs.

    0 are the same outputs, 1 are outputs without information. Of a detector's outputs the scores
    decide: there clipped and rounded ranges show, and boxes of 0..1 hardly move.
    """
    shares = [
        float(np.sum(np.square(outputs[name] - values)) / max(np.sum(np.square(values)), 1e-12))
        for name, values in expected.items()
    ]
    return round(float(np.mean(shares)), _DIGITS)


class ChannelNoise:
    """How much of a tensor's channels drowns in the steps of a range that all of them share."""

    def __init__(self, axis: int) -> None:
        """Describe a tensor of no sample yet, whose `axis` counts its channels."""
        self._axis = axis
        self._lowest, self._highest = 0.0, 0.0
        self._count = 0
        self._sums: NDArray[np.float64] | float = 0.0
        self._squares: NDArray[np.float64] | float = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Take one sample into account."""
        channels = np.moveaxis(values, self._axis, 0).reshape(values.shape[self._axis], -1)
        self._lowest = min(self._lowest, float(channels.min()))
        self._highest = max(self._highest, float(channels.max()))
        self._count += channels.shape[1]
        self._sums += channels.sum(axis=1, dtype=np.float64)
        self._squares += np.square(channels, dtype=np.float64).sum(axis=1)

    @property
    def observed(self) -> bool:
        """Whether a sample was taken into account."""
        return self._count > 0

    def share(self) -> float:
        """Return the mean over channels of noise over noise and signal.

        0 where every channel uses the range, 1 where one channel has stretched it so far that the
        others fall into one step. The signal is a channel's variance over places and samples: a
        channel of one place, behind a pooling, still varies from sample to sample.
        """
        noise = ((self._highest - self._lowest) / 255) ** 2 / 12
        signal = self._squares / self._count - np.square(self._sums / self._count)
        return float(np.mean(noise / np.maximum(noise + signal, 1e-12)))


def _split(samples: Samples) -> tuple[Samples, Samples]:
    """Return the held-out samples and the others."""
    is_judge = np.arange(num_samples(samples)) % _EVERY == 0
    return select(select(samples, is_judge), slice(MOST_JUDGES)), select(samples, ~is_judge)


def _sensitivity(
    backend: QuantizationBackend,
    samples: Samples,
    judges: Samples,
    left: frozenset[str],
    kept: FloatTable,
) -> list[Facts]:
    """Return the convolutions that change the outputs most, each alone in int8, worst first.

    Only those are tried whose activations are coarsest by `ChannelNoise`; none, if all of them in
    int8 together are `_HARMLESS`.
    """
    trials = _Trials(backend, samples, judges)
    if trials.error(ESTIMATORS[0], left) <= _HARMLESS:
        return []
    noise = _noise(backend, judges)
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
    """Return the coarser of what each weighted operation reads and writes."""
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
    """Makes int8 files of some samples and compares them with the float file on others."""

    def __init__(self, backend: QuantizationBackend, samples: Samples, judges: Samples) -> None:
        self._backend = backend
        self._samples = samples
        self._judges = judges
        self._expected = _outputs(backend.reads, backend.model, judges)

    def error(self, settings: RangeTable, left: frozenset[str]) -> float:
        """Return the `output_error` of the file with the operations `left` in float."""
        with tempfile.TemporaryDirectory(prefix="edgetl-search-") as folder:
            file = self._backend.write(self._samples, settings, left, Path(folder))
            return output_error(self._expected, _outputs(self._backend.reads, file, self._judges))


def _outputs(reads: str, model: Path, samples: Samples) -> Outputs:
    session = open_session(reads, model, 1)
    results = [session.run(row) for row in each_sample(samples)]
    return {name: np.concatenate([each[name] for each in results]) for name in results[0]}
