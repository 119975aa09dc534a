"""Activation ranges from calibration images, computed the same way for several formats.

Memory does not grow with the number of images: the first pass keeps only extremes; if the estimator
needs more, a second pass fills histograms between them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgetl.config.calibration import RangeTable
from edgetl.quantizers._graph import Gate
from edgetl.quantizers._samples import Feed, Samples, extreme_pixels, feeds

NUM_BINS = 2048
"""Bins of a histogram; ranges end at bin borders."""
LEVELS = 256
"""Number of values of an 8-bit integer."""
_PIXELWISE = frozenset({"add", "cast", "div", "mul", "sub", "transpose"})
"""Kinds of operations in a normalisation, in lower case."""
_STEP = 8
"""Distance of candidate range borders, in bins."""
_LEAST_AT = {Gate.SILU: -1.2785, Gate.HARD_SWISH: -1.5}
"""Argument at which a gated activation has its minimum."""
_NUM_POINTS = 1024
_COARSE_BINS = 2 * LEVELS
"""Bins for `entropy`. With more bins it resolves the spike of hard-swish at its minimum and clips
nine tenths of the range to preserve its shape: MobileNetV3 then predicts at random."""

Floats = NDArray[np.float32]
Range = tuple[float, float]
Observe = Callable[[Feed], Iterable[tuple[str, Floats]]]
"""Run a model on one sample and yield its activations by name."""
Operation = tuple[str, Sequence[str], Sequence[str]]
"""Kind, names of inputs, names of outputs."""
_Cost = Callable[[NDArray[np.float64], int, int], float]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Value counts of one activation over all calibration samples."""

    lowest: float
    highest: float
    counts: NDArray[np.float64]
    """One count per bin; bins of equal width from `lowest` to `highest`."""


class Statistics:
    """Statistics of every activation over the calibration samples, computed on demand."""

    def __init__(self, observe: Observe, samples: Samples) -> None:
        self.samples = samples
        self._observe = observe

    @cached_property
    def _extremes(self) -> dict[str, Range]:
        return _extremes(self._observe, self.samples)

    @cached_property
    def _histograms(self) -> dict[str, Histogram]:
        return _histograms(self._observe, self.samples, self._extremes)

    def ranges(self, settings: RangeTable) -> dict[str, Range]:
        """Return the range of every activation, (lowest, highest).

        Estimators: ``minmax`` covers all observed values; ``percentile`` clips ``100 -
        percentile`` percent of the values, half of it at each end; ``mse`` minimises the mean
        squared difference between values and their 256 steps; ``entropy`` minimises the KL
        divergence between their distributions (Migacz, 8-bit inference with TensorRT, GTC 2017),
        clipping at most half of the range.

        Raises:
            ValueError: For ``best``, which compares files, not values.
        """
        if settings.estimator == "best":
            raise ValueError("'best' is not an estimator; it needs a search over files")
        if settings.estimator == "minmax":
            return dict(self._extremes)
        histograms = self._histograms
        if settings.estimator == "percentile":
            share = settings.percentile / 100.0
            return {name: percentile_range(counts, share) for name, counts in histograms.items()}
        if settings.estimator == "mse":
            return {
                name: cheapest_range(counts, squared_error) for name, counts in histograms.items()
            }
        return {
            name: cheapest_range(_coarse(counts), divergence) for name, counts in histograms.items()
        }


def pixel_head(
    operations: Iterable[Operation], images: Iterable[str], constants: Container[str]
) -> frozenset[str]:
    """Return the activations that depend on one pixel each: images and their normalisation.

    Args:
        operations: In topological order.
        images: Names of the inputs that are images.
        constants: Names of the tensors that do not depend on an input.
    """
    head = set(images)
    for kind, inputs, outputs in operations:
        changing = [name for name in inputs if name not in constants]
        if kind.lower() in _PIXELWISE and len(changing) == 1 and changing[0] in head:
            head.update(outputs)
    return frozenset(head)


def pixel_ranges(observe: Observe, head: Container[str], samples: Samples) -> dict[str, Range]:
    """Return the range of every activation in `head` over all pixels from 0 to 255.

    These ranges are known and must not depend on the brightness of the calibration images. Every
    value in the head is monotonic in one pixel, so black and white images reach both ends.
    """
    extremes = _extremes(observe, extreme_pixels(samples))
    return {name: span for name, span in extremes.items() if name in head}


def without_closed_gates(
    ranges: Mapping[str, Range], gated: Mapping[str, tuple[Gate, str]]
) -> dict[str, Range]:
    """Return `ranges`, where inputs of gated activations lose the part that maps to zero.

    Far below zero SiLU and hard-swish are almost zero, so steps spent there are wasted. The lower
    end rises to the point where the output is half a step of its own 8-bit range.

    Args:
        ranges: Of every activation.
        gated: The result of `edgetl.quantizers._graph.gated`.
    """
    trimmed = dict(ranges)
    for name, (gate, output) in gated.items():
        lowest, highest = ranges[name]
        least = _LEAST_AT[gate]
        if lowest >= least:
            continue
        half_step = (ranges[output][1] - ranges[output][0]) / (LEVELS - 1) / 2
        # Below `least` the output approaches zero monotonically.
        points = np.linspace(least, lowest, _NUM_POINTS)
        closed = points[np.abs(_activation(gate, points)) <= half_step]
        if len(closed):
            trimmed[name] = float(closed[0]), highest
    return trimmed


def _activation(gate: Gate, values: NDArray[np.float64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = np.clip(values + 3, 0, 6) / 6
    if gate is Gate.SILU:
        share = 1 / (1 + np.exp(-values))
    return values * share


def percentile_range(histogram: Histogram, share: float) -> Range:
    """Return the narrowest range around zero that clips at most half of `1 - share` at each end."""
    total = histogram.counts.sum()
    tail = total * (1.0 - share) / 2.0
    below = np.cumsum(histogram.counts)
    above = np.cumsum(histogram.counts[::-1])
    start = int(np.searchsorted(below, tail, side="right"))
    stop = len(above) - int(np.searchsorted(above, tail, side="right"))
    lowest, highest = _borders(histogram, start, stop)
    return min(lowest, 0.0), max(highest, 0.0)


def cheapest_range(histogram: Histogram, cost: _Cost) -> Range:
    """Return the run of bins around zero with the smallest `cost`.

    The bin that contains zero is ignored: zero is a step of every range, and the many zeros after a
    ReLU would dominate the cost. The upper end is searched first, then the lower one: the ends are
    nearly independent, and trying all pairs would square the time.
    """
    counts = histogram.counts.copy()
    num_bins = len(counts)
    span = histogram.highest - histogram.lowest
    zero = min(num_bins - 1, int(-histogram.lowest / span * num_bins)) if span else 0
    counts[zero] = 0.0
    if not counts.any():
        return histogram.lowest, histogram.highest
    stops = range(num_bins, max(LEVELS, zero + 1) - 1, -_STEP)
    stop = min(stops, key=lambda end: cost(counts, 0, end))
    starts = range(0, min(stop - LEVELS, zero) + 1, _STEP)
    start = min(starts, key=lambda begin: cost(counts, begin, stop))
    return _borders(histogram, start, stop)


def squared_error(counts: NDArray[np.float64], start: int, stop: int) -> float:
    """Return the sum of squared errors, in bins, of clipping to [start, stop) and 256 steps."""
    centres = np.arange(len(counts)) + 0.5
    step = (stop - start) / (LEVELS - 1)
    nearest = np.clip(np.rint((centres - start) / step), 0, LEVELS - 1) * step + start
    return float(counts @ (centres - nearest) ** 2)


def divergence(counts: NDArray[np.float64], start: int, stop: int) -> float:
    """Return the KL divergence, in nats, of the clipped distribution from its 256-step version."""
    inside = counts[start:stop]
    clipped = inside.copy()
    clipped[0] += counts[:start].sum()
    clipped[-1] += counts[stop:].sum()
    step_of_bin = np.arange(len(inside)) * LEVELS // len(inside)
    seen = clipped > 0
    mass = np.bincount(step_of_bin, weights=inside, minlength=LEVELS)
    filled = np.bincount(step_of_bin, weights=seen, minlength=LEVELS)
    # A bin filled only by clipped values has no counterpart; the floor keeps the result finite.
    least = counts.sum() * 1e-6
    spread = np.maximum((mass / np.maximum(filled, 1.0))[step_of_bin], least)[seen]
    p, q = clipped[seen] / clipped.sum(), spread / spread.sum()
    return float(p @ np.log(p / q))


def _coarse(histogram: Histogram) -> Histogram:
    counts = histogram.counts.reshape(_COARSE_BINS, -1).sum(axis=1)
    return Histogram(histogram.lowest, histogram.highest, counts)


def _borders(histogram: Histogram, start: int, stop: int) -> Range:
    num_bins = len(histogram.counts)
    width = (histogram.highest - histogram.lowest) / num_bins
    # The last border is the extreme itself, without the rounding of the sum.
    highest = histogram.highest if stop == num_bins else histogram.lowest + stop * width
    return histogram.lowest + start * width, highest


def _extremes(observe: Observe, samples: Samples) -> dict[str, Range]:
    """Return the lowest and highest value of each activation; the range always contains zero.

    Every integer format needs a step at zero for padding.
    """
    extremes: dict[str, Range] = {}
    for feed in feeds(samples):
        for name, values in observe(feed):
            lowest, highest = extremes.get(name, (0.0, 0.0))
            extremes[name] = (min(lowest, float(values.min())), max(highest, float(values.max())))
    return extremes


def _histograms(
    observe: Observe, samples: Samples, extremes: Mapping[str, Range]
) -> dict[str, Histogram]:
    counts = {name: np.zeros(NUM_BINS) for name in extremes}
    for feed in feeds(samples):
        for name, values in observe(feed):
            lowest, highest = extremes[name]
            bins_per_unit = NUM_BINS / (highest - lowest) if highest > lowest else 0.0
            bins = ((values.ravel() - np.float32(lowest)) * np.float32(bins_per_unit)).astype(
                np.int32
            )
            np.clip(bins, 0, NUM_BINS - 1, out=bins)
            counts[name] += np.bincount(bins, minlength=NUM_BINS)
    return {name: Histogram(*extremes[name], counts[name]) for name in extremes}
