"""What detectors start from: whole detectors, of as many classes or not, and bare backbones."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgetl.hashing import digest_file
from edgetl.models import FAMILIES, Family
from edgetl.train.options import NetworkSettings
from edgetl.train.weights import build_network, load_into
from edgetl.train.weights_file import WeightsError

NANO = FAMILIES.load("yolox_nano")
MOBILE = FAMILIES.load("mobilenet_v2_yolox")
WIDTH = 0.25


def network(family: Family, *, classes: int = 2, width: float = WIDTH, seed: int = 0) -> nn.Module:
    return family.build(width=width, num_classes=classes, seed=seed)


def state(family: Family, *, classes: int = 2, width: float = WIDTH) -> dict[str, Tensor]:
    return network(family, classes=classes, width=width, seed=5).state_dict()


def settings(family: str, path: Path) -> NetworkSettings:
    return NetworkSettings(
        family=family, width=WIDTH, weights=digest_file(path), weights_file=str(path), seed=0
    )


@pytest.mark.parametrize("layout", ["official", "safetensors"])
def test_detector_for_as_many_classes_is_loaded_whole(tmp_path: Path, layout: str) -> None:
    stored = state(NANO)
    if layout == "official":
        path = tmp_path / "yolox.pth"
        torch.save({"start_epoch": 300, "model": stored}, path)
    else:
        path = tmp_path / "yolox.safetensors"
        save_file(stored, path)

    _, module, report = build_network(settings("yolox_nano", path), 2)

    assert report.sentence() == f"{len(stored)} tensors loaded (file)"
    assert all(torch.equal(value, stored[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("family", [NANO, MOBILE], ids=["yolox_nano", "mobilenet_v2_yolox"])
def test_detector_for_other_classes_keeps_all_but_the_class_predictors(family: Family) -> None:
    module, stored = network(family, classes=3), state(family, classes=80)

    report = load_into(module, stored, family, "file")

    assert report.sentence() == (
        f"{len(stored) - 6} tensors loaded (file); new head.cls_preds for 3 classes instead of 80"
    )
    loaded, random = module.state_dict(), network(family, classes=3).state_dict()
    for name, value in loaded.items():
        source = random if name.startswith("head.cls_preds.") else stored
        assert torch.equal(value, source[name])
    assert report.facts().reinitialized == ("head.cls_preds for 3 classes instead of 80",)
    assert report.facts().initialised == report.facts().skipped == ()


def test_classifier_gives_its_blocks_and_the_rest_starts_at_random() -> None:
    classifier = FAMILIES.load("mobilenet_v2").build(width=WIDTH, num_classes=9, seed=5)
    stored = classifier.state_dict()
    module = network(MOBILE)

    report = load_into(module, stored, MOBILE, "imagenet")

    blocks = [
        name
        for name in stored
        if name.startswith("features.") and not name.startswith("features.18.")
    ]
    loaded = module.state_dict()
    assert all(torch.equal(loaded[f"backbone.backbone.{name}"], stored[name]) for name in blocks)
    assert report.sentence() == (
        f"{len(blocks)} tensors loaded (imagenet); 7 skipped: classifier.1.bias: not in the "
        "network, classifier.1.weight: not in the network, features.18.0.weight: not in the "
        "network and 4 more; at random: backbone.backbone.reduce, backbone.lateral_conv0, "
        "backbone.C3_p4 and 7 more"
    )
    assert report.initialised[-1] == "head"


def test_detector_with_a_tensor_missing_is_refused_and_nothing_is_changed() -> None:
    module, stored = network(NANO), state(NANO)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    del stored["head.obj_preds.1.bias"]

    with pytest.raises(
        WeightsError,
        match=r"only \d+\.\d% of the network without its class predictors matches, at least 100% "
        r"must; missing: head\.obj_preds\.1\.bias; not used: nothing",
    ):
        load_into(module, stored, NANO, "file")

    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("wanted", "given", "width", "fits"),
    [
        ("yolox_nano", "mobilenet_v2", 0.25, "the file fits 'mobilenet_v2' of width 0.25"),
        ("yolox_nano", "yolox_tiny", 1.0, "the file fits 'yolox_tiny' of width 1"),
        ("yolox_nano", "yolox_nano", 0.5, "the file fits 'yolox_nano' of width 0.5"),
        ("mobilenet_v2_yolox", "yolox_nano", 0.25, "the file fits 'yolox_nano' of width 0.25"),
        ("mobilenet_v2_yolox", "mobilenet_v2", 0.5, "the file fits 'mobilenet_v2' of width 0.5"),
    ],
    ids=["classifier", "size", "width", "backbone", "classifier of another width"],
)
def test_file_for_something_else_is_named(wanted: str, given: str, width: float, fits: str) -> None:
    stored = state(FAMILIES.load(given), width=width, classes=4)
    family = FAMILIES.load(wanted)

    with pytest.raises(WeightsError, match=rf"only \d+\.\d% of the .*; {fits}\n  use weights of"):
        load_into(network(family), stored, family, "file")


def test_published_weights_that_cannot_be_fetched_are_reported_with_their_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_args: object, **_options: object) -> dict[str, Tensor]:
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fails)
    wanted = NetworkSettings(family="yolox_nano", width=1.0, weights="coco", seed=0)

    with pytest.raises(
        WeightsError,
        match=r"the 'coco' weights of 'yolox_nano' cannot be fetched from https://github\.com/"
        r"Megvii-BaseDetection/YOLOX/releases/download/0\.1\.1rc0/yolox_nano\.pth: .*no route to "
        r"host.*\n  give a local file instead",
    ):
        build_network(wanted, 2)


def test_published_weights_are_loaded_like_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = state(NANO, classes=80, width=1.0)
    asked: dict[str, object] = {}

    def fetched(_address: str, **options: object) -> dict[str, object]:
        asked.update(options)
        return {"model": stored, "start_epoch": 300}

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fetched)
    wanted = NetworkSettings(family="yolox_nano", width=1.0, weights="coco", seed=0)

    _, module, report = build_network(wanted, 1)

    assert asked["weights_only"] is True
    assert report.source == "coco"
    assert report.reinitialized == ("head.cls_preds for 1 classes instead of 80",)
    name = "head.obj_preds.2.weight"
    assert torch.equal(module.state_dict()[name], stored[name])
