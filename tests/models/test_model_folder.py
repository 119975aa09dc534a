from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgetl.config.recipe import InputTable
from edgetl.errors import StoreError
from edgetl.models import FAMILIES, MODEL_FILE, SPEC_FILE, ModelSpec, load_model, save_model
from edgetl.runtime.preprocess import Preprocess
from edgetl.types import Task


def spec(classes: tuple[str, ...] = ("nut", "bolt")) -> ModelSpec:
    return ModelSpec(
        task=Task.CLASSIFICATION,
        family="mobilenet_v3_small",
        width=0.35,
        classes=classes,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        input=InputTable(size=32, fit="crop", filter="area", pad=7),
    )


def network(seed: int = 0) -> nn.Module:
    return FAMILIES.load("mobilenet_v3_small").build(width=0.35, num_classes=2, seed=seed)


def test_saved_model_comes_back_with_the_same_answers_in_evaluation_mode(tmp_path: Path) -> None:
    module = network(seed=9)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    save_model(tmp_path, spec(), module)
    found_spec, found = load_model(tmp_path)

    assert found_spec == spec()
    assert found_spec.preprocess == Preprocess(32, 32, "crop", "area", 7)
    assert not found.training
    with torch.inference_mode():
        assert torch.equal(found(images), module.eval()(images))


def test_equal_weights_give_equal_bytes_whatever_their_layout_in_memory(tmp_path: Path) -> None:
    folders = [tmp_path / "plain", tmp_path / "channels-last"]
    layouts = [torch.contiguous_format, torch.channels_last]
    for folder, layout in zip(folders, layouts, strict=True):
        folder.mkdir()
        save_model(folder, spec(), network().to(memory_format=layout))

    for name in (MODEL_FILE, SPEC_FILE):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_torn_weights_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, spec(), network())
    weights = tmp_path / MODEL_FILE
    weights.write_bytes(weights.read_bytes()[:-100])

    with pytest.raises(
        StoreError, match=r"holds no readable model: .*\n  run 'edgetl verify-store"
    ):
        load_model(tmp_path)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, spec(), network())
    (tmp_path / MODEL_FILE).unlink()

    with pytest.raises(StoreError, match=r"holds no readable model: No such file"):
        load_model(tmp_path)


def test_weights_of_other_classes_do_not_fit_the_spec(tmp_path: Path) -> None:
    save_model(tmp_path, spec(("nut", "bolt", "gear")), network())

    with pytest.raises(StoreError, match=r"holds no readable model: Error.* in loading state_dict"):
        load_model(tmp_path)
