"""What is said about a teacher or student that cannot be built, before anything runs."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from edgetl import models
from edgetl.config.calibration import Calibration
from edgetl.config.recipe import Recipe
from edgetl.hashing import digest_file
from edgetl.models import FAMILIES
from edgetl.stages import Job
from edgetl.stages._training import network_problems, network_settings, result_sentence


def job(folder: Path, **fields: Any) -> Job:
    recipe = {
        "name": "cells",
        "task": "detection",
        "data": {"path": "."},
        "input": {"size": 64},
        "teacher": {"family": "yolox_nano", "weights": "coco"},
    }
    return Job(
        recipe=Recipe.model_validate({**recipe, **fields}),
        tables={},
        targets=(),
        calibration=Calibration(name="any", split="train", count=1, sampling="random"),
        folder=folder,
        digest=digest_file,
    )


def problems(folder: Path, teacher: Mapping[str, object], **fields: Any) -> Iterator[str]:
    made = job(folder, teacher=teacher, **fields)
    assert made.recipe.teacher is not None
    for problem in network_problems(made, made.recipe.teacher, "teacher"):
        yield f"{problem.where}: {problem.what}"


@pytest.mark.parametrize(
    "teacher",
    [
        {"family": "yolox_nano", "weights": "coco"},
        {"family": "yolox_m", "weights": "none", "width": 0.5},
        {"family": "mobilenet_v2_yolox", "weights": "imagenet"},
        {"family": "mobilenet_v3_small_yolox", "weights": "own.safetensors", "width": 0.35},
    ],
    ids=["coco", "random", "imagenet", "file"],
)
def test_networks_that_can_be_built(tmp_path: Path, teacher: Mapping[str, object]) -> None:
    family = FAMILIES.load("mobilenet_v3_small_yolox")
    own = family.build(width=0.35, num_classes=3, seed=0).state_dict()
    save_file(own, tmp_path / "own.safetensors")

    assert list(problems(tmp_path, teacher)) == []


_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 9000000\n"


@pytest.mark.parametrize("name", ["own.pth", "own.ckpt", "own.PTH.tar", "pytorch_model.bin"])
def test_weights_file_that_only_stands_for_another_is_refused_with_the_remedy(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(_LFS)

    (told,) = problems(tmp_path, {"family": "yolox_nano", "weights": name})

    assert told == (
        f"teacher.weights: '{tmp_path / name}' is a Git LFS pointer, not the file itself; run "
        "`git lfs pull` in its repository, or download the file itself"
    )


def test_weights_that_do_not_fit_the_network_are_refused(tmp_path: Path) -> None:
    other = FAMILIES.load("mobilenet_v2").build(width=0.5, num_classes=9, seed=0).state_dict()
    torch.save(other, tmp_path / "own.pth")

    (told,) = problems(tmp_path, {"family": "yolox_nano", "weights": "own.pth"})

    assert told.startswith(f"teacher.weights: '{tmp_path / 'own.pth'}' only 0.0% of the network ")
    assert "; the file fits 'mobilenet_v2' of width 0.5; use weights of the same family" in told


def test_weights_of_a_network_that_does_not_exist_are_not_compared_with_it(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "own.pth")

    (told,) = problems(tmp_path, {"family": "mobilenet_v2", "weights": "own.pth"})

    assert told.startswith("teacher.family: 'mobilenet_v2' is for classification")


def test_weights_that_passed_are_compared_again_only_after_a_change(tmp_path: Path) -> None:
    keys: list[str] = []

    def told(width: float = 0.35) -> list[str]:
        teacher = {"family": "mobilenet_v2", "width": width, "weights": "own.pth"}
        made = dataclasses.replace(
            job(tmp_path, teacher=teacher, task="classification"),
            once=lambda key, _check: keys.append(key),
        )
        assert made.recipe.teacher is not None
        return [problem.what for problem in network_problems(made, made.recipe.teacher, "teacher")]

    (tmp_path / "own.pth").write_bytes(b"no weights, but they passed before")
    assert told() == told() == told(0.5) == []
    (tmp_path / "own.pth").write_bytes(b"other weights")
    assert told() == []
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ("teacher", "expected"),
    [
        (
            {"family": "mobilenet_v2", "weights": "imagenet"},
            "teacher.family: 'mobilenet_v2' is for classification, the task is detection; for",
        ),
        (
            {"family": "yolox_nan", "weights": "coco"},
            "teacher.family: unknown model family 'yolox_nan'; Did you mean 'yolox_nano'? Known: ",
        ),
        (
            {"family": "yolox_nano"},
            "teacher.weights: is 'imagenet'; must be `coco`, `none`, or a file that ends in .pth,",
        ),
        (
            {"family": "mobilenet_v2_yolox", "weights": "coco"},
            "teacher.weights: is 'coco'; must be `imagenet`, `none`, or a file that ends in .pth,",
        ),
        (
            {"family": "yolox_nano", "weights": "coco", "width": 0.5},
            "teacher.weights: `coco` weights exist for width 1.0 only, not 0.5; give a file",
        ),
        (
            {"family": "yolox_nano", "weights": "away.pth"},
            "teacher.weights: there is no file '",
        ),
    ],
    ids=["task", "name", "default weights", "weights", "width", "file"],
)
def test_networks_that_cannot_be_built(
    tmp_path: Path, teacher: Mapping[str, object], expected: str
) -> None:
    (told,) = problems(tmp_path, teacher)

    assert told.startswith(expected)


def test_detector_for_a_task_of_images_is_refused_with_those_that_fit(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, {"family": "yolox_nano", "weights": "none"}, task="classification")

    assert told == (
        "teacher.family: 'yolox_nano' is for detection, the task is classification; "
        "for classification: mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small"
    )


def test_input_that_the_maps_do_not_divide_is_refused_with_the_nearest(tmp_path: Path) -> None:
    teacher = {"family": "yolox_nano", "weights": "none"}

    assert list(problems(tmp_path, teacher, input={"size": 200})) == [
        "input.size: is 200; yolox_nano needs a multiple of 32; nearest are 192 and 224"
    ]


@pytest.fixture
def add_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what adds `small_net`, a copy of MobileNetV2 with other facts."""

    def add(**facts: object) -> None:
        folder = tmp_path / "families"
        folder.mkdir()
        given = ", ".join(f"{name}={value!r}" for name, value in facts.items())
        (folder / "small_net.py").write_text(
            "from dataclasses import replace\n"
            "from edgetl.models import mobilenet_v2\n"
            f"FAMILY = replace(mobilenet_v2.FAMILY, {given})\n"
        )
        monkeypatch.setattr(models, "__path__", [*models.__path__, str(folder)])
        monkeypatch.delitem(sys.modules, "edgetl.models.small_net", raising=False)

    return add


def test_input_below_the_smallest_of_the_family_is_refused(
    tmp_path: Path, add_family: Callable[..., None]
) -> None:
    add_family(min_size=64)
    teacher: dict[str, object] = {"family": "small_net", "weights": "none"}

    def of_size(size: int) -> list[str]:
        return list(problems(tmp_path, teacher, task="classification", input={"size": size}))

    assert of_size(56) == ["input.size: is 56; small_net needs at least 64"]
    assert of_size(64) == []
    teacher["input"] = {"size": 48}
    assert of_size(64) == ["teacher.input.size: is 48; small_net needs at least 64"]


@pytest.mark.parametrize("name", FAMILIES.names())
def test_every_family_refuses_the_size_below_its_smallest(tmp_path: Path, name: str) -> None:
    family = FAMILIES.load(name)

    def of_size(size: int) -> list[str]:
        table = {"size": size}
        teacher = {"family": name, "weights": "none"}
        return list(problems(tmp_path, teacher, task=family.task, input=table))

    assert of_size(family.min_size) == []
    step = max(family.size_multiple, 8)  # the recipe's own
    below = family.min_size - step
    if below > 0:
        assert of_size(below) == [
            f"input.size: is {below}; {name} needs at least {family.min_size}"
        ]


def test_width_of_a_family_without_widths_is_refused(
    tmp_path: Path, add_family: Callable[..., None]
) -> None:
    add_family(has_widths=False)

    def of_width(width: float) -> list[str]:
        teacher = {"family": "small_net", "weights": "none", "width": width}
        return list(problems(tmp_path, teacher, task="classification"))

    assert of_width(0.5) == ["teacher.width: is 0.5; small_net exists in width 1 only"]
    assert of_width(1.0) == []


def test_classifiers_take_any_input(tmp_path: Path) -> None:
    teacher = {"family": "mobilenet_v2", "weights": "none"}

    told = problems(tmp_path, teacher, task="classification", input={"size": 200})

    assert list(told) == []


def test_published_weights_enter_the_settings_by_name_and_files_by_digest(tmp_path: Path) -> None:
    path = tmp_path / "own.pth"
    path.write_bytes(b"weights")
    made = job(tmp_path)
    other = job(tmp_path, teacher={"family": "yolox_nano", "weights": "own.pth"})

    assert made.recipe.teacher is not None
    assert other.recipe.teacher is not None
    named = network_settings(made, made.recipe.teacher, seed=1)
    filed = network_settings(other, other.recipe.teacher, seed=1)

    assert (named.weights, named.weights_file) == ("coco", "")
    assert (filed.weights, filed.weights_file) == (digest_file(path), str(path))


def test_result_names_the_network_and_its_figure(examples: Any) -> None:
    figure = examples.score(0.4567, metric="map", title="mAP", low=0.4, high=0.5)
    facts = examples.training("teacher", 0.5, family="yolox_nano", test=None, val=figure)

    assert result_sentence(facts) == ("yolox_nano x0.5  mAP of validation 0.457 [0.400, 0.500]")
    assert result_sentence(facts.model_copy(update={"val": None})) == "yolox_nano x0.5"
