"""A model is adapted to unlabelled images, and what that brings is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from edgetl.config.recipe import InputTable
from edgetl.config.refinement import Refinement
from edgetl.data.dataset import Dataset
from edgetl.errors import DataError
from edgetl.facts.dataset import DataOverview, DatasetFacts
from edgetl.facts.training import AdaptationFacts, ChainFacts
from edgetl.models import load_model
from edgetl.nn.layers import RawPixels
from edgetl.stages import STAGES, Job, Node, Refining
from edgetl.stages.adapt import _batches
from edgetl.stages.view import Settings as ViewSettings
from edgetl.store.store import Artifact, Request, Store
from edgetl.types import Role, Split

STAGE = STAGES.load("adapt")
UNLABELLED = {"path": "there"}


def _view(job: Job, role: Role) -> Node:
    image_input = job.recipe.input
    settings = ViewSettings(
        role=role,
        input=image_input,
        task="classification",
        path=None,
        synthetic=None,
        exclude=(),
    )
    return Node("view", f"view {role}", settings)


def _job(bench: Any, **fields: Any) -> Job:
    job: Job = bench.job(input={"size": 32, "fit": "stretch", "pad": 0}, **fields)
    entry = Refinement("adapt", STAGE.options(), "teacher.refine.0.adapt")
    return dataclasses.replace(job, refinements={"teacher": (entry,)})


def _step(job: Job) -> tuple[Node, Node]:
    """Return the root of the teacher and the step that adapts it."""
    root = Node("finetune", "finetune", InputTable(), key="teacher")
    made = {"view": [_view(job, Role.DATA), _view(job, Role.UNLABELLED)]}
    assert STAGE.refine is not None
    return root, STAGE.refine(job, Refining("teacher", 1, STAGE.options(), root), made)


def _teacher(bench: Any, untrained: Callable[..., Path], dataset: Artifact) -> Artifact:
    store = Store(bench.root / "store")
    request = Request("finetune", 1, {}, {}, {})
    out, _, _ = store.folders(request)
    out.rmdir()
    untrained(out, dataset.folder, "mobilenet_v3_small", width=0.35, seed=0)
    return store.commit(request, kind="teacher", label="finetune", facts={}, seconds=0.0)


def test_statistics_become_those_of_the_unlabelled_images(
    bench: Any, untrained: Callable[..., Path]
) -> None:
    job = _job(bench, unlabelled=UNLABELLED)
    _, node = _step(job)
    dataset, unlabelled = bench.dataset(), bench.dataset(seed=5)
    teacher = _teacher(bench, untrained, dataset)

    artifact = bench.run(node, {"model": teacher, "dataset": dataset, "unlabelled": unlabelled})

    facts = artifact.read(AdaptationFacts)
    assert (facts.model, facts.images, facts.method) == ("teacher", 24, "bn-statistics")
    spec, adapted = load_model(artifact.folder)
    _, before = load_model(teacher.folder)
    first = next(name for name in adapted.state_dict() if name.endswith("running_mean"))
    images = Dataset.open(unlabelled.folder).images(Split.TRAIN)
    normalise = RawPixels(torch.nn.Identity(), spec.mean, spec.std)
    pixels = normalise(torch.from_numpy(np.array(images)).float())
    stem = adapted.get_submodule(first.rpartition(".")[0].rpartition(".")[0] + ".0")
    expected = stem(pixels).mean(dim=(0, 2, 3))
    torch.testing.assert_close(adapted.state_dict()[first], expected, atol=1e-5, rtol=1e-4)
    for name, value in adapted.state_dict().items():
        if "running" not in name:
            torch.testing.assert_close(value, before.state_dict()[name], atol=0, rtol=0)
    assert (artifact.folder / "predictions.npz").is_file()
    assert STAGE.summarise(artifact).startswith(f"{facts.norms} batch norms adapted to 24 ")


def test_batches_mix_images_that_are_neighbours_by_name() -> None:
    """Of 64 black and then 64 white images, each of two batches has both."""
    images = np.repeat(np.array([0, 255], np.uint8), 64)[:, None, None, None]
    pixels = np.tile(images, (1, 2, 2, 3))
    dataset: Any = SimpleNamespace(images=lambda _: pixels, release=lambda: None)
    spec: Any = SimpleNamespace(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    def means(seed: int) -> list[list[float]]:
        batches = _batches(spec, dataset, torch.device("cpu"), seed)
        return [batch.mean(dim=(1, 2, 3)).tolist() for batch in batches]

    first, second = means(0)
    assert len(first) == len(second) == 64
    assert {*first} == {*second} == {0.0, 1.0}
    assert sorted(first + second) == [0.0] * 64 + [1.0] * 64
    assert means(0) == [first, second]
    assert means(1) != [first, second]


def test_recipe_without_unlabelled_images_is_refused(bench: Any) -> None:
    assert bench.problems("adapt", _job(bench)) == (
        "recipe.yaml: teacher.refine.0.adapt: needs unlabelled images from where the model will "
        "work; add `unlabelled: {path: FOLDER}` to the recipe"
    )
    assert bench.problems("adapt", _job(bench, unlabelled=UNLABELLED)) == ""


def test_one_image_has_no_statistics(bench: Any, untrained: Callable[..., Path]) -> None:
    _, node = _step(_job(bench, unlabelled=UNLABELLED))
    dataset = bench.dataset()
    one = bench.dataset({Split.TRAIN: 1, Split.VAL: 0, Split.TEST: 0})
    inputs = {
        "model": _teacher(bench, untrained, dataset), "dataset": dataset, "unlabelled": one,
    }  # fmt: skip
    with pytest.raises(DataError, match="`unlabelled` has 1 image, but statistics need at least 2"):
        bench.run(node, inputs)
    # A run asks before the teacher is trained, when only the images are there.
    with pytest.raises(DataError, match="`unlabelled` has 1 image, but statistics need at least 2"):
        STAGE.foresee(node.settings, {"unlabelled": one})
    STAGE.foresee(node.settings, {"unlabelled": dataset})
    STAGE.foresee(node.settings, {"dataset": dataset})


@pytest.mark.parametrize(("num_images", "places"), [(1, ["unlabelled.path"]), (2, [])])
def test_plan_counts_the_unlabelled_images(bench: Any, num_images: int, places: list[str]) -> None:
    facts = DatasetFacts(
        role=Role.UNLABELLED, task="classification", classes=(), dropped={}, duplicates=0,
        images={Split.TRAIN: num_images, Split.VAL: 0, Split.TEST: 0}, other_files=0,
    )  # fmt: skip
    overviews = (DataOverview(facts=facts, sizes=None),)
    adapted = dataclasses.replace(_job(bench, unlabelled=UNLABELLED), overviews=overviews)
    problems = STAGE.inspect(adapted, bench.told).problems
    assert [problem.where for problem in problems] == places
    for problem in problems:
        assert "`unlabelled` has 1 image, but statistics need at least 2" in problem.what
    without = dataclasses.replace(adapted, refinements={})
    assert STAGE.inspect(without, bench.told).problems == ()


def _evaluated(job: Job) -> list[Node]:
    _, node = _step(job)
    views = [_view(job, role) for role in (Role.DATA, Role.UNLABELLED, Role.EVALUATION)]
    return list(STAGES.load("evaluate").plan(job, {"view": views, "model": [node]}))


@pytest.mark.parametrize(
    ("fields", "role", "transductive"),
    [
        pytest.param({}, Role.DATA, (False, False), id="test split"),
        pytest.param(
            {"evaluation": {"path": "e"}}, Role.EVALUATION, (False, False), id="evaluation"
        ),
        pytest.param(
            {"evaluation": {"path": "e"}, "unlabelled": {"path": "there", "transductive": True}},
            Role.EVALUATION,
            (False, True),
            id="transductive",
        ),
    ],
)
def test_chain_is_measured_where_the_model_will_work(
    bench: Any, fields: dict[str, Any], role: Role, transductive: tuple[bool, ...]
) -> None:
    job = _job(bench, **{"unlabelled": UNLABELLED, **fields})
    [node] = _evaluated(job)
    assert node.label == "evaluate teacher"
    settings = node.settings.model_dump()
    assert (settings["role"], settings["transductive"]) == (role, transductive)
    assert settings["steps"] == ("finetune", "adapt")
    assert node.inputs["dataset"].label == f"view {role}"
    assert node.inputs["model 1"].inputs["model"] is node.inputs["model 0"]


def test_student_of_a_teacher_that_adapted_is_transductive_as_well(bench: Any) -> None:
    fields = {"evaluation": {"path": "e"}, "unlabelled": {"path": "there", "transductive": True}}
    job = _job(bench, student={"family": "mobilenet_v2"}, **fields)
    root, adapted = _step(job)
    views = [_view(job, role) for role in (Role.DATA, Role.UNLABELLED, Role.EVALUATION)]
    student, apart = (
        Node("distill", "distill", InputTable(), {"teacher": teacher}, key="student")
        for teacher in (adapted, root)
    )
    marks = []
    for each in (student, apart):
        made = {"view": views, "model": [root, each]}
        _, node = STAGES.load("evaluate").plan(job, made)
        marks.append(node.settings.model_dump()["transductive"])
    assert marks == [(True,), (False,)]


def test_recipe_without_refinement_and_evaluation_measures_nothing_more(bench: Any) -> None:
    job = dataclasses.replace(_job(bench), refinements={})
    root = Node("finetune", "finetune", InputTable(), key="teacher")
    made = {"view": [_view(job, Role.DATA)], "model": [root]}
    assert list(STAGES.load("evaluate").plan(job, made)) == []


def test_gain_is_that_of_each_step_over_the_one_before(
    bench: Any, untrained: Callable[..., Path]
) -> None:
    job = _job(bench, unlabelled=UNLABELLED)
    [node] = _evaluated(job)
    dataset = bench.dataset()
    teacher = _teacher(bench, untrained, dataset)

    artifact = bench.run(node, {"dataset": dataset, "model 0": teacher, "model 1": teacher})

    facts = artifact.read(ChainFacts)
    first, second = facts.steps
    assert (first.stage, first.gain, second.stage) == ("finetune", None, "adapt")
    # The same model twice: no image is predicted differently.
    assert first.score == second.score
    assert second.gain is not None
    assert (second.gain.pp, facts.images) == (0.0, 8)
    summary = STAGES.load("evaluate").summarise(artifact)
    assert summary.startswith(f"top-1 {first.score.value:.3f} [")
    assert " on 8 images; adapt " in summary
    assert ", gain +0.0 pp [" in summary
    assert "transductive" not in summary


def test_transductive_figure_is_marked_as_such(bench: Any, untrained: Callable[..., Path]) -> None:
    fields = {"evaluation": {"path": "e"}, "unlabelled": {"path": "there", "transductive": True}}
    [node] = _evaluated(_job(bench, **fields))
    dataset = bench.dataset()
    teacher = _teacher(bench, untrained, dataset)
    artifact = bench.run(node, {"dataset": dataset, "model 0": teacher, "model 1": teacher})
    facts = artifact.read(ChainFacts)
    assert [step.transductive for step in facts.steps] == [False, True]
    summary = STAGES.load("evaluate").summarise(artifact)
    assert summary.endswith("; transductive: adapted to images that are measured on")
