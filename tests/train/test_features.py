from __future__ import annotations

import numpy as np
import torch

from edgetl.train.features import FeatureBatches, Features


def synthetic(views: int = 2, images: int = 10) -> Features:
    """Return features that say which view and image they are: [view, image]."""
    values = np.array(
        [[[view, image] for image in range(images)] for view in range(views)], np.float32
    )
    return Features(values, np.arange(images, dtype=np.int64) + 100)


def test_epoch_shows_every_image_once_with_its_own_label() -> None:
    batches = FeatureBatches(synthetic(), batch_size=4, seed=0)

    found = list(batches.epoch(1))

    assert [len(batch.labels) for batch in found] == [4, 4, 2]
    assert len(batches) == 3
    images = torch.cat([batch.inputs[:, 1] for batch in found])
    labels = torch.cat([batch.labels for batch in found])
    assert sorted(images.tolist()) == list(range(10))
    assert labels.tolist() == [100 + image for image in images.tolist()]


def test_views_and_order_change_with_the_epoch_and_come_back_with_its_number() -> None:
    batches = FeatureBatches(synthetic(), batch_size=10, seed=0)

    first, second, again = (next(batches.epoch(number)).inputs for number in (1, 2, 1))

    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert set(first[:, 0].tolist()) == {0.0, 1.0}


def test_single_view_is_always_shown() -> None:
    batch = next(FeatureBatches(synthetic(views=1), batch_size=10, seed=0).epoch(1))

    assert set(batch.inputs[:, 0].tolist()) == {0.0}
