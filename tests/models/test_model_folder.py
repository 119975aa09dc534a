from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from edgetl.config.recipe import InputTable
from edgetl.errors import StoreError
from edgetl.models import (
    FAMILIES,
    MODEL_FILE,
    SPEC_FILE,
    ModelSpec,
    deployable,
    load_model,
    save_model,
)
from edgetl.nn.boxes import Grid, decode, to_corners
from edgetl.runtime.preprocess import Preprocess


def spec(classes: tuple[str, ...] = ("nut", "bolt")) -> ModelSpec:
    return ModelSpec.of(
        "mobilenet_v3_small",
        width=0.35,
        classes=classes,
        image_input=InputTable(size=32, fit="crop", filter="area", pad=7, anchor="top-left"),
    )


def detector_spec() -> ModelSpec:
    return ModelSpec.of(
        "yolox_nano", width=0.25, classes=("cell",), image_input=InputTable(size=64)
    )


def network(seed: int = 0) -> nn.Module:
    return FAMILIES.load("mobilenet_v3_small").build(width=0.35, num_classes=2, seed=seed)


def test_saved_model_comes_back_with_the_same_outputs_in_evaluation_mode(tmp_path: Path) -> None:
    module = network(seed=9)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    save_model(tmp_path, spec(), module)
    loaded_spec, loaded = load_model(tmp_path)

    assert loaded_spec == spec()
    assert loaded_spec.preprocess == Preprocess(32, 32, "crop", "area", 7, anchor="top-left")
    assert not loaded.training
    with torch.inference_mode():
        assert torch.equal(loaded(images), module.eval()(images))


def test_spec_of_a_family_states_its_task_version_and_normalisation() -> None:
    described = spec()

    assert described.task == "classification"
    assert described.family_version == FAMILIES.load("mobilenet_v3_small").version
    assert described.mean == (0.485, 0.456, 0.406)
    assert described.std == (0.229, 0.224, 0.225)
    assert described.edits == ()


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
        StoreError, match=r"contains no readable model: .*\n  run 'edgetl verify-store"
    ):
        load_model(tmp_path)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, spec(), network())
    (tmp_path / MODEL_FILE).unlink()

    with pytest.raises(StoreError, match=r"contains no readable model: No such file"):
        load_model(tmp_path)


def test_weights_of_other_classes_do_not_fit_the_spec(tmp_path: Path) -> None:
    save_model(tmp_path, spec(("nut", "bolt", "gear")), network())

    with pytest.raises(
        StoreError, match=r"contains no readable model: Error.* in loading state_dict"
    ):
        load_model(tmp_path)


def test_detector_comes_back_with_the_same_outputs(tmp_path: Path) -> None:
    module = FAMILIES.load("yolox_nano").build(width=0.25, num_classes=1, seed=3)
    described = detector_spec()
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255

    save_model(tmp_path, described, module)
    loaded_spec, loaded = load_model(tmp_path)

    assert loaded_spec == described
    with torch.inference_mode():
        expected, outputs = module.eval()(images), loaded(images)
    assert all(torch.equal(one, other) for one, other in zip(outputs, expected, strict=True))


def test_classifier_of_one_class_is_no_model() -> None:
    with pytest.raises(
        ValidationError, match="family 'mobilenet_v3_small' needs at least 2 classes, not 1"
    ):
        spec(("nut",))


def changed(folder: Path, **fields: object) -> None:
    """Write other fields into the spec in `folder`."""
    path = folder / SPEC_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_model_of_another_version_of_its_family_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, spec(), network())
    changed(tmp_path, family_version=7)

    with pytest.raises(
        StoreError,
        match=r"contains a model saved with version 7 of family 'mobilenet_v3_small', but version "
        r"1 is installed\n  run the recipe again to remake it, or install the version",
    ):
        load_model(tmp_path)


def test_model_of_a_family_that_is_not_installed_names_it(tmp_path: Path) -> None:
    save_model(tmp_path, spec(), network())
    changed(tmp_path, family="acme_net")

    with pytest.raises(
        StoreError,
        match=r"contains a model that cannot be rebuilt here: unknown model family 'acme_net'\n"
        r"  install the package that provides it; ",
    ):
        load_model(tmp_path)


def test_spec_of_another_schema_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, spec(), network())
    changed(tmp_path, schema_version=1)

    with pytest.raises(
        StoreError,
        match=r"contains no readable model: model\.json: schema_version: Input should be 2",
    ):
        load_model(tmp_path)


def test_deployable_detector_gives_the_boxes_and_scores_of_the_trained_one() -> None:
    module = FAMILIES.load("yolox_nano").build(width=0.25, num_classes=1, seed=3)
    described = detector_spec()
    pixels = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        boxes, scores = deployable(described, module)(pixels)
        raw = module.eval()(pixels.permute(0, 3, 1, 2))

    centres = decode(raw.offsets, Grid.of(64, 64, (8, 16, 32)))
    expected = (to_corners(centres) / 64).clamp(0, 1)
    torch.testing.assert_close(boxes, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        scores, raw.classes.sigmoid() * raw.objectness.sigmoid(), rtol=0, atol=1e-5
    )


def test_deployable_detector_has_neither_strided_slices_nor_arithmetic_on_pixels() -> None:
    module = FAMILIES.load("yolox_nano").build(width=0.25, num_classes=1, seed=3)
    whole = deployable(detector_spec(), module)

    program = torch.export.export(whole, (torch.zeros(1, 64, 64, 3),))

    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert called[:2] == ["aten.permute.default", "aten.conv2d.default"]
    assert not any("index" in name for name in called)


def test_deployable_classifier_normalises_its_pixels() -> None:
    module = network()
    pixels = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(0)) * 255

    whole = deployable(spec(), module)
    # Of a whole row of pixels, which engines are faster with.
    assert whole.get_buffer("mean").shape == (32, 3)
    with torch.inference_mode():
        logits = whole(pixels)
        images = (pixels / 255 - torch.tensor(spec().mean)) / torch.tensor(spec().std)
        expected = module.eval()(images.permute(0, 3, 1, 2))

    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
