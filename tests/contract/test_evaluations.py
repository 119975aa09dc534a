"""What every evaluation must hold, for each task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, Truth, write_images, write_index
from edgetl.evaluation import Evaluation, Predictions
from edgetl.runtime.preprocess import Preprocess
from edgetl.tasks import TASKS
from edgetl.types import Precision, Split

SIZE = 32
COUNT = 8
CLASSES = ("nut", "bolt", "gear")
LABELS = (0, 1, 2, 0, 1, 0, 0, 1)
TEST = Split.TEST

Outputs = dict[str, NDArray[np.float32]]


def boxes() -> NDArray[np.float32]:
    """Return one object per image, each elsewhere, shape `(N, 4)`."""
    corners = np.stack([np.arange(COUNT) * 2.0, 16.0 - np.arange(COUNT) * 2.0], axis=1)
    return np.concatenate([corners, corners + 12.0], axis=1).astype(np.float32)


def make_dataset(folder: Path, task: str) -> Dataset:
    """Return eight test images with a class, or with one object each."""
    images = np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)
    with (folder / IMAGES_FILE).open("wb") as file:
        write_images(file, iter(images), images.shape)
    items = [Item(f"{i}.jpg", label, f"{i:064x}") for i, label in enumerate(LABELS)]
    truths = [
        Truth(box[None], np.array([label]), np.zeros(1, bool))
        for box, label in zip(boxes(), LABELS, strict=True)
    ]
    detection = task == "detection"
    write_index(
        folder,
        task="detection",
        classes=CLASSES,
        preprocess=Preprocess(SIZE, SIZE, "stretch", "bilinear", 0),
        items={Split.TRAIN: [], Split.VAL: [], TEST: items},
        dropped=[],
        truths={Split.TRAIN: [], Split.VAL: [], TEST: truths} if detection else None,
        image_sizes=(
            {Split.TRAIN: [], Split.VAL: [], TEST: [(SIZE, SIZE)] * COUNT} if detection else None
        ),
    )
    return Dataset.open(folder)


def logits(chosen: tuple[int, ...]) -> Outputs:
    return {"logits": 5 * np.eye(len(CLASSES), dtype=np.float32)[list(chosen)]}


def located(at: NDArray[np.float32], chosen: tuple[int, ...], score: float) -> Outputs:
    """Return a detector's outputs with two locations, one of which sees nothing."""
    detected = np.zeros((COUNT, 2, 4), np.float32)
    detected[:, 0] = at / SIZE
    scores = np.zeros((COUNT, 2, len(CLASSES)), np.float32)
    scores[np.arange(COUNT), 0, list(chosen)] = score
    return {"boxes": detected, "scores": scores}


PERFECT: Mapping[str, Callable[[], Outputs]] = {
    "classification": lambda: logits(LABELS),
    "detection": lambda: located(boxes(), LABELS, 0.9),
}
GUESSES: Mapping[str, Mapping[str, Callable[[], Outputs]]] = {
    "classification": {
        "most frequent": lambda: logits((0,) * COUNT),
        "rare": lambda: logits((2,) * COUNT),
    },
    "detection": {
        "nothing": lambda: located(boxes(), LABELS, 0.0),
        "the same everywhere": lambda: located(boxes()[[3] * COUNT], (0,) * COUNT, 0.9),
    },
}


@pytest.fixture(params=TASKS.names())
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def evaluation(task: str) -> Evaluation:
    return TASKS.load(task).evaluation


@pytest.fixture
def dataset(tmp_path: Path, task: str) -> Dataset:
    return make_dataset(tmp_path, task)


@pytest.fixture
def perfect(evaluation: Evaluation, dataset: Dataset, task: str) -> Predictions:
    return evaluation.collect(PERFECT[task](), dataset, TEST, 0, None)


def mixed(task: str) -> Outputs:
    """Return outputs that are right on some images."""
    right, wrong = PERFECT[task](), next(iter(GUESSES[task].values()))()
    return {
        name: np.concatenate([wrong[name][:3], values[3:]]).astype(np.float32)
        for name, values in right.items()
    }


def test_outputs_are_named(evaluation: Evaluation, task: str) -> None:
    assert tuple(PERFECT[task]()) == evaluation.outputs


def test_models_are_given_the_samples_of_the_rows_asked_for(
    evaluation: Evaluation, dataset: Dataset
) -> None:
    whole = evaluation.inputs(dataset, TEST, slice(None))
    part = evaluation.inputs(dataset, TEST, slice(2, 5))

    assert {len(values) for values in whole.values()} == {COUNT}
    assert list(part) == list(whole)
    for name, values in whole.items():
        assert np.array_equal(part[name], values[2:5])


def test_images_with_a_class_or_a_box_show_something(
    evaluation: Evaluation, dataset: Dataset
) -> None:
    shown = evaluation.shown(dataset, TEST)
    assert shown.dtype == np.bool_
    assert shown.tolist() == [True] * COUNT


def test_perfect_answers_score_one(
    evaluation: Evaluation, dataset: Dataset, perfect: Predictions
) -> None:
    facts = evaluation.score(perfect, dataset, TEST)

    assert (facts.metric, facts.title) == (evaluation.metric, evaluation.title)
    assert facts.value == evaluation.value(perfect, dataset, TEST) == 1.0
    assert facts.low <= 1.0 == facts.high
    assert facts.images == COUNT
    assert evaluation.at_chance(perfect, dataset, TEST) is None
    assert evaluation.worst_errors(perfect, dataset, TEST, None) is None


def test_answers_that_say_nothing_of_the_images_are_told(
    evaluation: Evaluation, dataset: Dataset, task: str
) -> None:
    for outputs in GUESSES[task].values():
        guess = evaluation.collect(outputs(), dataset, TEST, 0, None)
        assert evaluation.at_chance(guess, dataset, TEST)
        assert evaluation.value(guess, dataset, TEST) < 0.9


def test_interval_holds_the_value(evaluation: Evaluation, dataset: Dataset, task: str) -> None:
    predictions = evaluation.collect(mixed(task), dataset, TEST, 0, None)

    facts = evaluation.score(predictions, dataset, TEST)

    assert 0.0 < facts.low < facts.value < facts.high <= 1.0
    assert facts.value == pytest.approx(evaluation.value(predictions, dataset, TEST), abs=1e-6)
    assert facts == evaluation.score(predictions, dataset, TEST)


def test_answers_do_not_differ_from_themselves(
    evaluation: Evaluation, dataset: Dataset, task: str
) -> None:
    predictions = evaluation.collect(mixed(task), dataset, TEST, 0, None)

    facts = evaluation.difference(predictions, predictions, dataset, TEST)

    assert facts.pp == 0.0
    assert facts.low_pp <= 0.0 <= facts.high_pp


def test_difference_is_that_of_the_values_in_points(
    evaluation: Evaluation, dataset: Dataset, task: str, perfect: Predictions
) -> None:
    worse = evaluation.collect(mixed(task), dataset, TEST, 0, None)

    facts = evaluation.difference(perfect, worse, dataset, TEST)

    lost = 1.0 - evaluation.value(worse, dataset, TEST)
    assert facts.pp == pytest.approx(100 * lost, abs=1e-3)
    assert facts.low_pp < facts.pp < facts.high_pp


@pytest.mark.parametrize("size", [1, 3, COUNT])
def test_answers_of_parts_join_to_those_of_all(
    evaluation: Evaluation, dataset: Dataset, task: str, size: int
) -> None:
    outputs = mixed(task)

    parts = [
        evaluation.collect(
            {name: values[start : start + size] for name, values in outputs.items()},
            dataset,
            TEST,
            start,
            None,
        )
        for start in range(0, COUNT, size)
    ]

    joined, whole = evaluation.join(parts), evaluation.collect(outputs, dataset, TEST, 0, None)
    assert set(joined) == set(whole)
    for name, values in whole.items():
        assert np.array_equal(joined[name], values)
        assert joined[name].dtype == values.dtype


def test_outputs_agree_with_themselves(evaluation: Evaluation, task: str) -> None:
    outputs = PERFECT[task]()

    facts = evaluation.compare(outputs, outputs)

    assert (facts.max_error, facts.snr_db, facts.agreement) == (0.0, 200.0, 1.0)


def test_parity_is_asked_of_every_precision_and_no_more_of_a_coarser_one(
    evaluation: Evaluation,
) -> None:
    assert set(evaluation.lowest_snr_db) == set(Precision)
    from_fine_to_coarse = (Precision.FP32, Precision.FP16, Precision.W8A16, Precision.INT8)
    lowest = [evaluation.lowest_snr_db[precision] for precision in from_fine_to_coarse]
    assert lowest == sorted(lowest, reverse=True)


def test_other_answers_are_seen_as_others(evaluation: Evaluation, task: str) -> None:
    facts = evaluation.compare(PERFECT[task](), mixed(task))

    assert facts.max_error > 0.5
    assert facts.snr_db < 20.0
    assert 0.5 < facts.agreement < 1.0


def test_classes_are_told_in_their_order(
    evaluation: Evaluation, dataset: Dataset, perfect: Predictions
) -> None:
    details = evaluation.details(perfect, dataset, TEST)

    assert [(row["label"], row["support"]) for row in details["classes"]] == [
        ("nut", 4),
        ("bolt", 3),
        ("gear", 1),
    ]


def test_predictions_are_ranked_by_class(
    evaluation: Evaluation, dataset: Dataset, perfect: Predictions
) -> None:
    ranking = evaluation.ranking(perfect, dataset, TEST)

    assert ranking is not None
    assert [(row.label, row.support) for row in ranking.classes] == [
        ("nut", 4),
        ("bolt", 3),
        ("gear", 1),
    ]
    for row in ranking.classes:
        assert row.right.tolist() == [True] * row.support
        assert (np.diff(row.scores) <= 0).all()
    every = evaluation.reported(perfect, (0.0, 0.0, 0.0))
    assert {name: values.tolist() for name, values in every.items()} == {
        name: values.tolist() for name, values in perfect.items()
    }


def test_rule_is_given_where_the_runtime_needs_one(
    evaluation: Evaluation, dataset: Dataset, perfect: Predictions, task: str
) -> None:
    nms = evaluation.nms(dataset)

    assert (nms is not None) == (task == "detection")
    assert (evaluation.with_selected_threshold(nms, perfect, dataset, TEST) is None) == (
        nms is None
    )
    assert evaluation.truncated(dataset, TEST, nms) is None


def test_wrong_answers_are_shown(evaluation: Evaluation, dataset: Dataset, task: str) -> None:
    predictions = evaluation.collect(mixed(task), dataset, TEST, 0, None)

    picture = evaluation.worst_errors(predictions, dataset, TEST, None)

    assert picture is not None
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
