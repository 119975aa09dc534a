from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from edgetl.facts.training import WeightsFacts
from edgetl.hashing import digest_file
from edgetl.models import FAMILIES
from edgetl.train.options import NetworkSettings
from edgetl.train.weights import build_network, load_into
from edgetl.train.weights_file import WeightsError, read_weights

FAMILY = "mobilenet_v3_small"
CLASSIFIER = FAMILIES.load(FAMILY)
HEAD = CLASSIFIER.head


def network(seed: int = 0, classes: int = 2, width: float = 0.35) -> nn.Module:
    return FAMILIES.load(FAMILY).build(width=width, num_classes=classes, seed=seed)


def state(seed: int = 5, classes: int = 2, width: float = 0.35) -> dict[str, Tensor]:
    return network(seed, classes, width).state_dict()


def settings(weights: str, file: str = "") -> NetworkSettings:
    return NetworkSettings(family=FAMILY, width=0.35, weights=weights, weights_file=file, seed=0)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_weights_file_of_another_task_gives_the_backbone_and_leaves_the_head(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"weights{suffix}"
    stored = state(classes=7)
    if suffix == ".safetensors":
        save_file(stored, path)
    else:
        torch.save(stored, path)

    _, module, report = build_network(settings(digest_file(path), str(path)), 2)

    loaded = module.state_dict()
    random_head = network(0).state_dict()
    assert report.source == "file"
    assert report.reinitialized == (f"{HEAD} for 2 classes instead of 7",)
    assert report.skipped == ()
    assert report.initialised == ()
    assert report.backbone_share == 1.0
    assert all(torch.equal(loaded[name], stored[name]) for name in report.loaded)
    assert torch.equal(loaded[f"{HEAD}.weight"], random_head[f"{HEAD}.weight"])


def test_head_for_as_many_classes_is_loaded_too() -> None:
    module = network()
    stored = state()

    report = load_into(module, stored, CLASSIFIER, "file")

    assert report.skipped == ()
    assert report.initialised == ()
    assert all(torch.equal(module.state_dict()[name], stored[name]) for name in stored)


@pytest.mark.parametrize("wrapper", ["model", "state_dict"])
def test_wrappers_and_the_prefix_of_parallel_training_are_taken_off(
    tmp_path: Path, wrapper: str
) -> None:
    path = tmp_path / "weights.pth"
    torch.save({wrapper: {f"module.{name}": value for name, value in state().items()}}, path)

    assert read_weights(path).keys() == state().keys()


@pytest.mark.parametrize("prefix", ["_orig_mod.", "model.", "backbone.", "0.", "net.1.module."])
def test_any_prefix_is_taken_off_and_reported(tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "weights.ckpt"
    stored = state(classes=7)
    prefixed = {f"{prefix}{name}": value for name, value in stored.items()}
    torch.save({"state_dict": {**prefixed, "loss.weight": torch.ones(2)}}, path)

    _, module, report = build_network(settings(digest_file(path), str(path)), 2)

    loaded = module.state_dict()
    shown = "" if prefix == "_orig_mod." else f", without the prefix '{prefix}'"
    assert all(torch.equal(loaded[name], stored[name]) for name in report.loaded)
    assert report.sentence() == (
        f"{len(stored) - 2} tensors loaded (file){shown}; new {HEAD} for 2 classes instead of 7; "
        "1 skipped: loss.weight: not in the network"
    )


def test_file_that_holds_the_network_twice_is_refused() -> None:
    stored = {
        f"{place}.{name}": value for name, value in state().items() for place in ("ema", "online")
    }

    with pytest.raises(
        WeightsError,
        match=r"^holds the network more than once, under 'ema\.' and 'online\.'\n  save one of "
        r"them alone, for example \{name: value for .* if name\.startswith\('ema\.'\)\}$",
    ):
        load_into(network(), stored, CLASSIFIER, "file")


def test_facts_of_a_load_count_what_is_as_expected_and_name_what_is_not() -> None:
    stored = {**state(classes=7), "extra": torch.zeros(1)}

    facts = load_into(network(), stored, CLASSIFIER, "imagenet").facts()

    assert facts == WeightsFacts(
        source="imagenet",
        loaded=len(stored) - 3,
        skipped=("extra: not in the network",),
        initialised=(),
        backbone_share=1.0,
        reinitialized=(f"{HEAD} for 2 classes instead of 7",),
    )


def test_backbone_alone_leaves_the_head_at_random_and_says_so() -> None:
    stored = {name: value for name, value in state().items() if not name.startswith(HEAD)}

    report = load_into(network(), stored, CLASSIFIER, "file")

    assert report.sentence() == f"{len(stored)} tensors loaded (file); at random: {HEAD}"
    assert report.reinitialized == ()


def test_random_start_is_reported_as_such() -> None:
    _, module, report = build_network(settings("none"), 2)

    assert report.facts() == WeightsFacts(source="none", loaded=0)
    assert report.sentence() == "all weights start at random"
    assert all(torch.equal(value, state(seed=0)[name]) for name, value in module.named_parameters())


def test_weights_of_another_width_are_refused_and_change_nothing() -> None:
    module = network()
    before = {name: value.clone() for name, value in module.state_dict().items()}

    with pytest.raises(
        WeightsError,
        match=r"only \d+\.\d% of the backbone matches, at least 90% must; missing: .*\n"
        r"  use weights of the same family and width",
    ):
        load_into(module, state(width=1.0), CLASSIFIER, "file")

    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_missing_normalisation_statistics_are_refused_although_they_are_few_values() -> None:
    stored = {name: value for name, value in state().items() if "running" not in name}

    with pytest.raises(WeightsError, match=r"only \d+\.\d% .* missing: .*running_mean.* more"):
        load_into(network(), stored, CLASSIFIER, "file")


def test_missing_batch_counters_are_no_loss() -> None:
    stored = {name: value for name, value in state().items() if "num_batches" not in name}

    report = load_into(network(), stored, CLASSIFIER, "file")

    assert report.backbone_share == 1.0
    assert report.initialised == ()


def test_values_that_are_not_finite_are_refused() -> None:
    stored = state()
    stored["features.0.0.weight"] = stored["features.0.0.weight"] * torch.nan

    with pytest.raises(WeightsError, match=r"1 tensors have values .*: features\.0\.0\.weight"):
        load_into(network(), stored, CLASSIFIER, "file")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"not weights at all", b"\x80\x02junk", None],
    ids=["empty", "text", "half a pickle", "torn"],
)
def test_damaged_file_is_refused(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    path = tmp_path / f"weights{suffix}"
    if content is None:
        if suffix == ".pth":
            torch.save(state(), path)
        else:
            save_file(state(), path)
        content = path.read_bytes()[:-1000]
    path.write_bytes(content)

    with pytest.raises(
        WeightsError, match=r"^cannot be read as weights: \S.*\n  get the file again; \.pth, "
    ):
        read_weights(path)


def test_pickled_module_is_refused_without_running_its_code(tmp_path: Path) -> None:
    path = tmp_path / "module.pth"
    torch.save(network(), path)

    with pytest.raises(
        WeightsError, match=r"contains Python objects, .*\n  save the tensors alone: torch\.save"
    ):
        read_weights(path)


def test_file_without_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"epoch": 3}, path)

    with pytest.raises(WeightsError, match="holds a dict, not tensors by name"):
        read_weights(path)


def test_file_that_changed_after_the_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(state(), path)

    with pytest.raises(WeightsError, match="was changed after the run began"):
        build_network(settings("0" * 64, str(path)), 2)


def test_file_of_another_family_is_named() -> None:
    other = FAMILIES.load("mobilenet_v2").build(width=0.5, num_classes=9, seed=0).state_dict()

    with pytest.raises(
        WeightsError,
        match=r"only 0\.0% of the backbone matches, .*; the file fits 'mobilenet_v2' of width 0\.5",
    ):
        load_into(network(), other, CLASSIFIER, "file")


def test_file_of_another_family_is_named_behind_a_prefix() -> None:
    other = FAMILIES.load("mobilenet_v2").build(width=0.5, num_classes=9, seed=0).state_dict()
    prefixed = {f"model.{name}": value for name, value in other.items()}

    with pytest.raises(WeightsError, match=r"; the file fits 'mobilenet_v2' of width 0\.5"):
        load_into(network(), prefixed, CLASSIFIER, "file")


@pytest.mark.parametrize(
    "failure",
    [URLError("no route to host"), RuntimeError('invalid hash value (expected "a", got "b")')],
    ids=["no network", "wrong hash"],
)
def test_weights_that_cannot_be_fetched_are_reported_with_the_way_round(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fails(*_args: object, **_options: object) -> dict[str, Tensor]:
        raise failure

    monkeypatch.setattr(WeightsEnum, "get_state_dict", fails)

    with pytest.raises(
        WeightsError,
        match=r"the 'imagenet' weights of 'mobilenet_v3_small' cannot be fetched from "
        r"torchvision's MobileNet_V3_Small_Weights\.IMAGENET1K_V1: .*(no route|hash).*\n  give a",
    ):
        build_network(settings("imagenet"), 2)


def test_whole_numbers_are_no_weights() -> None:
    tensors = {
        name: (100 * value).to(torch.int8) if value.is_floating_point() else value
        for name, value in state().items()
    }
    with pytest.raises(
        WeightsError, match=r"tensors have whole numbers in place of the weights: "
    ) as caught:
        load_into(network(), tensors, CLASSIFIER, "file")
    assert caught.value.remedy == "use the checkpoint of the float network"


def test_one_of_several_files_of_a_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model-00001-of-00003.safetensors"
    save_file(state(), path)
    with pytest.raises(
        WeightsError, match="is one of 3 files that hold the network together"
    ) as caught:
        build_network(settings(digest_file(path), str(path)), 2)
    assert caught.value.remedy.startswith("merge them: load each")
    only = path.rename(tmp_path / "model-00001-of-00001.safetensors")
    build_network(settings(digest_file(only), str(only)), 2)
