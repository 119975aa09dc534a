from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from edgetl.data.boxes_augment import VARIATIONS
from edgetl.data.dataset import Dataset
from edgetl.data.levels import Level
from edgetl.facts.scores import Score
from edgetl.facts.training import TrainingFacts, WeightsFacts
from edgetl.models import FAMILIES, Family, load_model
from edgetl.nn.layers import RawPixels
from edgetl.stages import STAGES, Node
from edgetl.store.store import Artifact
from edgetl.tasks import TASKS
from edgetl.train.fit import Fitted
from edgetl.train.interfaces import Validation
from edgetl.train.strategies import Part, Phase
from edgetl.train.training_artifacts import read_predictions
from edgetl.types import Split

STAGE = STAGES.load("finetune")
FULL: dict[str, object] = {"strategy": "full", "epochs": 2, "batch_size": 8, "warmup_epochs": 0}


def pretrained(**fields: object) -> dict[str, object]:
    return {
        "family": "mobilenet_v3_small",
        "width": 0.35,
        "weights": "weights.safetensors",
        **fields,
    }


def settings_of(bench: Any, options: dict[str, object], **fields: object) -> Any:
    job = bench.job({"finetune": options}, **fields)
    features = [Node("features", "features", job.tables["finetune"])]
    return bench.plan("finetune", job, features=features)[0].settings


def finetuned(bench: Any, options: dict[str, object], name: str = "", **fields: object) -> Artifact:
    """Run features, if the strategy needs them, and the fine-tuning."""
    job = bench.job({"finetune": options}, **fields)
    inputs = {"dataset": bench.dataset()}
    features = bench.plan("features", job)
    if features:
        inputs["features"] = bench.run(features[0], inputs, name)
    [node] = bench.plan("finetune", job, features=features)
    artifact: Artifact = bench.run(node, inputs, name)
    return artifact


def test_linear_probe_changes_the_head_alone(bench: Any, weights: Callable[..., Path]) -> None:
    stored = load_file(weights())

    artifact = finetuned(bench, {"strategy": "linear-probe"}, teacher=pretrained())

    _, module = load_model(artifact.folder)
    state = module.state_dict()
    head = ("classifier.3.weight", "classifier.3.bias")
    assert all(torch.equal(state[name], stored[name]) for name in stored if name not in head)
    untrained = FAMILIES.load("mobilenet_v3_small").build(width=0.35, num_classes=2, seed=0)
    assert all(not torch.equal(state[name], untrained.state_dict()[name]) for name in head)
    assert list(artifact.manifest.facts["phases"]) == ["probe"]
    assert artifact.manifest.facts["weights"]["source"] == "file"


def test_probe_then_full_trains_both_and_starts_from_the_probe(
    bench: Any, weights: Callable[..., Path]
) -> None:
    weights()

    artifact = finetuned(
        bench,
        {**FULL, "strategy": "probe-then-full", "lr": 1e-9, "ema": None},
        teacher=pretrained(),
    )
    probe = finetuned(bench, {"strategy": "linear-probe"}, "probe", teacher=pretrained())

    assert list(artifact.manifest.facts["phases"]) == ["probe", "full"]
    # At a learning rate of nothing the head stays what the probe made it.
    heads = [load_model(made.folder)[1].state_dict() for made in (artifact, probe)]
    torch.testing.assert_close(
        heads[0]["classifier.3.weight"], heads[1]["classifier.3.weight"], atol=1e-6, rtol=0
    )


def score_second_phase(monkeypatch: pytest.MonkeyPatch, *, images: int) -> None:
    """Let a training get `images` more of the validation images right after `full` than before it.

    Both phases are trained in earnest; only the figures of the second one are given.
    """
    training = TASKS.load("classification").training
    train = training.train
    scored: list[Validation | None] = []

    def train_with_given_figures(
        module: nn.Module, family: Family, phase: Phase, **options: Any
    ) -> Fitted:
        fitted = train(module, family, phase, **options)
        if phase.name == "full":
            [probe], [row] = scored, fitted.rows
            assert probe
            value = probe.value + images / len(options["dataset"].names(Split.VAL))
            given = dataclasses.replace(row, val_loss=probe.loss, val_metric=value)
            return dataclasses.replace(fitted, rows=(given,))
        scored.append(fitted.validation)
        return fitted

    monkeypatch.setattr(type(training), "train", staticmethod(train_with_given_figures))


WORSE = "phase `full` made the network worse; its weights from before are kept"


def test_probe_is_kept_when_training_on_makes_it_worse(
    bench: Any, weights: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights()
    probe = finetuned(bench, {"strategy": "linear-probe"}, "probe", teacher=pretrained())
    score_second_phase(monkeypatch, images=-1)

    artifact = finetuned(
        bench,
        {**FULL, "strategy": "probe-then-full", "epochs": 1, "ema": None},
        teacher=pretrained(),
    )

    assert artifact.manifest.facts["phases"]["full"]["best_epoch"] == 0
    assert WORSE in bench.told.notes
    kept, expected = (load_model(made.folder)[1].state_dict() for made in (artifact, probe))
    assert all(torch.equal(kept[name], expected[name]) for name in expected)


def test_probe_is_not_kept_when_training_on_leaves_it_as_good(
    bench: Any, weights: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights()
    probe = finetuned(bench, {"strategy": "linear-probe"}, "probe", teacher=pretrained())
    score_second_phase(monkeypatch, images=0)

    artifact = finetuned(
        bench,
        {**FULL, "strategy": "probe-then-full", "epochs": 1, "ema": None},
        teacher=pretrained(),
    )

    assert artifact.manifest.facts["phases"]["full"]["best_epoch"] == 1
    assert WORSE not in bench.told.notes
    trained, before = (load_model(made.folder)[1].state_dict() for made in (artifact, probe))
    name = "features.0.0.weight"
    assert not torch.equal(trained[name], before[name])


def test_answers_to_validation_and_test_are_those_of_the_saved_model(bench: Any) -> None:
    artifact = finetuned(bench, FULL)

    spec, module = load_model(artifact.folder)
    assert spec.classes == ("dark", "bright")
    assert spec.preprocess.fit == "stretch"
    with np.load(artifact.file("predictions.npz")) as arrays:
        assert set(arrays) == {"val_logits", "test_logits"}
        assert arrays["test_logits"].shape == (8, 2)
        assert arrays["test_logits"].dtype == np.float32
        chosen = arrays["test_logits"].argmax(axis=1)
        logits = arrays["val_logits"]
    dataset = Dataset.open(bench.dataset().folder)
    right = (chosen == dataset.labels(Split.TEST)).mean()
    assert artifact.manifest.facts["test"]["value"] == pytest.approx(right)
    assert artifact.manifest.facts["test"]["metric"] == "top1"
    assert np.array_equal(read_predictions(artifact.folder, Split.VAL)["logits"], logits)
    network = RawPixels(module, spec.mean, spec.std)
    images = dataset.images(Split.VAL).astype(np.float32)
    with torch.inference_mode():
        again = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(logits, again, atol=1e-5)


def test_rerun_gives_the_same_bytes(bench: Any) -> None:
    first = finetuned(bench, FULL)
    second = finetuned(bench, FULL, "2")

    assert first.manifest.digest == second.manifest.digest


def test_interrupted_training_ends_with_the_same_bytes(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finetuned(bench, FULL)
    job = bench.job({"finetune": FULL})
    [node] = bench.plan("finetune", job)
    dataset = bench.dataset()
    calls = 0
    step = bench.told.step

    def interrupts(done: int, total: int, text: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        step(done, total, text)

    monkeypatch.setattr(bench.told, "step", interrupts)
    with pytest.raises(KeyboardInterrupt):
        bench.run(node, {"dataset": dataset}, "again")
    resumed = bench.run(node, {"dataset": dataset}, "again")

    assert resumed.manifest.digest == whole.manifest.digest
    assert "training resumes after epoch 1, where it was interrupted" in bench.told.notes


def test_results_have_one_line_per_epoch_of_each_phase(
    bench: Any, weights: Callable[..., Path]
) -> None:
    weights()

    artifact = finetuned(
        bench,
        {**FULL, "strategy": "probe-then-full", "probe_epochs": 3},
        teacher=pretrained(),
    )

    lines = artifact.file("results.csv").read_text("utf-8").splitlines()
    assert lines[0] == "phase,epoch,lr,train_loss,val_loss,val_top1"
    assert [line.rsplit(",", 4)[0] for line in lines[1:]] == [
        "probe,1",
        "probe,2",
        "probe,3",
        "full,1",
        "full,2",
    ]


def test_events_lie_beside_the_artifact(bench: Any) -> None:
    artifact = finetuned(bench, FULL)

    assert not list(artifact.folder.rglob("*tfevents*"))
    assert len(list(bench.root.glob("store/logs/finetune/*/full/*tfevents*"))) == 1


def test_data_without_validation_and_test_are_trained_to_the_last_epoch(bench: Any) -> None:
    job = bench.job({"finetune": FULL})
    [node] = bench.plan("finetune", job)
    dataset = bench.dataset({Split.TRAIN: 16, Split.VAL: 0, Split.TEST: 0})

    artifact = bench.run(node, {"dataset": dataset})

    assert artifact.manifest.facts["phases"] == {"full": {"epochs": 2, "best_epoch": 2}}
    assert artifact.manifest.facts["val"] is None
    assert artifact.manifest.facts["test"] is None
    assert STAGE.summarise(artifact) == "mobilenet_v3_small x0.35"


def test_summary_has_network_accuracy_and_interval() -> None:
    facts = TrainingFacts(
        model="teacher",
        family="mobilenet_v3_large",
        width=1.0,
        parameters=1,
        weights=WeightsFacts(source="imagenet", loaded=1),
        phases={},
        val=None,
        test=Score(metric="top1", title="top-1", value=0.9909, low=0.978, high=0.9961, images=440),
    )

    assert STAGE.summary(facts) == "mobilenet_v3_large  top-1 0.991 [0.978, 0.996]"


def test_epochs_and_rate_of_the_whole_network_change_nothing_for_the_head_alone(
    bench: Any, weights: Callable[..., Path]
) -> None:
    weights()
    dumps = [
        settings_of(bench, {"strategy": "linear-probe", **given}, teacher=pretrained()).model_dump(
            mode="json"
        )
        for given in ({}, {"epochs": 99, "lr": 0.5})
    ]

    assert dumps[0] == dumps[1]


def test_place_of_the_weights_and_the_device_are_in_no_key(
    bench: Any, weights: Callable[..., Path]
) -> None:
    weights()

    dump = settings_of(bench, {}, teacher=pretrained(), device="cpu").model_dump(mode="json")

    assert "device" not in dump
    assert set(dump["network"]) == {"family", "width", "weights", "seed"}
    assert len(dump["network"]["weights"]) == 64


def test_learning_rate_left_out_suits_strategy_and_optimizer(
    bench: Any, weights: Callable[..., Path]
) -> None:
    weights()

    def rate(**options: object) -> float:
        lr: float = settings_of(bench, options, teacher=pretrained()).phases[-1].training.lr
        return lr

    assert rate(lr=0.123) == 0.123
    assert rate(strategy="full") > rate(strategy="probe-then-full")
    assert rate(strategy="full", optimizer="sgd") > rate(strategy="full")


@pytest.mark.parametrize("strategy", ["linear-probe", "probe-then-full"])
def test_probe_on_random_features_is_refused_before_training(bench: Any, strategy: str) -> None:
    job = bench.job({"finetune": {"strategy": strategy}})

    assert bench.problems("finetune", job) == (
        f"recipe.yaml: finetune.strategy: `{strategy}` trains the head on what the rest of the "
        "network has learned, but with `teacher.weights: none` it has learned nothing; "
        "set `strategy: full`, or give weights"
    )


@pytest.mark.parametrize(
    ("teacher", "problem"),
    [
        (
            {"family": "mobilenet_v3_smal", "weights": "none"},
            "teacher.family: unknown model family 'mobilenet_v3_smal'; Did you mean 'mobilenet",
        ),
        (
            {"family": "mobilenet_v2", "width": 0.5, "weights": "imagenet"},
            "teacher.weights: `imagenet` weights exist for width 1.0 only, not 0.5; give a file",
        ),
        (
            {"family": "mobilenet_v2", "weights": "away.pth"},
            "teacher.weights: there is no file '",
        ),
        (
            {"family": "mobilenet_v2", "weights": "image-net"},
            "teacher.weights: is 'image-net'; must be `imagenet`, `none`, or a file that ends in",
        ),
    ],
    ids=["family", "width", "file", "word"],
)
def test_teacher_that_cannot_be_built_is_refused_before_training(
    bench: Any, teacher: dict[str, object], problem: str
) -> None:
    job = bench.job({"finetune": {"strategy": "full"}}, teacher=teacher)

    assert problem in bench.problems("finetune", job)


def _augment(bench: Any, level: str) -> str:
    [phase] = settings_of(bench, {**FULL, "augment": level}).phases
    augment: str = phase.training.augment
    return augment


def test_augmentation_levels_of_the_table_are_those_of_the_loader(bench: Any) -> None:
    assert list(Level) == list(VARIATIONS)
    for level in Level:
        assert _augment(bench, level.value) == level.value


DETECTOR: dict[str, Any] = {
    "task": "detection",
    "teacher": {"family": "yolox_nano", "width": 0.25, "weights": "none"},
}
SHORT: dict[str, object] = {"strategy": "full", "epochs": 1, "batch_size": 8, "augment": "strong"}


def detector_weights(bench: Any) -> dict[str, Any]:
    """Return the recipe of a detector that starts from weights for other classes."""
    family = FAMILIES.load("yolox_nano")
    path = bench.root / "detector.safetensors"
    save_file(family.build(width=0.25, num_classes=5, seed=7).state_dict(), path)
    teacher = {**DETECTOR["teacher"], "weights": path.name}
    return {**DETECTOR, "teacher": teacher}


def test_detector_is_trained_by_the_same_stage_and_a_rerun_gives_the_same_bytes(bench: Any) -> None:
    dataset = bench.boxes()
    [node] = bench.plan("finetune", bench.job({"finetune": SHORT}, **DETECTOR))

    first = bench.run(node, {"dataset": dataset})
    second = bench.run(node, {"dataset": dataset}, "2")

    assert first.manifest.digest == second.manifest.digest
    assert first.manifest.facts["test"]["metric"] == "map"
    predictions = read_predictions(first.folder, Split.TEST)
    assert set(predictions) == {"boxes", "scores", "labels", "offsets"}
    assert len(predictions["offsets"]) == 9
    lines = first.file("results.csv").read_text("utf-8").splitlines()
    assert lines[0] == "phase,epoch,lr,train_loss,val_loss,val_map"
    assert STAGE.summarise(first).startswith("yolox_nano x0.25  mAP 0.")


def test_head_of_a_detector_is_trained_first_without_cached_features(bench: Any) -> None:
    recipe = detector_weights(bench)
    options = {**SHORT, "strategy": "probe-then-full", "probe_epochs": 1}
    job = bench.job({"finetune": options}, **recipe)
    [node] = bench.plan("finetune", job)

    artifact = bench.run(node, {"dataset": bench.boxes()})

    assert list(artifact.manifest.facts["phases"]) == ["probe", "full"]
    assert "features" not in node.inputs
    assert bench.problems("finetune", job) == ""


def test_head_alone_leaves_the_rest_of_a_detector_as_it_was(bench: Any) -> None:
    recipe = detector_weights(bench)
    options = {**SHORT, "strategy": "linear-probe", "probe_epochs": 1}
    [node] = bench.plan("finetune", bench.job({"finetune": options}, **recipe))

    artifact = bench.run(node, {"dataset": bench.boxes()})

    before = load_file(bench.root / "detector.safetensors")
    after = load_model(artifact.folder)[1].state_dict()
    changed = {
        name
        for name, value in before.items()
        if value.shape == after[name].shape and not torch.equal(value, after[name])
    }
    assert changed
    assert all(name.startswith("head.") for name in changed)


def test_phases_and_the_version_of_the_strategy_are_in_the_key(
    bench: Any, weights: Callable[..., Path]
) -> None:
    weights()
    settings = settings_of(bench, {"epochs": 7, "probe_lr": 0.5}, teacher=pretrained())

    dump = settings.model_dump(mode="json")

    assert dump["strategy"] == "probe-then-full"
    probe, full = dump["phases"]
    assert (probe["name"], probe["learns"], probe["cached_features"]) == (
        "probe",
        [{"module": "classifier.3", "rate": 1.0}],
        True,
    )
    assert (full["name"], full["learns"], full["revert_if_worse"]) == (
        "full",
        [{"module": "", "rate": 1.0}],
        True,
    )
    assert (probe["training"]["lr"], full["training"]["epochs"]) == (0.5, 7)
    # What only this task has is in the key, too.
    assert full["training"]["label_smoothing"] == 0.1
    assert STAGE.plugins(settings, {})["strategy probe-then-full"] == "1"


def test_phases_of_one_name_are_an_error(bench: Any, weights: Callable[..., Path]) -> None:
    weights()
    settings = settings_of(bench, {}, teacher=pretrained())
    probe, _ = settings.phases

    with pytest.raises(ValidationError, match="strategy 'x' has phases with the same name"):
        type(settings)(network=settings.network, strategy="x", phases=(probe, probe), device="cpu")


def test_parts_of_a_network_learn_at_their_own_rates_in_the_phases_of_any_strategy(
    bench: Any,
) -> None:
    [node] = bench.plan("finetune", bench.job({"finetune": FULL}))
    [full] = node.settings.phases
    names = {"stem": "features.0", "head": "classifier"}
    phases = tuple(
        full.model_copy(update={"name": name, "learns": (Part(module=module),)})
        for name, module in names.items()
    )
    settings = node.settings.model_copy(update={"phases": phases})

    artifact = bench.run(dataclasses.replace(node, settings=settings), {"dataset": bench.dataset()})

    assert list(artifact.manifest.facts["phases"]) == ["stem", "head"]
    untrained = FAMILIES.load("mobilenet_v3_small").build(width=0.35, num_classes=2, seed=0)
    after = load_model(artifact.folder)[1].state_dict()
    before = untrained.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert {".".join(name.split(".")[:2]) for name in changed} == {
        "features.0", "classifier.0", "classifier.3"
    }  # fmt: skip
