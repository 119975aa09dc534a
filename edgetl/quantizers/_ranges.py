"""Activation ranges from calibration samples, the same way for every format that asks for them.

Memory does not grow with the number of samples: values are folded into extremes in a first pass
and, where the estimator needs more, into histograms over these extremes in a second one.
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
"""Bins of a histogram; a range ends at the border of a bin, 1/2048 of all values apart."""
LEVELS = 256
"""Values that 8 bits can tell apart."""
_PIXELWISE = frozenset({"add", "cast", "div", "mul", "sub", "transpose"})
"""Kinds of operations that a normalisation consists of, in lower case."""
_STEP = 8
"""Candidate borders of a range lie this many bins apart."""
_LEAST_AT = {Gate.SILU: -1.2785, Gate.HARD_SWISH: -1.5}
"""Where a gated activation answers its least."""
_PLACES = 1024
_COARSE_BINS = 2 * LEVELS
"""Bins for `entropy`. With more of them it sees the spike that hard-swish makes at its lowest
value, and gives up nine tenths of the range to keep its shape: MobileNetV3 answers at random."""

Floats = NDArray[np.float32]
Range = tuple[float, float]
Observe = Callable[[Feed], Iterable[tuple[str, Floats]]]
"""Runs a model on one sample and yields its activations by name."""
Operation = tuple[str, Sequence[str], Sequence[str]]
"""Kind, names of inputs, names of outputs."""
_Cost = Callable[[NDArray[np.float64], int, int], float]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often an activation took which value, over all calibration samples."""

    lowest: float
    highest: float
    counts: NDArray[np.float64]
    """Of equal bins from `lowest` to `highest`."""


class Statistics:
    """Statistics of every activation over calibration samples, computed when they are needed."""

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

        Estimators: ``minmax`` reaches every value seen; ``percentile`` leaves out ``100 -
        percentile`` percent of the values, half of it at each end; ``mse`` minimises the mean
        squared difference between values and their 256 steps; ``entropy`` minimises the KL
        divergence between their distributions (Migacz, 8-bit inference with TensorRT, GTC 2017),
        giving up half of the range at most.

        Raises:
            ValueError: For ``best``, which compares files and not values.
        """
        if settings.estimator == "best":
            raise ValueError("'best' must be searched for; it estimates nothing by itself")
        if settings.estimator == "minmax":
            return dict(self._extremes)
        histograms = self._histograms
        if settings.estimator == "percentile":
            share = settings.percentile / 100.0
            return {name: percentile_range(each, share) for name, each in histograms.items()}
        if settings.estimator == "mse":
            return {name: cheapest_range(each, squared_error) for name, each in histograms.items()}
        return {
            name: cheapest_range(_coarse(each), divergence) for name, each in histograms.items()
        }


def pixel_head(
    operations: Iterable[Operation], images: Iterable[str], constants: Container[str]
) -> frozenset[str]:
    """Return the activations that follow from single pixels: images and their normalisation.

    Args:
        operations: In an order in which every operation follows those that it reads.
        images: Names of the inputs that are images.
        constants: Names of the tensors that no input changes.
    """
    head = set(images)
    for kind, inputs, outputs in operations:
        changing = [name for name in inputs if name not in constants]
        if kind.lower() in _PIXELWISE and len(changing) == 1 and changing[0] in head:
            head.update(outputs)
    return frozenset(head)


def pixel_ranges(observe: Observe, head: Container[str], samples: Samples) -> dict[str, Range]:
    """Return the range of every activation in `head` over all pixels from 0 to 255.

    These ranges are known and must not depend on how dark the calibration images are. Each value
    of the head grows or falls with one pixel, so black and white images reach its ends.
    """
    extremes = _extremes(observe, extreme_pixels(samples))
    return {name: reach for name, reach in extremes.items() if name in head}


def without_closed_gates(
    ranges: Mapping[str, Range], gated: Mapping[str, tuple[Gate, str]]
) -> dict[str, Range]:
    """Return `ranges`, those in front of gated activations without what these shut off.

    Far below zero SiLU and hard-swish answer nothing, and steps there are lost to the others. The
    lower end rises to where the answer is half a step of its own 8-bit range.

    Args:
        ranges: Of every activation.
        gated: What `edgetl.quantizers._graph.gated` found.
    """
    found = dict(ranges)
    for name, (gate, answer) in gated.items():
        lowest, highest = ranges[name]
        least = _LEAST_AT[gate]
        if lowest >= least:
            continue
        half_step = (ranges[answer][1] - ranges[answer][0]) / (LEVELS - 1) / 2
        # From `least` down to minus infinity answers shrink to nothing.
        places = np.linspace(least, lowest, _PLACES)
        shut = places[np.abs(_answer(gate, places)) <= half_step]
        if len(shut):
            found[name] = float(shut[0]), highest
    return found


def _answer(gate: Gate, values: NDArray[np.float64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = np.clip(values + 3, 0, 6) / 6
    if gate is Gate.SILU:
        share = 1 / (1 + np.exp(-values))
    return values * share


def percentile_range(histogram: Histogram, share: float) -> Range:
    """Return the narrowest range around zero that loses at most half of `1 - share` at each end."""
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

    The bin of zero does not count: zero is a step of every range, and the many zeros behind a ReLU
    would drown everything else. The upper end is searched first, then the lower one: the ends are
    nearly independent, and a search of all pairs would square the time.
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
    """Return the KL divergence from the clipped distribution to the same in 256 steps, nats."""
    inside = counts[start:stop]
    clipped = inside.copy()
    clipped[0] += counts[:start].sum()
    clipped[-1] += counts[stop:].sum()
    step_of_bin = np.arange(len(inside)) * LEVELS // len(inside)
    seen = clipped > 0
    mass = np.bincount(step_of_bin, weights=inside, minlength=LEVELS)
    filled = np.bincount(step_of_bin, weights=seen, minlength=LEVELS)
    # A bin that only clipped values fill has no counterpart; a millionth of all keeps it finite.
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
    """Return lowest and highest value of each activation, with zero in between.

    Every integer format needs a step at zero, for padding.
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
