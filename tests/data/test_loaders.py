from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, write_images, write_index
from edgetl.data.levels import Level
from edgetl.data.loaders import Batch, TrainBatches, eval_batches
from edgetl.runtime.preprocess import Preprocess
from edgetl.types import Split

NUM_TRAIN, NUM_VAL = 21, 5


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (NUM_TRAIN + NUM_VAL, 32, 32, 3), np.uint8))
    with (tmp_path / IMAGES_FILE).open("wb") as file:
        write_images(file, images, (len(images), 32, 32, 3))
    items = [Item(f"{k}.png", k % 3, f"{k}") for k in range(len(images))]
    write_index(
        tmp_path,
        task="classification",
        classes=("a", "b", "c"),
        preprocess=Preprocess(32, 32, "stretch", "area", 0),
        items={Split.TRAIN: items[:NUM_TRAIN], Split.VAL: items[NUM_TRAIN:], Split.TEST: []},
        dropped=[],
    )
    return Dataset.open(tmp_path)


def batches(
    dataset: Dataset, level: Level, *, batch_size: int = 4, threads: int = 0
) -> TrainBatches:
    return TrainBatches(dataset, batch_size=batch_size, seed=7, level=level, threads=threads)


def by_index(found: list[Batch]) -> dict[int, bytes]:
    return {
        int(index): image.contiguous().numpy().tobytes()
        for batch in found
        for index, image in zip(batch.indices, batch.images, strict=True)
    }


def test_epoch_is_a_shuffle_without_the_rest(dataset: Dataset) -> None:
    train = batches(dataset, Level.NONE)
    found = list(train.epoch(0))
    assert len(found) == len(train) == 5
    indices = torch.cat([batch.indices for batch in found]).tolist()
    assert len(set(indices)) == 20
    assert indices != sorted(indices)
    for batch in found:
        assert batch.images.shape == (4, 3, 32, 32)
        assert batch.images.dtype == torch.uint8
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(batch.labels, batch.indices % 3)
    expected = np.array(dataset.images(Split.TRAIN)[indices[0]]).transpose(2, 0, 1)
    np.testing.assert_array_equal(found[0].images[0].numpy(), expected)


def test_epochs_differ_and_repeat(dataset: Dataset) -> None:
    train = batches(dataset, Level.LIGHT)
    first, again, second = (by_index(list(train.epoch(epoch))) for epoch in (0, 0, 1))
    assert list(first) == list(again)
    assert first == again
    assert list(first) != list(second)
    assert all(first[index] != second[index] for index in set(first) & set(second))


def test_changes_do_not_depend_on_batch_size_or_threads(dataset: Dataset) -> None:
    few = by_index(list(batches(dataset, Level.STRONG, batch_size=3).epoch(2)))
    many = by_index(list(batches(dataset, Level.STRONG, batch_size=10, threads=2).epoch(2)))
    assert list(many) == list(few)[:20]
    assert all(many[index] == few[index] for index in many)


def test_images_of_a_batch_get_changes_of_their_own(dataset: Dataset) -> None:
    (batch,) = batches(dataset, Level.FLIP, batch_size=21).epoch(0)
    mirrored = [
        not np.array_equal(image.permute(1, 2, 0).numpy(), dataset.images(Split.TRAIN)[index])
        for image, index in zip(batch.images, batch.indices.tolist(), strict=True)
    ]
    assert 0 < sum(mirrored) < 21


def test_fewer_images_than_a_batch_make_one_batch(dataset: Dataset) -> None:
    train = batches(dataset, Level.NONE, batch_size=64)
    assert len(train) == 1
    assert [len(batch.labels) for batch in train.epoch(0)] == [NUM_TRAIN]


def test_evaluation_gives_every_image_in_order(dataset: Dataset) -> None:
    found = list(eval_batches(dataset, Split.VAL, batch_size=2))
    assert [len(batch.labels) for batch in found] == [2, 2, 1]
    images = torch.cat([batch.images for batch in found]).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(images, dataset.images(Split.VAL))
    assert torch.cat([batch.indices for batch in found]).tolist() == [0, 1, 2, 3, 4]


def test_empty_split_has_no_batches(dataset: Dataset) -> None:
    assert list(eval_batches(dataset, Split.TEST, batch_size=2)) == []
