"""Calibration samples: arrays ``(N, ...)`` by input name, uint8 for images, integers for tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = Mapping[str, NDArray[Any]]
"""All inputs of a model, each with N samples."""
Feed: TypeAlias = dict[str, NDArray[Any]]
"""One sample as a float file takes it: images in float32, with a batch axis of 1."""


def num_samples(samples: Samples) -> int:
    """Return N."""
    return len(next(iter(samples.values())))


def select(samples: Samples, which: NDArray[np.bool_] | slice) -> Samples:
    """Return the samples at some places."""
    return {name: values[which] for name, values in samples.items()}


def image_inputs(samples: Samples) -> frozenset[str]:
    """Return the names of the inputs that are images."""
    return frozenset(name for name, values in samples.items() if values.dtype == np.uint8)


def each_sample(samples: Samples) -> Iterator[Samples]:
    """Yield one sample after the other, with a batch axis of 1."""
    for i in range(num_samples(samples)):
        yield {name: values[i][np.newaxis] for name, values in samples.items()}


def as_feed(row: Samples) -> Feed:
    """Return one sample as a float file takes it."""
    return {
        name: values.astype(np.float32) if values.dtype == np.uint8 else values
        for name, values in row.items()
    }


def feeds(samples: Samples) -> Iterator[Feed]:
    """Yield one sample after the other as a float file takes it."""
    return map(as_feed, each_sample(samples))


def extreme_pixels(samples: Samples) -> Samples:
    """Return two samples: all images black, and all images white, with the tokens of the first."""
    return {
        name: np.stack([np.zeros_like(values[0]), np.full_like(values[0], 255)])
        if values.dtype == np.uint8
        else np.stack([values[0], values[0]])
        for name, values in samples.items()
    }
