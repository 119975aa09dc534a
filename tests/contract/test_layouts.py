"""The contract of data layouts: the same small set of images in every one of them.

A file of `layouts/` here has the name of a layout and holds its `FILES`, and as `EXPECTED` the
split and the class, or the boxes, of every image.
"""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgetl.data.container import open_container
from edgetl.data.sources import SOURCES, Listing, Sample, guess_label_kind, list_samples
from edgetl.errors import DataError
from edgetl.hashing import digest_file
from edgetl.tasks import TASKS, tasks_with
from edgetl.types import LabelKind

_FILES = {path.stem: path for path in Path(__file__).with_name("layouts").glob("*.py")}
Write = Callable[[Path, dict[str, bytes]], Path]


@pytest.fixture(params=SOURCES.built_in())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"edgetl_tests_layout_{name}", _FILES[name])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(root: Path, files: dict[str, bytes]) -> Path:
    for file, content in files.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def listed(path: Path, name: str, *exclude: str, layout: str = "") -> Listing:
    task = tasks_with(SOURCES.load(name).label_kind)[0]
    container = open_container(path, exclude=exclude)
    try:
        return list_samples(container, "images", TASKS.load(task).data, layout)
    finally:
        container.close()


def content(sample: Sample) -> tuple[str | None, Any]:
    if sample.label:
        return sample.split, sample.label
    return sample.split, [(box.label, box.corners) for box in sample.boxes]


def test_layout_is_recognised_and_every_image_has_its_label_and_split(
    name: str, example: ModuleType, tmp_path: Path
) -> None:
    listing = listed(written(tmp_path, example.FILES), name)
    assert listing.layout == name
    assert {sample.name: content(sample) for sample in listing.samples} == example.EXPECTED
    assert [sample.name for sample in listing.samples] == sorted(example.EXPECTED)
    assert listing.given == {split for split, _ in example.EXPECTED.values()}
    assert (listing.problems, listing.unlabelled, listing.others) == ((), (), ())
    assert {*listing.labels} == {*example.FILES} - {*example.EXPECTED}
    assert guess_label_kind(open_container(tmp_path)) is SOURCES.load(name).label_kind


def test_zip_outer_folder_and_stated_layout_change_nothing(
    name: str, example: ModuleType, tmp_path: Path
) -> None:
    folder = written(tmp_path / "folder", example.FILES)
    plain = listed(folder, name)
    assert listed(folder, name, layout=name) == plain
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for file, data in example.FILES.items():
            archive.writestr(file, data)
    assert listed(tmp_path / "images.zip", name) == plain
    wrapped = listed(written(tmp_path / "outer", {
        f"my export/{file}": data for file, data in example.FILES.items()
    }), name)  # fmt: skip
    assert [replace(sample, name=sample.name.removeprefix("my export/"), boxes=())
            for sample in wrapped.samples] == [
        replace(sample, boxes=()) for sample in plain.samples
    ]  # fmt: skip


def test_excluded_image_is_gone_with_its_labels(
    name: str, example: ModuleType, tmp_path: Path
) -> None:
    image = min(example.EXPECTED)
    listing = listed(written(tmp_path, example.FILES), name, image)
    assert {sample.name for sample in listing.samples} == {*example.EXPECTED} - {image}
    assert listing.problems == ()


def test_label_of_a_missing_image_is_named(name: str, example: ModuleType, tmp_path: Path) -> None:
    image = min(example.EXPECTED)
    files = {file: data for file, data in example.FILES.items() if file != image}
    listing = listed(written(tmp_path, files), name)
    stem = Path(image).stem
    assert bool(listing.labels) == any(stem in problem.example for problem in listing.problems)


def test_labels_in_files_change_the_digest(name: str, example: ModuleType, tmp_path: Path) -> None:
    root = written(tmp_path, example.FILES)
    container = open_container(root)
    labels = listed(root, name).labels
    before = container.digest(labels, digest_file)
    for label in labels:
        (root / label).write_bytes(example.FILES[label] + b" ")
        assert container.digest(labels, digest_file) != before
        (root / label).write_bytes(example.FILES[label])


def test_stated_layout_that_the_files_do_not_have_is_refused(name: str, tmp_path: Path) -> None:
    root = written(tmp_path, {"notes.md": b""})
    with pytest.raises(DataError, match=f"do not have the layout '{name}'") as caught:
        listed(root, name, layout=name)
    assert SOURCES.load(name).expects in caught.value.remedy


def test_layout_of_another_task_is_refused_where_it_is_stated(name: str, tmp_path: Path) -> None:
    root = written(tmp_path, {"notes.md": b""})
    kind = SOURCES.load(name).label_kind
    (other,) = [each for each in LabelKind if each is not kind]
    task = TASKS.load(tasks_with(other)[0]).data
    with pytest.raises(DataError, match=f"'{name}' has {kind.noun}, but the task is {task.task}"):
        list_samples(open_container(root), "images", task, name)


def test_every_built_in_layout_has_an_example() -> None:
    assert {*_FILES} == {*SOURCES.built_in()}
