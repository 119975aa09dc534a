from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetl.data.container import open_container
from edgetl.data.sources import list_samples
from edgetl.data.synthetic.parts import CLASSES, SCENE_VERSION, main_class
from edgetl.data.synthetic.rng import Rng
from edgetl.data.synthetic.scenes import make_scene, scene_boxes, write_scene_folder
from edgetl.tasks import TASKS


def test_every_machine_renders_the_same_scenes() -> None:
    """Raise `parts.SCENE_VERSION` with this digest, or stored datasets keep the old scenes."""
    digest = hashlib.sha256()
    for index in range(24):
        scene = make_scene(index, 0)
        for part in (scene.pixels, scene.boxes.astype("<f4"), scene.labels.astype("<i8")):
            digest.update(part.tobytes())
    assert (SCENE_VERSION, digest.hexdigest()) == (
        1,
        "d9486e869fba3f70b901af01fdeae8edc911e52937cb54281c0ac5bd4f7c0ca5",
    )


@pytest.mark.parametrize("size", [96, 160])
def test_boxes_are_in_the_scene(size: int) -> None:
    for index in range(60):
        scene = make_scene(index, 1, size=size)
        assert scene.pixels.shape == (size, size, 3)
        assert (scene.boxes >= 0).all()
        assert (scene.boxes <= size).all()
        assert (scene.boxes[:, 2:] - scene.boxes[:, :2] >= 3).all()
        assert len(scene.labels) == len(scene.boxes) <= 5


def test_first_class_alternates_and_every_twentieth_scene_is_empty() -> None:
    for index in range(60):
        boxes, labels = scene_boxes(index, 0)
        name = main_class(index)
        if index % 20 == 19:
            assert name is None
            assert boxes.shape == (0, 4)
        else:
            assert name == CLASSES[index % 6]
            assert CLASSES[labels[0]] == name


def test_classes_are_about_equally_frequent() -> None:
    counts = Counter(label for index in range(300) for label in scene_boxes(index, 0)[1].tolist())
    assert min(counts.values()) > 0.7 * max(counts.values())


def test_boxes_are_the_same_with_and_without_rendering() -> None:
    for index in range(10):
        scene = make_scene(index, 3)
        boxes, labels = scene_boxes(index, 3)
        np.testing.assert_array_equal(scene.boxes, boxes)
        np.testing.assert_array_equal(scene.labels, labels)


def test_boxes_are_tight() -> None:
    """Apart from distractors and noise only the parts differ from the background."""
    index = next(k for k in range(100) if len(scene_boxes(k, 0)[0]) == 1)
    left, top, right, bottom = scene_boxes(index, 0)[0][0].astype(int)
    grey = make_scene(index, 0).pixels.astype(float).mean(2)
    ring = np.concatenate(
        [
            grey[top - 6 : top - 2, left:right].ravel(),
            grey[bottom + 8 : bottom + 12, left:right].ravel(),
        ]
    )
    edges = (grey[top : top + 3, left:right], grey[bottom - 3 : bottom, left:right],
             grey[top:bottom, left : left + 3], grey[top:bottom, right - 3 : right])  # fmt: skip
    for edge in edges:
        assert np.abs(edge - np.median(ring)).max() > 4 * ring.std()


def test_scenes_differ_by_index_and_seed() -> None:
    images = {make_scene(index, seed).pixels.tobytes() for index in range(6) for seed in range(3)}
    assert len(images) == 18


def test_generators_of_different_purposes_differ() -> None:
    rolls = {Rng(1, 2).unit(), Rng(1, 2, 1).unit(), Rng(1, 2, 2).unit(), Rng(1, 2, 2, 1).unit()}
    assert len(rolls) == 4


def test_written_folder_is_a_valid_yolo_layout(tmp_path: Path) -> None:
    write_scene_folder(tmp_path / "scenes", 20, 0)
    listing = list_samples(
        open_container(tmp_path / "scenes"), "scenes", TASKS.load("detection").data
    )
    assert listing.classes == CLASSES
    assert (listing.problems, listing.others, listing.unlisted) == ((), (), ())
    assert [sample.name for sample in listing.samples] == [f"images/{k:06d}.jpg" for k in range(20)]
    for index, sample in enumerate(listing.samples):
        boxes, labels = scene_boxes(index, 0)
        assert [box.label for box in sample.boxes] == [CLASSES[label] for label in labels]
        written = np.array([box.corners for box in sample.boxes]).reshape(-1, 4) * 160
        np.testing.assert_allclose(written, boxes, atol=2e-4)
    with Image.open(tmp_path / "scenes" / listing.samples[0].name) as image:
        assert image.size == (160, 160)
