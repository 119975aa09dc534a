from __future__ import annotations

import numpy as np
import torch

from edgetl.train.features import FeatureBatches, Features


def drawn(views: int = 2, photos: int = 10) -> Features:
    """Return features that say which view and photo they are: [view, photo]."""
    values = np.array(
        [[[view, photo] for photo in range(photos)] for view in range(views)], np.float32
    )
    return Features(values, np.arange(photos, dtype=np.int64) + 100)


def test_epoch_shows_every_photo_once_with_its_own_label() -> None:
    batches = FeatureBatches(drawn(), batch_size=4, seed=0)

    found = list(batches.epoch(1))

    assert [len(batch.labels) for batch in found] == [4, 4, 2]
    assert len(batches) == 3
    photos = torch.cat([batch.inputs[:, 1] for batch in found])
    labels = torch.cat([batch.labels for batch in found])
    assert sorted(photos.tolist()) == list(range(10))
    assert labels.tolist() == [100 + photo for photo in photos.tolist()]


def test_views_and_order_change_with_the_epoch_and_come_back_with_its_number() -> None:
    batches = FeatureBatches(drawn(), batch_size=10, seed=0)

    first, second, again = (next(batches.epoch(number)).inputs for number in (1, 2, 1))

    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert set(first[:, 0].tolist()) == {0.0, 1.0}


def test_single_view_is_always_shown() -> None:
    batch = next(FeatureBatches(drawn(views=1), batch_size=10, seed=0).epoch(1))

    assert set(batch.inputs[:, 0].tolist()) == {0.0}
