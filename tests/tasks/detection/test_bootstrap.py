"""Resampled images count as if they were evaluated again, and intervals have their coverage."""

from __future__ import annotations

import numpy as np
import pytest

from edgetl.data.dataset import Truth
from edgetl.evaluation import Predictions
from edgetl.tasks.detection._bootstrap import interval, mean_precision, resamples
from edgetl.tasks.detection._coco import evaluate

NUM_IMAGES = 6
NUM_CLASSES = 3


def random_data(seed: int) -> tuple[list[Truth], list[Predictions]]:
    """Return random objects and, for each image, detections of which about half match."""
    draw = np.random.default_rng(seed)
    truths: list[Truth] = []
    predictions: list[Predictions] = []
    for _ in range(NUM_IMAGES):
        corners = draw.uniform(0, 300, (5, 2))
        boxes = np.concatenate([corners, corners + draw.uniform(20, 90, (5, 2))], axis=1)
        labels = draw.integers(0, NUM_CLASSES, 5)
        truths.append(Truth(boxes.astype(np.float32), labels, np.arange(5) == 4))
        near = np.concatenate([boxes + draw.normal(0, 6, boxes.shape), boxes + 200])
        predictions.append(
            {
                "boxes": near.astype(np.float32),
                "scores": draw.uniform(0, 1, 10).astype(np.float32),
                "labels": np.concatenate([labels, draw.integers(0, NUM_CLASSES, 5)]),
            }
        )
    return truths, predictions


def joined(images: list[Predictions]) -> Predictions:
    names = ("boxes", "scores", "labels")
    together = {name: np.concatenate([image[name] for image in images]) for name in names}
    return {**together, "offsets": 10 * np.arange(len(images) + 1)}


@pytest.mark.parametrize("seed", range(5))
def test_resampled_images_count_as_pycocotools_counts_copies_of_them(seed: int) -> None:
    truths, predictions = random_data(seed)
    once = evaluate(joined(predictions), truths, NUM_CLASSES)
    counts = np.random.default_rng(seed).multinomial(NUM_IMAGES, [1 / NUM_IMAGES] * NUM_IMAGES, 4)

    values = mean_precision(once.matches, np.vstack([np.ones(NUM_IMAGES, np.int64), counts]))

    for value, row in zip(values, [[1] * NUM_IMAGES, *counts.tolist()], strict=True):
        copies = [i for i, count in enumerate(row) for _ in range(count)]
        again = evaluate(
            joined([predictions[i] for i in copies]), [truths[i] for i in copies], NUM_CLASSES
        )
        precision = again.precision[..., 0]
        assert value == pytest.approx(precision[precision > -1].mean(), abs=1e-12)


def test_resample_without_objects_has_no_value() -> None:
    truths, predictions = random_data(0)
    nothing = Truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool))
    once = evaluate(joined(predictions[:2]), [truths[0], nothing], NUM_CLASSES)

    first, second = mean_precision(once.matches, np.array([[2, 0], [0, 2]]))

    assert 0.0 < first < 1.0
    assert np.isnan(second)


def test_resamples_are_the_same_every_time_and_as_large_as_the_split() -> None:
    counts = resamples(7)

    assert counts.shape == (300, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert np.array_equal(counts, resamples(7))


def test_interval_of_unbiased_resamples_is_their_percentiles() -> None:
    repeated = np.arange(0.0, 1001.0)

    low, high = interval(500.0, repeated)

    assert (low, high) == pytest.approx((25.0, 975.0), abs=0.1)


def test_interval_shifts_with_the_bias_of_the_resamples() -> None:
    # A value at the 84th percentile is one standard error above the resamples' median, so the
    # ends are taken one standard error further on, twice: at 2 - 1.96 and 2 + 1.96.
    repeated = np.arange(0.0, 1001.0)

    low, high = interval(841.3, repeated)

    assert (low, high) == pytest.approx((516.0, 1000.0), abs=1.0)


def test_resamples_that_never_differ_leave_no_width() -> None:
    assert interval(0.0, np.zeros(300)) == (0.0, 0.0)


def test_interval_without_resamples_is_the_value() -> None:
    assert interval(0.25, np.full(300, np.nan)) == (0.25, 0.25)
