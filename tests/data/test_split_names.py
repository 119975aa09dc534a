from __future__ import annotations

import pytest

from edgetl.data.split_names import SplitFolders, is_like_a_split, split_in, split_of, splits_of
from edgetl.types import Split

TRAIN, VAL, TEST = Split.TRAIN, Split.VAL, Split.TEST


@pytest.mark.parametrize(
    ("split", "names"),
    [
        (TRAIN, "train Train TRAINING training_set train_set trainset TrainSet seg_train trn"),
        (TRAIN, "training-data train2017 train_images imgs_train trainval train_val 224x224_train"),
        (VAL, "val Valid validation VALIDATE val_set valset dev Dev development seg_val val2017"),
        (
            TRAIN,
            "Trainingsdaten Entra\u00eenement entrenamiento \u8bad\u7ec3\u96c6",
        ),
        (TEST, "Testdaten pruebas \u6d4b\u8bd5\u96c6 testes"),
        (TEST, "test Testing test_set TestSet testset eval evaluation holdout test1 test-images"),
    ],
)
def test_usual_names_stand_for_their_split(split: Split, names: str) -> None:
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


@pytest.mark.parametrize(
    "name",
    ["cat", "train station", "test tube", "contest", "device", "valve", "set", "images", "testA",
     "seg_pred", "12", "", "unlabeled_train", "evaluator"],
)  # fmt: skip
def test_other_names_stand_for_no_split(name: str) -> None:
    assert split_of(name) is None
    assert not is_like_a_split(name)


def test_spaces_around_a_name_do_not_matter() -> None:
    assert split_of("Test Images ") is TEST


def test_name_of_two_splits_is_like_a_split_but_stands_for_none() -> None:
    assert split_of("test-dev") is None
    assert is_like_a_split("test-dev")


def test_other_words_are_ignored_where_neighbours_share_them() -> None:
    assert splits_of(["signs_train", "signs_test", "val"]) == {
        "signs_train": TRAIN,
        "signs_test": TEST,
        "val": VAL,
    }
    assert splits_of(["train station", "bus station", "test tube"]) == {}


def test_split_of_a_file_name_is_its_first_word_that_names_one() -> None:
    assert split_in("instances_train2017") is TRAIN
    assert split_in("image_info_test-dev2017") is TEST
    assert split_in("annotations") is None


def test_innermost_folder_decides_on_the_split_of_a_file() -> None:
    folders = SplitFolders(
        ["a/train/x/1.jpg", "a/signs_test/2.jpg", "a/signs_train/3.jpg", "test/train/4.jpg",
         "test/5.jpg", "6.jpg", "other/7.jpg"]
    )  # fmt: skip
    assert folders.of("a/train/x/1.jpg") is TRAIN
    assert folders.of("a/signs_test/2.jpg") is TEST
    assert folders.of("test/train/4.jpg") is TRAIN
    assert folders.of("test/5.jpg") is TEST
    assert folders.of("6.jpg") is None
    assert folders.of("other/7.jpg") is None
