from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetl.config.calibration import Calibration
from edgetl.config.operating_point import OperatingPointTable
from edgetl.config.recipe import Recipe, models_of
from edgetl.config.target import Target
from edgetl.data.dataset import Dataset
from edgetl.data.synthetic.part_images import make_part_image
from edgetl.errors import DataError
from edgetl.facts.dataset import DatasetFacts
from edgetl.hashing import digest_file, digest_folder
from edgetl.pipeline.job import roots_of
from edgetl.pipeline.planner import all_stages
from edgetl.runtime.image_file import read_image
from edgetl.runtime.preprocess import fit_image
from edgetl.stages import Job, Node, Workspace
from edgetl.stages.index import STAGE
from edgetl.stages.view import STAGE as VIEW
from edgetl.store.manifest import Manifest
from edgetl.store.store import Artifact
from edgetl.types import Facts, Split


class Listener:
    """Keeps what a stage says."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.notes: list[str] = []

    def step(self, done: int, total: int, text: str) -> None:
        del text
        self.steps.append((done, total))

    def note(self, text: str) -> None:
        self.notes.append(text)


def make_job(
    folder: Path,
    data: Mapping[str, object],
    *,
    digest: Callable[[Path], str] = digest_file,
    count: int = 4,
    **image: object,
) -> Job:
    recipe = Recipe.model_validate(
        {
            "name": "parts",
            "task": "classification",
            "data": data,
            "input": {"size": 32, **image},
            "teacher": {"family": "mobilenet_v2"},
        }
    )
    calibration = Calibration(name="few", split="train", count=count, sampling="random")
    return Job(
        recipe=recipe,
        tables={},
        targets=(),
        calibration=calibration,
        folder=folder,
        roots=roots_of(models_of(recipe, {}), all_stages().values()),
        digest=digest,
    )


def plan(job: Job) -> Node:
    (node,) = STAGE.plan(job, {})
    return node


def run(job: Job, work: Path) -> tuple[DatasetFacts, Dataset, Listener]:
    listener = Listener()
    space = Workspace(work / "out", work / "scratch", work / "logs", listener)
    for folder in (space.out, space.scratch, space.logs):
        folder.mkdir(parents=True)
    index = plan(job)
    facts = STAGE.run(index.settings, {}, space)
    (view,) = VIEW.plan(job, {"dataset": [index]})
    (work / "view").mkdir()
    made = shelved(space.out, facts.model_dump(mode="json"))
    VIEW.run(
        view.settings, {"index": made}, Workspace(work / "view", work / "view", work, listener)
    )
    return facts, Dataset.open(work / "view"), listener


def shelved(folder: Path, facts: Facts) -> Artifact:
    manifest = Manifest(
        stage="index",
        version=1,
        kind="dataset",
        label="index",
        settings={},
        inputs={},
        tools={},
        files={},
        facts=facts,
        key="",
        digest="",
        made_at="",
        seconds=0.0,
    )
    return Artifact(folder, manifest)


def key(job: Job) -> dict[str, object]:
    return plan(job).settings.model_dump(mode="json")


def image(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_splits(root: Path, splits: tuple[str, ...] = ("train", "val", "test")) -> Path:
    for number, split in enumerate(splits):
        for label in ("gear", "nut"):
            folder = root / split / label
            folder.mkdir(parents=True)
            for k in range(5):
                (folder / f"{k}.png").write_bytes(image(number * 100 + k + 10 * (label == "nut")))
    return root


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    root = tmp_path / "flat"
    for number, label in enumerate(("bracket", "gear", "nut", "screw", "spring", "washer")):
        (root / label).mkdir(parents=True)
        for k in range(10):
            (root / label / f"{k}.png").write_bytes(image(10 * number + k))
    return root


def test_flat_folder_becomes_a_dataset(flat: Path, tmp_path: Path) -> None:
    for name in ("notes.txt", "recipe.md", ".DS_Store"):
        (flat / name).write_text("hello")
    facts, dataset, listener = run(make_job(tmp_path, {"path": "flat"}), tmp_path / "work")
    assert dataset.classes == ("bracket", "gear", "nut", "screw", "spring", "washer")
    # of 10 images a class: test 2, val 1.5 rounded up
    assert [len(dataset.labels(split)) for split in Split] == [36, 12, 12]
    for split in Split:
        for name, label, image in zip(
            dataset.names(split), dataset.labels(split), dataset.images(split), strict=True
        ):
            assert name.startswith(f"{dataset.classes[label]}/")
            np.testing.assert_array_equal(
                image, fit_image(read_image(flat / name), dataset.preprocess)
            )
    assert facts.counts[Split.VAL]["nut"] == 2
    assert facts.other_files == 2
    assert listener.notes == ["2 files that are not images: notes.txt, recipe.md"]
    assert listener.steps[-1] == (60, 60)
    assert STAGE.summary(facts) == "60 images, 6 classes (train 36, val 12, test 12)"


def test_rerun_gives_the_same_bytes(flat: Path, tmp_path: Path) -> None:
    assert flat.is_dir()
    job = make_job(tmp_path, {"path": "flat"})
    first, _, _ = run(job, tmp_path / "one")
    second, _, _ = run(job, tmp_path / "two")
    assert first == second
    for folder in ("out", "view"):
        assert digest_folder(tmp_path / "one" / folder) == digest_folder(tmp_path / "two" / folder)


def test_zip_and_folder_give_the_same_images(flat: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for path in sorted(flat.rglob("*.png")):
            archive.write(path, f"wrapped/{path.relative_to(flat)}")
    run(make_job(tmp_path, {"path": "flat"}), tmp_path / "one")
    run(make_job(tmp_path, {"path": "flat.zip"}), tmp_path / "two")
    one, two = Dataset.open(tmp_path / "one/view"), Dataset.open(tmp_path / "two/view")
    for split in Split:
        np.testing.assert_array_equal(one.images(split), two.images(split))
        assert [f"wrapped/{name}" for name in one.names(split)] == list(two.names(split))


def test_drawn_images_need_no_files(tmp_path: Path) -> None:
    facts, dataset, _ = run(
        make_job(tmp_path, {"synthetic": {"images": 60, "seed": 3}}), tmp_path / "work"
    )
    assert sum(facts.counts[Split.TRAIN].values()) == 36
    name = dataset.names(Split.TEST)[0]
    expected = fit_image(make_part_image(int(name.split("-")[0]), 3).pixels, dataset.preprocess)
    np.testing.assert_array_equal(dataset.images(Split.TEST)[0], expected)


def test_splits_of_the_data_are_kept(tmp_path: Path) -> None:
    write_splits(tmp_path / "images")
    _, dataset, _ = run(make_job(tmp_path, {"path": "images"}), tmp_path / "work")
    for split in Split:
        assert len(dataset.names(split)) == 10
        assert all(name.startswith(f"{split.value}/") for name in dataset.names(split))


def test_test_is_val_measures_on_val_and_validates_on_train(tmp_path: Path) -> None:
    write_splits(tmp_path / "images", ("train", "val"))
    job = make_job(tmp_path, {"path": "images", "test": "val", "val": 0.2})
    _, dataset, _ = run(job, tmp_path / "work")
    assert [len(dataset.names(split)) for split in Split] == [8, 2, 10]
    assert all(name.startswith("train/") for name in dataset.names(Split.VAL))
    assert all(name.startswith("val/") for name in dataset.names(Split.TEST))


def test_missing_test_split_is_refused_when_planned(tmp_path: Path) -> None:
    write_splits(tmp_path / "images", ("train", "val"))
    with pytest.raises(
        DataError, match=r"train/ and val/ but no test/\n  write `data: \{test: val"
    ):
        plan(make_job(tmp_path, {"path": "images"}))


def test_missing_path_is_refused_when_planned(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data path '.*gone' does not exist"):
        plan(make_job(tmp_path, {"path": "gone"}))


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    """Data with one problem of each kind that can be dropped."""
    root = write_splits(tmp_path / "dirty")
    (root / "train/gear/cut.jpg").write_bytes(image(500)[:200])
    (root / "train/gear/text.jpg").write_bytes(b"hello")
    (root / "train/nut/empty.jpg").write_bytes(b"")
    (root / "train/bolt").mkdir()
    (root / "train/nut/same.png").write_bytes((root / "test/nut/0.png").read_bytes())
    (root / "train/gear/other.png").write_bytes((root / "val/nut/1.png").read_bytes())
    return root


def test_all_problems_are_refused_in_one_report(dirty: Path, tmp_path: Path) -> None:
    assert dirty.is_dir()
    with pytest.raises(DataError, match=r"3 x unreadable image:") as caught:
        run(make_job(tmp_path, {"path": "dirty"}), tmp_path / "work")
    text = caught.value.message
    assert "'train/gear/cut.jpg': damaged or truncated" in text
    assert "'train/gear/text.jpg': not an image in a format that Pillow reads" in text
    assert "'train/nut/empty.jpg': the file is empty" in text
    assert "test/nut/0.png = train/nut/same.png" in text
    assert "train/gear/other.png = val/nut/1.png" in text
    assert "1 x class without images:\n    bolt" in text
    assert "`data: {drop: [duplicates, empty-classes, unreadable]}`" in caught.value.remedy
    assert caught.value.exit_code == 3


def test_problems_are_left_out_and_recorded_on_request(dirty: Path, tmp_path: Path) -> None:
    drop = ["unreadable", "empty-classes", "duplicates"]
    facts, dataset, _ = run(make_job(tmp_path, {"path": "dirty", "drop": drop}), tmp_path / "work")
    assert dirty.is_dir()
    assert dataset.classes == ("gear", "nut")
    assert [len(dataset.names(split)) for split in Split] == [10, 9, 10]
    assert len(dataset.images(Split.TEST)) == 10
    assert facts.dropped == {
        "unreadable": ("train/gear/cut.jpg", "train/gear/text.jpg", "train/nut/empty.jpg"),
        "duplicates": ("train/nut/same.png", "train/gear/other.png", "val/nut/1.png"),
        "empty-classes": ("bolt",),
    }
    assert STAGE.summary(facts) == (
        "29 images, 2 classes (train 10, val 9, test 10); "
        "3 unreadable dropped; 3 duplicates dropped; 1 empty-classes dropped"
    )
    recorded = json.loads((tmp_path / "work/out/index.json").read_text())["dropped"]
    assert recorded[1] == {
        "kind": "unreadable",
        "name": "train/gear/text.jpg",
        "reason": "cannot read image 'train/gear/text.jpg': "
        "not an image in a format that Pillow reads",
    }


def deep(seed: int, kind: str, highest: int) -> bytes:
    values = np.random.default_rng(seed).integers(0, highest, (20, 30))
    dtype = np.float32 if kind == "float" else np.uint16
    stream = io.BytesIO()
    Image.fromarray(values.astype(dtype)).save(stream, "TIFF")
    return stream.getvalue()


def write_deep(root: Path, kind: str, highest: int) -> Path:
    for number, label in enumerate(("gear", "nut")):
        (root / label).mkdir(parents=True)
        for k in range(10):
            content = deep(10 * number + k, kind, highest)
            (root / label / f"{k}.tif").write_bytes(content)
    return root


def test_set_that_would_be_decoded_to_almost_black_is_refused_unless_accepted(
    tmp_path: Path,
) -> None:
    root = write_deep(tmp_path / "parts", "integers", 4096)
    with pytest.raises(
        DataError, match=r"20 x 16-bit image of a set that uses only 12 bits"
    ) as caught:
        run(make_job(tmp_path, {"path": str(root)}), tmp_path / "a")
    assert "multiply all values by 16" in caught.value.remedy
    assert caught.value.remedy.endswith("write `data: {accept: [unused-bits]}`")

    accepted = make_job(tmp_path, {"path": str(root), "accept": ["unused-bits"]})
    assert list(STAGE.check(accepted)) == []
    facts, _, _ = run(accepted, tmp_path / "b")
    assert sum(facts.images.values()) == 20


def test_bright_set_of_16_bits_is_taken(tmp_path: Path) -> None:
    root = write_deep(tmp_path / "parts", "integers", 1 << 16)
    facts, _, _ = run(make_job(tmp_path, {"path": str(root)}), tmp_path / "a")
    assert sum(facts.images.values()) == 20


def test_remedy_for_a_set_of_float_images_is_to_save_them_again(tmp_path: Path) -> None:
    root = write_deep(tmp_path / "parts", "float", 255)
    with pytest.raises(DataError, match=r"20 x unreadable image.*\n.*float pixels have") as caught:
        run(make_job(tmp_path, {"path": str(root)}), tmp_path / "a")
    assert "save it again as an 8-bit JPEG or PNG, or exclude it" in caught.value.remedy
    assert "`drop: [unreadable]` would remove 100% of the data" in caught.value.remedy
    assert "drop them with `data: {drop: [unreadable" not in caught.value.remedy


def test_excluded_files_do_not_matter(dirty: Path, tmp_path: Path) -> None:
    exclude = ["train/*.jpg", "train/nut/same.png", "*/other.png"]
    (dirty / "train/bolt").rmdir()
    job = make_job(tmp_path, {"path": "dirty", "exclude": exclude})
    before = key(job)
    (dirty / "train/gear/another.jpg").write_bytes(b"")
    assert key(job) == before
    facts, _, _ = run(job, tmp_path / "work")
    assert facts.dropped == {}


def test_data_that_change_while_they_are_read_are_refused(flat: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path, {"path": "flat"})
    node = plan(job)
    (flat / "nut/2.png").write_bytes(image(999))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(DataError, match=r"flat' changed while it was read\n  run again"):
        STAGE.run(node.settings, {}, Workspace(out, out, out, Listener()))


def test_key_names_what_the_result_depends_on_and_nothing_else(flat: Path, tmp_path: Path) -> None:
    base = key(make_job(tmp_path, {"path": "flat"}))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / "flat").symlink_to(flat)
    (flat / "notes.txt").write_text("hello")
    assert key(make_job(moved, {"path": "flat"})) == base
    assert key(make_job(tmp_path, {"path": "flat"}, count=9)) == base
    for data in (
        {"seed": 1},
        {"val": 0.3},
        {"drop": ["unreadable"]},
    ):
        assert key(make_job(tmp_path, {"path": "flat", **data})) != base
    for table in ({"size": 64}, {"fit": "crop"}, {"filter": "area"}, {"pad": 0}):
        assert key(make_job(tmp_path, {"path": "flat"}, **table)) == base
    (flat / "nut/2.png").write_bytes(image(999))
    assert key(make_job(tmp_path, {"path": "flat"})) != base


def test_fields_that_are_not_used_are_not_in_the_key(tmp_path: Path) -> None:
    write_splits(tmp_path / "images")
    base = key(make_job(tmp_path, {"path": "images"}, fit="crop"))
    other = {"path": "images", "seed": 5, "val": 0.3, "test": 0.3}
    assert key(make_job(tmp_path, other, fit="crop", pad=0)) == base


def test_key_of_drawn_images_names_count_and_seed(tmp_path: Path) -> None:
    keys = [
        key(make_job(tmp_path, {"synthetic": synthetic}))["content"]
        for synthetic in ({"images": 60}, {"images": 61}, {"images": 60, "seed": 1})
    ]
    assert len(set(keys)) == 3


def test_planning_digests_every_image_once_and_nothing_else(flat: Path, tmp_path: Path) -> None:
    (flat / "notes.txt").write_text("hello")
    seen: list[Path] = []

    def digest(path: Path) -> str:
        seen.append(path)
        return digest_file(path)

    plan(make_job(tmp_path, {"path": "flat"}, digest=digest))
    assert sorted(seen) == sorted(flat.rglob("*.png"))


@pytest.mark.parametrize(("count", "problems"), [(36, 0), (37, 1)])
def test_too_few_calibration_images_are_found_before_anything_runs(
    flat: Path, tmp_path: Path, count: int, problems: int
) -> None:
    assert flat.is_dir()
    reported = list(STAGE.check(make_job(tmp_path, {"path": "flat"}, count=count)))
    assert len(reported) == problems
    for problem in reported:
        assert problem.where == "calibration"
        assert problem.what == "'few' needs 37 images of the train split, which has 36"


def test_limit_on_a_class_that_the_data_do_not_have_is_found_before_anything_runs(
    flat: Path, tmp_path: Path
) -> None:
    classes = sorted(each.name for each in flat.iterdir() if each.is_dir())
    fields = {
        "name": "board",
        "description": "a board",
        "device": None,
        "threads": 1,
        "candidates": {"onnx": ["fp32"]},
        "limits": {"class_recall": {classes[0]: 0.9, "zipper": 0.98}},
    }
    job = make_job(tmp_path, {"path": "flat"})
    job = dataclasses.replace(job, targets=(Target.model_validate(fields),))
    (problem,) = STAGE.check(job)
    assert problem.where == "targets"
    assert problem.what == (
        "targets/board.yaml: limits.class_recall: the model has no class 'zipper'; known: "
        f"{', '.join(classes)}"
    )


def test_operating_point_of_a_class_that_the_data_do_not_have_is_found_before_anything_runs(
    flat: Path, tmp_path: Path
) -> None:
    classes = sorted(each.name for each in flat.iterdir() if each.is_dir())
    table = OperatingPointTable(precision={classes[0]: 0.9}, recall={"zipper": 0.98})
    job = make_job(tmp_path, {"path": "flat"})
    job = dataclasses.replace(job, tables={**job.tables, "operating_point": table})
    (problem,) = STAGE.check(job)
    assert problem.where == "operating_point.recall.zipper"
    assert problem.what == f"the data have no class 'zipper'; known: {', '.join(classes)}"


def test_planning_imports_neither_numpy_nor_pillow(flat: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from edgetl.config.recipe import DataTable
from edgetl.data.image_sets import open_images
from edgetl.tasks import TASKS
import edgetl.stages.index
with open_images(Path({str(flat)!r}), None, (), TASKS.load("classification").data) as images:
    images.digest(lambda path: "0")
print("numpy" in sys.modules, "PIL" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert tmp_path.is_dir()
