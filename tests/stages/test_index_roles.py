"""Datasets of three roles: no image has two, and an evaluation has the classes of the data."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetl.data.dataset import Dataset, DatasetIndex
from edgetl.errors import DataError
from edgetl.stages import Job
from edgetl.stages._views import view_node
from edgetl.stages.index import STAGE
from edgetl.stages.view import STAGE as VIEW
from edgetl.store.store import Artifact
from edgetl.types import Role, Split


def encoded(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """Write ten images per class, two of each elsewhere, and four without labels from there."""
    for number, label in enumerate(("gear", "nut")):
        for root, count in (("images", 10), ("there", 2)):
            folder = tmp_path / root / label
            folder.mkdir(parents=True)
            for k in range(count):
                (folder / f"{k}.png").write_bytes(
                    encoded(1000 * (root == "there") + 100 * number + k)
                )
    (tmp_path / "camera/day").mkdir(parents=True)
    for k in range(4):
        (tmp_path / f"camera/day/{k}.png").write_bytes(encoded(2000 + k))
    return tmp_path


def job_of(bench: Any, **tables: dict[str, Any]) -> Job:
    job: Job = bench.job(data={"path": "images"}, **tables)
    return job


def index_all(bench: Any, job: Job, name: str = "") -> dict[str, Artifact]:
    """Run all nodes of the index stage; return what they made by label. `name` tells runs apart."""
    made: dict[str, Artifact] = {}
    for node in STAGE.plan(job, {}):
        inputs = {each: made[source.label] for each, source in node.inputs.items()}
        made[node.label] = bench.run(node, inputs, name)
    return made


BOTH: dict[str, dict[str, Any]] = {
    "evaluation": {"path": "there"},
    "unlabelled": {"path": "camera"},
}


def test_absent_tables_add_no_node(bench: Any, roots: Path) -> None:
    assert roots.is_dir()
    assert [node.label for node in STAGE.plan(job_of(bench), {})] == ["index"]


def test_each_role_has_an_index_and_a_view_of_its_own(bench: Any, roots: Path) -> None:
    job = job_of(bench, **BOTH)
    assert roots.is_dir()
    indexes = STAGE.plan(job, {})
    assert [node.label for node in indexes] == ["index", "index evaluation", "index unlabelled"]
    views = VIEW.plan(job, {"dataset": indexes})
    assert [node.label for node in views] == ["view", "view evaluation", "view unlabelled"]
    made = index_all(bench, job)
    opened = {}
    for view in views:
        artifact = bench.run(view, {"index": made[view.inputs["index"].label]})
        opened[view.label] = Dataset.open(artifact.folder)
    there, camera = opened["view evaluation"], opened["view unlabelled"]
    assert (there.role, there.classes) == (Role.EVALUATION, ("gear", "nut"))
    # All of it is measured on, whatever its folders say, and none is trained on.
    assert [len(there.names(split)) for split in Split] == [0, 0, 4]
    assert there.labels(Split.TEST).tolist() == [0, 0, 1, 1]
    assert (camera.role, camera.classes) == (Role.UNLABELLED, ("gear", "nut"))
    assert camera.names(Split.TRAIN) == tuple(f"day/{k}.png" for k in range(4))
    assert len(camera.images(Split.TRAIN)) == 4
    # No class: beyond all of them.
    assert camera.labels(Split.TRAIN).tolist() == [2] * 4
    facts = made["index unlabelled"].manifest.facts
    assert (facts["transductive"], facts["shared_with_evaluation"]) == (False, 0)
    assert STAGE.summary(STAGE.facts.model_validate(facts)) == "4 images without labels"
    image_input = job.recipe.input.model_copy()
    assert view_node({"view": views}, image_input, role=Role.UNLABELLED) is views[2]


def test_unlabelled_boxes_cannot_be_read(bench: Any, roots: Path) -> None:
    made = index_all(bench, job_of(bench, **BOTH))
    index = DatasetIndex.read(made["index unlabelled"].folder)
    with pytest.raises(ValueError, match="with role unlabelled has no boxes"):
        index.truths(Split.TRAIN)
    assert roots.is_dir()


def test_unlabelled_images_that_are_tested_or_measured_on_are_refused(
    bench: Any, roots: Path
) -> None:
    job = job_of(bench, **BOTH)
    index = DatasetIndex.read(index_all(bench, job)["index"].folder)
    tested = index.items[Split.TEST][0].name
    shutil.copy(roots / "images" / tested, roots / "camera/a.png")
    shutil.copy(roots / "there/nut/0.png", roots / "camera/b.png")
    with pytest.raises(DataError, match="6 images of `unlabelled` are also in other") as caught:
        index_all(bench, job_of(bench, **BOTH), "again")
    assert caught.value.message == (
        "2 of the 6 images of `unlabelled` are also in other roles, 1 in the test split of `data` "
        f"and 1 in `evaluation`: 'a.png' = '{tested}', 'b.png' = 'nut/0.png'"
    )
    assert caught.value.remedy == (
        "move them, or drop them with `unlabelled: {drop: [duplicates]}` or "
        "`unlabelled: {exclude: [...]}`; to adapt to the evaluation images "
        "themselves, which is then noted next to every figure, set "
        "`unlabelled: {transductive: true}`"
    )
    assert caught.value.exit_code == 3


def test_transductive_allows_the_evaluation_but_never_the_test_of_the_data(
    bench: Any, roots: Path
) -> None:
    tables = {**BOTH, "unlabelled": {"path": "camera", "transductive": True}}
    shutil.copy(roots / "there/nut/0.png", roots / "camera/b.png")
    made = index_all(bench, job_of(bench, **tables))
    facts = made["index unlabelled"].manifest.facts
    assert (facts["transductive"], facts["shared_with_evaluation"]) == (True, 1)
    assert STAGE.summary(STAGE.facts.model_validate(facts)) == (
        "5 images without labels; transductive, 1 are also measured on"
    )
    tested = DatasetIndex.read(made["index"].folder).items[Split.TEST][0].name
    shutil.copy(roots / "images" / tested, roots / "camera/a.png")
    with pytest.raises(DataError, match="6 images of `unlabelled` is also in other") as caught:
        index_all(bench, job_of(bench, **tables), "again")
    assert "transductive" not in caught.value.remedy


def test_shared_images_are_left_out_on_request(bench: Any, roots: Path) -> None:
    shutil.copy(roots / "there/nut/0.png", roots / "camera/b.png")
    shutil.copy(roots / "images/nut/0.png", roots / "there/nut/c.png")
    tables = {
        "evaluation": {"path": "there", "drop": ["duplicates"]},
        "unlabelled": {"path": "camera", "drop": ["duplicates"]},
    }
    made = index_all(bench, job_of(bench, **tables))
    assert made["index evaluation"].manifest.facts["dropped"] == {"duplicates": ["nut/c.png"]}
    assert made["index evaluation"].manifest.facts["images"]["test"] == 4
    assert made["index unlabelled"].manifest.facts["dropped"] == {"duplicates": ["b.png"]}
    tables["evaluation"] = {"path": "there"}
    with pytest.raises(DataError, match=r"1 of the 5 images of `evaluation` is also in"):
        index_all(bench, job_of(bench, **tables), "again")


def test_evaluation_with_another_class_is_refused(bench: Any, roots: Path) -> None:
    (roots / "there/nut").rename(roots / "there/bolt")
    with pytest.raises(
        DataError, match=r"`evaluation` shows classes that `data` lacks: bolt; `data` has gear, nut"
    ):
        index_all(bench, job_of(bench, **BOTH))


def test_evaluation_without_a_class_must_say_so(bench: Any, roots: Path) -> None:
    shutil.rmtree(roots / "there/gear")
    tables: dict[str, Any] = {"evaluation": {"path": "there"}}
    with pytest.raises(DataError, match="at least two are needed"):
        index_all(bench, job_of(bench, **tables))
    (roots / "there/bolt").mkdir()
    tables["evaluation"]["accept"] = ["missing-classes"]
    made = index_all(bench, job_of(bench, **tables), "again")
    index = DatasetIndex.read(made["index evaluation"].folder)
    assert index.classes == ("gear", "nut")
    assert [item.label for item in index.items[Split.TEST]] == [1, 1]


def test_unreadable_images_without_labels_are_refused_or_left_out(bench: Any, roots: Path) -> None:
    (roots / "camera/torn.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 x unreadable image:\n.*torn\.png") as caught:
        index_all(bench, job_of(bench, **BOTH))
    assert caught.value.remedy == "drop them with `unlabelled: {drop: [unreadable]}`"
    tables = {**BOTH, "unlabelled": {"path": "camera", "drop": ["unreadable"]}}
    facts = index_all(bench, job_of(bench, **tables), "again")["index unlabelled"].manifest.facts
    assert facts["dropped"] == {"unreadable": ["torn.png"]}


@pytest.mark.parametrize("role", ["evaluation", "unlabelled"])
def test_path_that_is_not_there_names_its_table(bench: Any, roots: Path, role: str) -> None:
    assert roots.is_dir()
    with pytest.raises(DataError, match=rf"{role} path '.*gone' does not exist\n  set `{role}: "):
        STAGE.plan(job_of(bench, **{role: {"path": "gone"}}), {})


@pytest.mark.parametrize("role", ["evaluation", "unlabelled"])
def test_pattern_that_matches_nothing_names_its_table(bench: Any, roots: Path, role: str) -> None:
    assert roots.is_dir()
    tables = {role: {**BOTH[role], "exclude": ["*.bmp"]}}
    with pytest.raises(
        DataError,
        match=rf"^`{role}\.exclude` pattern '\*\.bmp' matches no file\n.*`{role}\.path`",
    ):
        STAGE.plan(job_of(bench, **tables), {})


@pytest.mark.parametrize(
    ("table", "folder"), [("data", "images"), ("evaluation", "there")], ids=["data", "evaluation"]
)
def test_remedy_for_a_layout_names_the_table_of_its_images(
    bench: Any, roots: Path, table: str, folder: str
) -> None:
    (roots / folder / "boxes.json").write_text(
        '{"images": [], "annotations": [], "categories": []}', encoding="utf-8"
    )
    with pytest.raises(DataError, match=rf"{folder}' have labelled boxes \(coco\)") as caught:
        STAGE.plan(job_of(bench, evaluation={"path": "there"}), {})
    assert caught.value.remedy == (
        f"write `task: detection`, or exclude the labels with `{table}: {{exclude: [...]}}`"
    )


@pytest.mark.parametrize("role", ["evaluation", "unlabelled"])
def test_images_gone_since_they_were_indexed_name_their_table(
    bench: Any, roots: Path, role: str
) -> None:
    job = job_of(bench, **BOTH)
    made = index_all(bench, job)
    views = {view.label: view for view in VIEW.plan(job, {"dataset": STAGE.plan(job, {})})}
    shutil.rmtree(roots / str(BOTH[role]["path"]))
    with pytest.raises(DataError, match=rf"^{role} path '.*' does not exist\n  set `{role}: "):
        bench.run(views[f"view {role}"], {"index": made[f"index {role}"]})


def test_folder_without_images_is_refused(bench: Any, roots: Path) -> None:
    shutil.rmtree(roots / "camera/day")
    with pytest.raises(DataError, match=r"no images found in '.*camera'\n  set `unlabelled: "):
        STAGE.plan(job_of(bench, **BOTH), {})


def test_allowances_about_boxes_are_refused_for_classification(bench: Any, roots: Path) -> None:
    assert roots.is_dir()
    tables = {"evaluation": {"path": "there", "accept": ["background", "missing-classes"]}}
    (problem,) = STAGE.check(job_of(bench, **tables))
    assert (problem.where, problem.what) == (
        "evaluation.accept",
        "'background' is about labelled boxes, but the task is classification",
    )
