from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgetl.data.dataset import Dataset
from edgetl.stages import STAGES
from edgetl.types import Split

STAGE = STAGES.load("features")


def pretrained() -> dict[str, object]:
    return {"family": "mobilenet_v3_small", "width": 0.35, "weights": "weights.safetensors"}


def planned(bench: Any, tables: dict[str, dict[str, object]], **fields: object) -> Any:
    return bench.plan("features", bench.job(tables, teacher=pretrained(), **fields))


def test_features_are_wanted_by_probes_only(bench: Any, weights: Callable[..., Path]) -> None:
    weights()

    strategies = ("linear-probe", "probe-then-full", "full")
    nodes = [planned(bench, {"finetune": {"strategy": name}}) for name in strategies]

    assert [len(each) for each in nodes] == [1, 1, 0]


def test_detectors_have_no_features_to_cache(bench: Any) -> None:
    teacher = {"family": "yolox_nano", "weights": "none"}
    job = bench.job({"finetune": {"strategy": "linear-probe"}}, task="detection", teacher=teacher)

    assert bench.plan("features", job) == []


@pytest.mark.parametrize(
    ("tables", "fields"),
    [
        ({"finetune": {"probe_epochs": 3, "probe_lr": 0.5}}, {}),
        ({"finetune": {"epochs": 3, "label_smoothing": 0.0}}, {}),
        ({"finetune": {"augment": "strong"}}, {}),
        ({}, {"seed": 5}),
        ({}, {"device": "cpu"}),
    ],
    ids=["probe", "full", "augment", "seed", "device"],
)
def test_features_depend_on_neither_head_nor_training(
    bench: Any,
    weights: Callable[..., Path],
    tables: dict[str, dict[str, object]],
    fields: dict[str, object],
) -> None:
    weights()

    [default] = planned(bench, {})
    [other] = planned(bench, tables, **fields)

    assert other.settings.model_dump(mode="json") == default.settings.model_dump(mode="json")


def test_features_depend_on_the_content_of_the_weights_file_and_not_on_its_name(
    bench: Any, weights: Callable[..., Path]
) -> None:
    def settings(name: str, seed: int) -> object:
        weights(name, seed)
        job = bench.job(teacher={**pretrained(), "weights": name})
        return bench.plan("features", job)[0].settings.model_dump(mode="json")

    first = settings("a.safetensors", 1)

    assert settings("b.safetensors", 1) == first
    assert settings("a.safetensors", 2) != first


def test_features_are_what_the_head_would_see_of_each_view(
    bench: Any, weights: Callable[..., Path]
) -> None:
    weights()
    dataset = bench.dataset()
    [node] = planned(bench, {})

    artifact = bench.run(node, {"dataset": dataset})

    train = np.load(artifact.file("features-train.npy"))
    val = np.load(artifact.file("features-val.npy"))
    assert train.shape == (2, 24, 360)
    assert val.shape == (1, 8, 360)
    assert train.dtype == np.float32
    # Once more by hand: normalise a mirrored image and take the pooled maps through the classifier.
    from edgetl.models import FAMILIES
    from edgetl.train.weights import load_into
    from edgetl.train.weights_file import read_weights

    family = FAMILIES.load("mobilenet_v3_small")
    module = family.build(width=0.35, num_classes=2, seed=0).eval()
    load_into(module, read_weights(bench.root / "weights.safetensors"), family, "file")
    pixels = Dataset.open(dataset.folder).images(Split.TRAIN)[5, :, ::-1] / 255.0
    scaled = (pixels - np.array(family.mean)) / np.array(family.std)
    image = torch.from_numpy(scaled.astype(np.float32).transpose(2, 0, 1)[None].copy())
    with torch.inference_mode():
        maps = module.get_submodule("features")(image).mean(dim=(2, 3))
        classifier = module.get_submodule("classifier")
        expected = torch.nn.functional.hardswish(classifier.get_submodule("0")(maps))
    np.testing.assert_allclose(train[1, 5], expected[0].numpy(), atol=1e-5)


def test_images_that_are_not_augmented_have_one_view(
    bench: Any, weights: Callable[..., Path]
) -> None:
    weights()
    [node] = planned(bench, {"finetune": {"augment": "none"}})

    artifact = bench.run(node, {"dataset": bench.dataset()})

    assert np.load(artifact.file("features-train.npy")).shape[0] == 1
    assert artifact.manifest.facts["mirrored"] is False


def test_rerun_gives_the_same_bytes_and_a_line_for_people(
    bench: Any, weights: Callable[..., Path]
) -> None:
    weights()
    [node] = planned(bench, {})
    dataset = bench.dataset()

    first = bench.run(node, {"dataset": dataset})
    second = bench.run(node, {"dataset": dataset}, "2")

    assert first.manifest.digest == second.manifest.digest
    assert STAGE.summarise(first) == "32 images through the frozen backbone, mirrored too"
    assert bench.told.steps[-1] == (56, 56, "images through the backbone")
