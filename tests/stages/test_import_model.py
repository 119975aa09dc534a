"""A model that edgetl saved begins a chain in place of a training."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgetl.config.candidate import ModelFile
from edgetl.config.recipe import InputTable
from edgetl.config.refinement import Refinement
from edgetl.config.target import Target
from edgetl.data.dataset import Dataset
from edgetl.errors import DataError
from edgetl.facts.dataset import DataOverview, DatasetFacts
from edgetl.facts.training import AdaptationFacts, ImportFacts
from edgetl.hashing import digest_file
from edgetl.models import (
    FAMILIES,
    MODEL_FILE,
    SPEC_FILE,
    deployable,
    load_model,
    save_model,
)
from edgetl.stages import STAGES, Job, Node, Refining
from edgetl.stages._views import model_view
from edgetl.stages.view import Settings as ViewSettings
from edgetl.types import Precision, Role, Split

STAGE = STAGES.load("import_model")
ADAPT = STAGES.load("adapt")
TARGET = Target(
    name="host",
    description="a board",
    device=None,
    threads=1,
    candidates={"onnx": (Precision.FP32, Precision.INT8)},
)


@pytest.fixture
def saved(bench: Any, untrained: Callable[..., Path], tmp_path: Path) -> Path:
    """Return the folder of a model of bright and dark squares, as a training leaves it."""
    return untrained(
        tmp_path / "saved", bench.dataset().folder, "mobilenet_v3_small", width=0.25, seed=0
    )


def job(bench: Any, path: str = "saved", **fields: Any) -> Job:
    """Return the job of a recipe without an input, whose model lies in `path`."""
    model = {"teacher": None, "model": {"path": path}, "input": {}}
    made: Job = bench.job(**{**model, **fields})
    return made


def planned(bench: Any, **fields: Any) -> Node:
    (node,) = bench.plan("import_model", job(bench, **fields))
    assert isinstance(node, Node)
    return node


def change(folder: Path, **fields: object) -> None:
    """Write other fields into the spec in `folder`."""
    path = folder / SPEC_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_node_depends_on_the_content_of_the_files_and_not_on_where_they_are(
    bench: Any, saved: Path
) -> None:
    node = planned(bench)
    assert (node.label, node.key) == ("import model", "model")
    assert node.settings.model_dump() == {
        "files": {name: digest_file(saved / name) for name in (SPEC_FILE, MODEL_FILE)}
    }
    shutil.copytree(saved, saved.parent / "elsewhere" / "copy")
    assert planned(bench, path="elsewhere/copy").settings.model_dump() == node.settings.model_dump()
    assert planned(bench, path=str(saved)).settings.model_dump() == node.settings.model_dump()


def test_images_are_seen_as_the_model_was_trained_on_them(bench: Any, saved: Path) -> None:
    change(saved, input={"size": 48, "fit": "letterbox", "filter": "area", "pad": 7})
    index = STAGES.load("index").plan(job(bench, data={"synthetic": {}}), {})
    [view] = STAGES.load("view").plan(job(bench), {"dataset": index})
    assert isinstance(view.settings, ViewSettings)
    expected = InputTable(size=48, fit="letterbox", filter="area", pad=7)
    assert view.settings.input == expected
    assert STAGE.plan(job(bench), {"view": [view]})[0].inputs == {"dataset": view}


def test_model_is_copied_as_it_is_and_predicts_val_and_test(bench: Any, saved: Path) -> None:
    dataset = bench.dataset()

    artifact = bench.run(planned(bench), {"dataset": dataset})

    for name in (SPEC_FILE, MODEL_FILE):
        assert artifact.file(name).read_bytes() == (saved / name).read_bytes()
    facts = artifact.read(ImportFacts)
    spec, module = load_model(saved)
    assert (facts.model, facts.family, facts.width) == ("model", "mobilenet_v3_small", 0.25)
    assert facts.parameters == sum(each.numel() for each in module.parameters())
    assert facts.edits == 0
    images = Dataset.open(dataset.folder)
    with np.load(artifact.file("predictions.npz")) as predictions:
        for split, score in ((Split.VAL, facts.val), (Split.TEST, facts.test)):
            pixels = torch.from_numpy(images.images(split).copy()).float()
            with torch.inference_mode():
                logits = deployable(spec, module)(pixels).numpy()
            np.testing.assert_array_equal(predictions[f"{split.value}_logits"], logits)
            right = np.mean(logits.argmax(axis=1) == images.labels(split))
            assert score is not None
            assert score.value == pytest.approx(right, abs=1e-6)
    assert STAGE.summarise(artifact).startswith("mobilenet_v3_small x0.25  top-1 ")


def test_detector_keeps_the_boxes_that_its_score_threshold_is_chosen_by(
    bench: Any, untrained: Callable[..., Path], tmp_path: Path
) -> None:
    dataset = bench.boxes()
    folder = untrained(tmp_path / "saved", dataset.folder, "yolox_nano", width=0.25, seed=0)

    artifact = bench.run(planned(bench, task="detection"), {"dataset": dataset})

    facts = artifact.read(ImportFacts)
    assert facts.val is not None
    assert (facts.family, facts.val.metric, facts.val.images) == ("yolox_nano", "map", 8)
    with (
        np.load(artifact.file("predictions.npz")) as predictions,
        np.load(folder / "predictions.npz") as trained,
    ):
        assert set(predictions) == set(trained)
        for name in predictions:
            np.testing.assert_array_equal(predictions[name], trained[name])


def test_every_stage_after_the_chain_takes_the_model_as_its_own(bench: Any, saved: Path) -> None:
    assert saved.is_dir()
    wanted = dataclasses.replace(job(bench), targets=(TARGET,))
    (model,) = bench.plan("import_model", wanted)
    made: dict[str, list[Node]] = {"view": [*model.inputs.values()], "model": [model]}
    for stage, kind in (("export", "float"), ("quantize", "quantized"), ("verify", "verification")):
        made[kind] = bench.plan(stage, wanted, **made)
        assert {node.inputs["dataset"] for node in made[kind]} == {model.inputs["dataset"]}
    fp32, int8 = (ModelFile("model", "onnx", each) for each in (Precision.FP32, Precision.INT8))
    assert [node.key for node in made["verification"]] == [fp32, int8]
    # Nothing taught it, so it is compared with itself alone.
    assert {name for node in made["verification"] for name in node.inputs} == {
        "dataset", "model", "float", "candidate"
    }  # fmt: skip
    (package,) = bench.plan("package", wanted, **made)
    assert {name for name in package.inputs if "/" not in name} == {"dataset", "model"}
    assert package.settings.model_dump()["model"] == "model"
    for stage in ("finetune", "features", "distill", "teacher_outputs", "compare"):
        assert bench.plan(stage, wanted, student=[]) == []


def test_model_is_refined_like_any_other(bench: Any, saved: Path) -> None:
    unlabelled = {"path": "there"}
    entry = Refinement("adapt", ADAPT.options(), "model.refine.0.adapt")
    refined = dataclasses.replace(
        job(bench, unlabelled=unlabelled), refinements={"model": (entry,)}
    )
    (root,) = bench.plan("import_model", refined)
    (view,) = root.inputs.values()
    there = Node("view", "there", view.settings.model_copy(update={"role": Role.UNLABELLED}))
    made = {"view": [view, there]}
    assert ADAPT.refine is not None
    node = ADAPT.refine(refined, Refining("model", 1, ADAPT.options(), root), made)
    assert (node.label, node.inputs["unlabelled"]) == ("adapt model", there)
    [evaluated] = STAGES.load("evaluate").plan(refined, {**made, "model": [node]})
    assert evaluated.label == "evaluate model"
    assert evaluated.settings.model_dump()["steps"] == ("import_model", "adapt")

    dataset = bench.dataset()
    model = bench.run(root, {"dataset": dataset})
    inputs = {"model": model, "dataset": dataset, "unlabelled": bench.dataset(seed=5)}
    adapted = bench.run(node, inputs)

    assert adapted.read(AdaptationFacts).model == "model"
    assert adapted.file(MODEL_FILE).read_bytes() != (saved / MODEL_FILE).read_bytes()


def _place(bench: Any, told: str) -> str:
    return told.replace(str(bench.root), "ROOT").removeprefix("recipe.yaml: ")


def _as_file(saved: Path) -> None:
    shutil.rmtree(saved)
    saved.write_text("weights")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(
            shutil.rmtree,
            "model.path: there is no folder 'ROOT/saved'; check the path",
            id="no folder",
        ),
        pytest.param(
            _as_file,
            "model.path: 'ROOT/saved' is a file; name the folder that has model.json and "
            "model.safetensors",
            id="file",
        ),
        pytest.param(
            lambda saved: (saved / MODEL_FILE).unlink(),
            "model.path: 'ROOT/saved' has no model.safetensors; name a folder in which edgetl "
            "saved a model, such as that of an artifact, which 'edgetl show RECIPE LABEL' prints",
            id="no weights",
        ),
        pytest.param(
            lambda saved: [path.unlink() for path in saved.iterdir()],
            "model.path: 'ROOT/saved' has no model.json and no model.safetensors; name a folder",
            id="neither",
        ),
        pytest.param(
            lambda saved: (saved / MODEL_FILE).write_text(
                "version https://git-lfs.github.com/spec/v1\n"
            ),
            "model.path: 'ROOT/saved/model.safetensors' is a Git LFS pointer, not the file "
            "itself; run `git lfs pull` in its repository",
            id="pointer",
        ),
        pytest.param(
            lambda saved: (saved / SPEC_FILE).write_text("{"),
            "model.path: ROOT/saved contains no readable model: model.json: Invalid JSON: ",
            id="torn",
        ),
        pytest.param(
            lambda saved: change(saved, schema_version=3),
            "model.path: ROOT/saved contains no readable model: model.json: schema_version: Input "
            "should be 2, not 3; copy the folder again from where edgetl saved it",
            id="schema",
        ),
        pytest.param(
            lambda saved: change(saved, family="acme_net"),
            "model.path: ROOT/saved contains a model that cannot be rebuilt here: unknown model "
            "family 'acme_net'; install the package that provides it; ",
            id="family",
        ),
        pytest.param(
            lambda saved: change(saved, family_version=7),
            "model.path: ROOT/saved contains a model saved with version 7 of family "
            "'mobilenet_v3_small', but version 1 is installed; ",
            id="version",
        ),
        pytest.param(
            lambda saved: change(saved, edits=[{"kind": "widen", "version": 1, "options": {}}]),
            "model.path: ROOT/saved contains a model that cannot be rebuilt here: unknown "
            "structural edit 'widen'; install the package that provides it; ",
            id="edit",
        ),
    ],
)
def test_folder_without_a_usable_model_is_refused(
    bench: Any, saved: Path, spoil: Callable[[Path], object], message: str
) -> None:
    assert bench.problems("import_model", job(bench)) == ""
    spoil(saved)
    assert _place(bench, bench.problems("import_model", job(bench))).startswith(message)


def test_what_an_unreadable_model_sees_is_no_problem_of_other_stages(
    bench: Any, saved: Path
) -> None:
    (saved / SPEC_FILE).unlink()
    unknown = job(bench, data={"synthetic": {"images": 60}})
    assert bench.problems("index", unknown) == ""
    with pytest.raises(ValueError, match="it is not known what 'model' sees"):
        model_view(unknown, {"view": []}, "model")


def test_model_for_another_task_is_refused(bench: Any, saved: Path) -> None:
    assert saved.is_dir()
    told = bench.problems("import_model", job(bench, task="detection"))
    assert _place(bench, told) == (
        "model.path: the model in 'ROOT/saved' is for classification, the task is detection; name "
        "the folder of another model"
    )


@pytest.mark.parametrize(
    ("stated", "own", "problems"),
    [
        pytest.param({}, {}, [], id="nothing"),
        pytest.param({"size": 32, "fit": "stretch"}, {}, [], id="the same"),
        pytest.param({"pad": 9, "anchor": "top-left"}, {}, [], id="not read when stretched"),
        pytest.param({"size": 64}, {}, ["size: is 64, but `model` was trained with 32"], id="size"),
        pytest.param(
            {"fit": "crop", "filter": "area", "size": 32},
            {},
            [
                "fit: is crop, but `model` was trained with stretch",
                "filter: is area, but `model` was trained with bilinear",
            ],
            id="two fields",
        ),
        pytest.param(
            {"pad": 9},
            {"fit": "letterbox", "pad": 114},
            ["pad: is 9, but `model` was trained with 114"],
            id="pad",
        ),
    ],
)
def test_input_that_is_not_the_models_is_refused(
    bench: Any,
    saved: Path,
    stated: Mapping[str, object],
    own: Mapping[str, object],
    problems: list[str],
) -> None:
    change(saved, input={"size": 32, "fit": "stretch", "pad": 0, **own})
    told = bench.problems("import_model", job(bench, input=stated))
    assert told.splitlines() == [
        f"recipe.yaml: input.{each}; remove it, as a saved model brings its own input"
        for each in problems
    ]


@pytest.mark.parametrize(
    ("stage", "given", "network"),
    [("finetune", {"epochs": 3}, "teacher"), ("distill", {"lr": 1}, "student")],
)
def test_table_of_a_training_is_refused(
    bench: Any, saved: Path, stage: str, given: Mapping[str, object], network: str
) -> None:
    assert saved.is_dir()
    fields = {"teacher": None, "model": {"path": "saved"}}
    assert bench.problems(stage, bench.job({stage: given}, **fields)) == (
        f"recipe.yaml: {stage}: is only read where a `{network}` is trained; remove it, "
        f"or write `{stage}: null`"
    )
    assert bench.problems(stage, bench.job(**fields)) == ""


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        pytest.param(
            ["dark", "bright", "grey"],
            "only the model has 'grey'",
            id="more",
        ),
        pytest.param(
            ["dark", "light"],
            "only the model has 'light'; only the data have 'bright'",
            id="other",
        ),
        pytest.param(
            ["bright", "dark"],
            "the model has 'bright', 'dark', the data have 'dark', 'bright'",
            id="order",
        ),
        pytest.param(
            ["dark", "bright", *"abcdefg"],
            "only the model has 'a', 'b', 'c', 'd', 'e' and 2 more",
            id="many",
        ),
    ],
)
def test_model_of_other_classes_is_refused(
    bench: Any, saved: Path, classes: list[str], message: str
) -> None:
    spec, module = load_model(saved)
    if len(classes) != len(spec.classes):
        family = FAMILIES.load(spec.family)
        module = family.build(width=spec.width, num_classes=len(classes), seed=0)
    save_model(saved, spec.model_copy(update={"classes": tuple(classes)}), module)
    with pytest.raises(DataError, match="are not those of the data") as caught:
        bench.run(planned(bench), {"dataset": bench.dataset()})
    assert _place(bench, str(caught.value)) == (
        "the classes of the model in 'ROOT/saved' are not those of the data, in their order: "
        f"{message}\n  set `model.path` to a model of these classes, or `data` to images of the "
        "model's"
    )


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        pytest.param(["dark", "bright"], "", id="the same"),
        pytest.param(["dark", "light"], "only the model has 'bright'; only the data have 'light'",
                     id="others"),
    ],
)  # fmt: skip
def test_plan_compares_the_classes_of_the_model_with_those_of_the_images(
    bench: Any, saved: Path, shown: list[str], message: str
) -> None:
    assert saved.is_dir()
    counts = dict.fromkeys(Split, 4)
    facts = DatasetFacts(
        role=Role.DATA, task="classification", classes=tuple(shown), images=counts, dropped={},
        duplicates=0, other_files=0,
    )  # fmt: skip
    read = dataclasses.replace(job(bench), overviews=(DataOverview(facts=facts, sizes=None),))
    problems = STAGE.inspect(read, bench.told).problems
    assert [problem.where for problem in problems] == (["model.path"] if message else [])
    assert all(message in problem.what for problem in problems)
    assert STAGE.inspect(job(bench), bench.told).problems == ()


def test_torn_weights_are_refused(bench: Any, saved: Path) -> None:
    weights = saved / MODEL_FILE
    weights.write_bytes(weights.read_bytes()[:-100])
    message = r"contains no readable model: .*\n  copy the folder again from where edgetl saved"
    with pytest.raises(DataError, match=message):
        bench.run(planned(bench), {"dataset": bench.dataset()})


def test_file_that_changes_after_planning_is_refused(bench: Any, saved: Path) -> None:
    node = planned(bench)
    change(saved, mean=[0.5, 0.5, 0.5])
    with pytest.raises(
        DataError, match=r"model\.json' changed after the run was planned\n  run again"
    ):
        bench.run(node, {"dataset": bench.dataset()})


def test_key_names_task_and_family_of_the_model(bench: Any, saved: Path) -> None:
    assert saved.is_dir()
    assert STAGE.plugins(planned(bench).settings, {}) == {
        "task classification": "1",
        "model family mobilenet_v3_small": "1",
    }
