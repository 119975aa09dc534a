"""Find by trying what lets an int8 file answer like its float file.

Nothing is judged on images that it was made from: every fourth calibration image is held out, and
the float file's answers to it are what an int8 file must repeat. Test images are never seen.

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
"""Held-out images that compare estimators, at most."""
_EVERY = 4
_FEW = 4
"""Images that judge single convolutions, and as many others that set their ranges, at most: what
drowns does so on every image."""
_HARMLESS = 1e-3
"""Error (see `output_error`), 30 dB below the answer, up to which nothing better is looked for."""
_TRIED_PER_KEPT = 2
_LEAST_TRIED = 8
_DIGITS = 6

Images = NDArray[np.uint8]
Predictions = Mapping[str, NDArray[np.float32]]


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

    def observe(self, image: NDArray[np.float32]) -> Iterable[tuple[str, NDArray[np.float32]]]:
        """Yield what the weighted operations read and write, by name, for one image."""

    def write(self, images: Images, settings: RangeTable, left: frozenset[str], out: Path) -> Path:
        """Write the int8 file into `out` with the operations `left` in float; return its path."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found."""

    range: RangeTable
    left: frozenset[str]
    """Operations that stay in float."""
    facts: Facts
    """What was tried, as JSON."""


def search(backend: QuantizationBackend, images: Images, settings: Int8Table) -> SearchResult:
    """Return how the int8 file should be made.

    Args:
        backend: Makes the files that are compared.
        images: For calibration, shape ``(N, H, W, 3)``.
        settings: What may be chosen.

    Returns:
        Ranges and operations; `settings` themselves where they leave no choice.
    """
    kept = settings.float_layers
    left = tail(backend.operations, backend.outputs) if kept.tail else frozenset()
    facts: Facts = {"range": settings.range.model_dump(), "tail": sorted(left)}
    if not settings.searches:
        return SearchResult(settings.range, left, facts)
    judges, others = _split(images)
    if kept.convolutions:
        rows = _sensitivity(backend, others[:_FEW], judges[:_FEW], left, kept)
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
    facts["held_out"] = len(judges)
    return SearchResult(chosen, left, facts)


def output_error(expected: Predictions, found: Predictions) -> float:
    """Return the power of the error over that of the answer, mean over the outputs.

    0 is the same answer, 1 is one that says nothing. Of a detector's outputs the scores decide: it
    is there that clipped and rounded ranges show, and boxes of 0..1 hardly move.
    """
    shares = [
        float(np.sum(np.square(found[name] - values)) / max(np.sum(np.square(values)), 1e-12))
        for name, values in expected.items()
    ]
    return round(float(np.mean(shares)), _DIGITS)


class ChannelNoise:
    """How much of a tensor's channels drowns in the steps of a range that all of them share."""

    def __init__(self, axis: int) -> None:
        """Describe a tensor of no image yet, whose `axis` counts its channels."""
        self._axis = axis
        self._lowest, self._highest = 0.0, 0.0
        self._count = 0
        self._sums: NDArray[np.float64] | float = 0.0
        self._squares: NDArray[np.float64] | float = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Take one image into account."""
        channels = np.moveaxis(values, self._axis, 0).reshape(values.shape[self._axis], -1)
        self._lowest = min(self._lowest, float(channels.min()))
        self._highest = max(self._highest, float(channels.max()))
        self._count += channels.shape[1]
        self._sums += channels.sum(axis=1, dtype=np.float64)
        self._squares += np.square(channels, dtype=np.float64).sum(axis=1)

    @property
    def observed(self) -> bool:
        """Whether an image was taken into account."""
        return self._count > 0

    def share(self) -> float:
        """Return the mean over channels of noise over noise and signal.

        0 where every channel uses the range, 1 where one channel has stretched it so far that the
        others fall into one step. The signal is a channel's variance over places and images: a
        channel of one place, behind a pooling, still varies from image to image.
        """
        noise = ((self._highest - self._lowest) / 255) ** 2 / 12
        signal = self._squares / self._count - np.square(self._sums / self._count)
        return float(np.mean(noise / np.maximum(noise + signal, 1e-12)))


def _split(images: Images) -> tuple[Images, Images]:
    """Return the held-out images and the others."""
    is_judge = np.arange(len(images)) % _EVERY == 0
    return images[is_judge][:MOST_JUDGES], images[~is_judge]


def _sensitivity(
    backend: QuantizationBackend,
    images: Images,
    judges: Images,
    left: frozenset[str],
    kept: FloatTable,
) -> list[Facts]:
    """Return the convolutions that change the answers most, each alone in int8, worst first.

    Only those are tried whose activations are coarsest by `ChannelNoise`; none, if all of them in
    int8 together are `_HARMLESS`.
    """
    trials = _Trials(backend, images, judges)
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


def _noise(backend: QuantizationBackend, images: Images) -> dict[str, float]:
    """Return the coarser of what each weighted operation reads and writes."""
    touched = {
        each.name: (*each.inputs, *each.outputs) for each in backend.operations if each.weighted
    }
    axis = backend.channel_axis
    tensors = {name: ChannelNoise(axis) for names in touched.values() for name in names}
    for image in images:
        for name, values in backend.observe(image[np.newaxis].astype(np.float32)):
            if name in tensors:
                tensors[name].add(values)
    shares = {name: noise.share() for name, noise in tensors.items() if noise.observed}
    return {name: max(shares.get(each, 0.0) for each in names) for name, names in touched.items()}


class _Trials:
    """Makes int8 files of some images and compares them with the float file on others."""

    def __init__(self, backend: QuantizationBackend, images: Images, judges: Images) -> None:
        self._workshop = backend
        self._images = images
        self._judges = judges
        self._expected = _predictions(backend.reads, backend.model, judges)

    def error(self, settings: RangeTable, left: frozenset[str]) -> float:
        """Return the `output_error` of the file with the operations `left` in float."""
        with tempfile.TemporaryDirectory(prefix="edgetl-search-") as folder:
            file = self._workshop.write(self._images, settings, left, Path(folder))
            return output_error(
                self._expected, _predictions(self._workshop.reads, file, self._judges)
            )


def _predictions(reads: str, model: Path, images: Images) -> Predictions:
    session = open_session(reads, model, 1)
    rows = [session.run(image[np.newaxis]) for image in images]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
