"""Planning reads the data as a run would, and reports what is wrong with all roles at once."""

from __future__ import annotations

import dataclasses
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetl.config.calibration import Calibration
from edgetl.errors import DataError
from edgetl.facts.dataset import DatasetFacts
from edgetl.stages import Inspection, Job
from edgetl.stages.index import STAGE
from edgetl.store.store import Store
from edgetl.types import Role, Split


def encoded(seed: int, size: tuple[int, int] = (20, 30)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write six images of each of two classes, one larger; some elsewhere, and some unlabelled."""
    for number, label in enumerate(("gear", "nut")):
        for folder, count in (("images", 6), ("there", 2)):
            place = tmp_path / folder / label
            place.mkdir(parents=True)
            for k in range(count):
                seed = 1000 * (folder == "there") + 100 * number + k
                (place / f"{k}.png").write_bytes(encoded(seed))
    (tmp_path / "images/nut/0.png").write_bytes(encoded(7, (40, 60)))
    (tmp_path / "camera").mkdir()
    for k in range(3):
        (tmp_path / f"camera/{k}.png").write_bytes(encoded(2000 + k))
    return tmp_path


def inspect(bench: Any, job: Job) -> Inspection:
    return STAGE.inspect(job, bench.told)


def problems(bench: Any, job: Job) -> dict[str, str]:
    return {each.where: each.what for each in inspect(bench, job).problems}


def roles(bench: Any, **data: Any) -> Job:
    job: Job = bench.job(
        data={"path": "images", **data},
        evaluation={"path": "there"},
        unlabelled={"path": "camera"},
    )
    return job


def test_good_data_have_an_overview_of_every_role(bench: Any, root: Path) -> None:
    (root / "images" / "notes.txt").write_text("hello")
    inspection = inspect(bench, roles(bench))
    assert inspection.problems == ()
    data, evaluation, unlabelled = inspection.overviews
    assert data.facts.counts == {
        Split.TRAIN: {"gear": 4, "nut": 4},
        Split.VAL: {"gear": 1, "nut": 1},
        Split.TEST: {"gear": 1, "nut": 1},
    }
    assert data.sizes is not None
    assert data.sizes.common == ((30, 20, 11), (60, 40, 1))
    assert data.notes == ("1 file that is not an image: notes.txt",)
    assert (evaluation.facts.role, evaluation.facts.images[Split.TEST]) == (Role.EVALUATION, 4)
    assert (unlabelled.facts.role, unlabelled.facts.images[Split.TRAIN]) == (Role.UNLABELLED, 3)


def test_overview_has_the_facts_of_a_run(bench: Any, root: Path) -> None:
    assert root.is_dir()
    job = roles(bench)
    node = STAGE.plan(job, {})[0]
    facts = bench.run(node, {}).read(DatasetFacts)
    assert inspect(bench, job).overviews[0].facts == facts


def test_every_problem_of_every_role_is_reported_at_once(bench: Any, root: Path) -> None:
    """Of `data` its content, too: it needs no other finding to be looked at."""
    (root / "images/gear/torn.png").write_bytes(encoded(300)[:-900])
    (root / "images/gear/pointer.png").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    )
    shutil.copy(root / "images/gear/1.png", root / "images/nut/copy.png")
    (root / "images/bolt").mkdir()
    shutil.rmtree(root / "there/nut")
    (root / "camera/0.png").write_text("no image")
    found = problems(bench, roles(bench))
    assert found.keys() == {"data.path", "evaluation.path", "unlabelled.path"}
    for part in (
        "2 x unreadable image",
        "'gear/torn.png': damaged or truncated",
        "'gear/pointer.png': a Git LFS pointer",
        "gear/1.png = nut/copy.png",
        "1 x class without images:\n    bolt",
        "drop them with `data: {drop: [duplicates, empty-classes, unreadable]}`",
    ):
        assert part in found["data.path"]
    assert "1 x class, but at least two are needed" in found["evaluation.path"]
    assert "'0.png': not an image" in found["unlabelled.path"]


def test_images_that_two_roles_have_are_found(bench: Any, root: Path) -> None:
    shutil.copy(root / "images/nut/1.png", root / "camera/same.png")
    found = problems(bench, roles(bench))
    assert found.keys() == {"unlabelled.path"}
    assert "1 of the 4 images of `unlabelled` is also in other roles" in found["unlabelled.path"]


def test_data_that_a_run_refuses_are_refused_with_the_same_words(bench: Any, root: Path) -> None:
    shutil.copy(root / "images/gear/1.png", root / "images/nut/copy.png")
    job = roles(bench)
    assert list(STAGE.check(job)) == []  # by names nothing is wrong
    with pytest.raises(DataError, match="different labels") as caught:
        bench.run(STAGE.plan(job, {})[0], {})
    assert problems(bench, job)["data.path"] == str(caught.value)


def test_missing_folder_of_one_role_does_not_hide_the_others(bench: Any, root: Path) -> None:
    shutil.rmtree(root / "there")
    shutil.copy(root / "images/gear/1.png", root / "images/nut/copy.png")
    found = problems(bench, roles(bench))
    assert found.keys() == {"data.path", "evaluation.path"}
    assert "does not exist" in found["evaluation.path"]
    assert "set `evaluation: {path: ...}`" in found["evaluation.path"]


def test_calibration_counts_what_is_left_after_dropping(bench: Any, root: Path) -> None:
    shutil.copy(root / "images/gear/1.png", root / "images/nut/copy.png")
    wanted = Calibration(name="nine", split="train", count=9, sampling="random")
    job = dataclasses.replace(roles(bench, drop=["duplicates"]), calibration=wanted)
    assert list(STAGE.check(job)) == []  # by names there are 4 gears and 5 nuts to train on
    found = problems(bench, job)
    assert found == {"calibration": "'nine' needs 9 images of the train split, which has 7"}


def write_boxes(root: Path, side: float) -> None:
    for k in range(12):
        (root / "images").mkdir(exist_ok=True)
        (root / f"images/{k}.png").write_bytes(encoded(k))
        (root / f"images/{k}.txt").write_text(f"0 .5 .5 {side} {side}\n")
    (root / "images/classes.txt").write_text("nut\n")


def detection(bench: Any, **fields: Any) -> Job:
    teacher = {"family": "yolox_nano", "weights": "none"}
    job: Job = bench.job(task="detection", data={"path": "images"}, teacher=teacher, **fields)
    return job


@pytest.mark.parametrize(("side", "places"), [(0.5, []), (0.05, ["input"])])
def test_input_at_which_no_box_is_seen_is_found(
    bench: Any, tmp_path: Path, side: float, places: list[str]
) -> None:
    write_boxes(tmp_path, side)
    inspection = inspect(bench, detection(bench))
    assert [each.where for each in inspection.problems] == places
    for problem in inspection.problems:
        assert "none of the 8 boxes to train on is seen at input 32" in problem.what
        assert "raise `input.size`" in problem.what


def test_image_of_another_size_than_its_labels_say_is_found(bench: Any, tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / "images" / folder).mkdir(parents=True)
    for k in range(6):
        (tmp_path / f"images/images/{k}.png").write_bytes(encoded(k))
        (tmp_path / f"images/labels/{k}.xml").write_text(
            f"<annotation><size><width>{30 if k else 77}</width><height>20</height></size><object>"
            "<name>nut</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>13</xmax><ymax>14</ymax>"
            "</bndbox></object></annotation>"
        )
    job = detection(bench)
    assert list(STAGE.check(job)) == []
    assert "1 x image of another size than its labels say" in problems(bench, job)["data.path"]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return how often images were decoded."""
    from edgetl.data.image_sets import StoredImages

    names: list[str] = []
    check = StoredImages.check

    def counting(images: StoredImages, name: str) -> tuple[int, int]:
        names.append(name)
        return check(images, name)

    monkeypatch.setattr(StoredImages, "check", counting)
    return lambda: len(names)


def test_data_that_passed_are_read_only_once(
    bench: Any, root: Path, counted: Callable[[], int]
) -> None:
    store = Store(root / "store")
    job = dataclasses.replace(roles(bench), recall=store.recall)
    first = inspect(bench, job)
    read = counted()
    assert read == 12 + 4 + 3
    assert inspect(bench, job) == first
    assert counted() == read
    (root / "images/gear/new.png").write_bytes(encoded(99))
    assert inspect(bench, job).overviews[0].facts.images[Split.TRAIN] == 9
    assert counted() == read + 13 + 4 + 3


def test_data_that_failed_are_read_again(
    bench: Any, root: Path, counted: Callable[[], int]
) -> None:
    (root / "images/gear/torn.png").write_bytes(encoded(300)[:-900])
    job = dataclasses.replace(roles(bench), recall=Store(root / "store").recall)
    assert problems(bench, job).keys() == {"data.path"}
    read = counted()
    assert problems(bench, job).keys() == {"data.path"}
    assert counted() == 2 * read


def test_unknown_layout_is_left_to_the_check(bench: Any, root: Path) -> None:
    assert root.is_dir()
    assert inspect(bench, roles(bench, layout="foldr")) == Inspection(())
