"""The view stage: the pixels that each network gets, and what is refused before any is decoded."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetl.config.recipe import InputTable
from edgetl.data.dataset import Dataset
from edgetl.errors import DataError, StoreError
from edgetl.runtime.image_file import read_image
from edgetl.runtime.preprocess import fit_image
from edgetl.stages import Job
from edgetl.stages import _space as space
from edgetl.stages._views import deployed_view, model_view, network_input
from edgetl.stages.index import STAGE as INDEX
from edgetl.stages.view import STAGE
from edgetl.types import Split


def encoded(seed: int, **save: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, **save)
    return stream.getvalue()


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Return ten images of either class, PNG and JPEG."""
    root = tmp_path / "parts"
    for number, label in enumerate(("gear", "nut")):
        (root / label).mkdir(parents=True)
        for k in range(10):
            kind = "JPEG" if k % 2 else "PNG"
            image = encoded(10 * number + k, format=kind)
            (root / label / f"{k}.{kind.lower()}").write_bytes(image)
    return root


def two_inputs(bench: Any, **student: Any) -> Job:
    job: Job = bench.job(
        data={"path": "parts"},
        input={"size": 32, "fit": "letterbox", "pad": 7},
        student={"family": "mobilenet_v3_small", "weights": "none", "input": student or None},
    )
    return job


def test_networks_with_one_input_share_one_view(bench: Any, parts: Path) -> None:
    assert parts.is_dir()
    job = two_inputs(bench)
    (view,) = STAGE.plan(job, {"dataset": INDEX.plan(job, {})})
    assert view.label == "view"
    made = {"view": [view]}
    assert deployed_view(job, made) is model_view(job, made, "teacher") is view


def test_each_network_gets_the_pixels_of_its_own_input(bench: Any, parts: Path) -> None:
    job = two_inputs(bench, size=40, filter="area")
    (index,) = INDEX.plan(job, {})
    views = STAGE.plan(job, {"dataset": [index]})
    assert [view.label for view in views] == ["view 40 letterbox", "view 32 letterbox"]
    assert deployed_view(job, {"view": views}) is views[0]
    assert model_view(job, {"view": views}, "teacher") is views[1]
    indexed = bench.run(index, {})
    for view, size in zip(views, (40, 32), strict=True):
        dataset = Dataset.open(bench.run(view, {"index": indexed}).folder)
        # What the student leaves out is that of the recipe.
        assert (dataset.preprocess.height, dataset.preprocess.pad) == (size, 7)
        for name, image in zip(dataset.names(Split.VAL), dataset.images(Split.VAL), strict=True):
            expected = fit_image(read_image(parts / name), dataset.preprocess)
            np.testing.assert_array_equal(image, expected)


def test_fields_that_a_fit_does_not_read_make_no_other_input(bench: Any) -> None:
    job = two_inputs(bench, fit="crop", pad=9, anchor="top-left")
    student = job.recipe.student
    assert student
    assert network_input(job, student) == InputTable(size=32, fit="crop", pad=0)


def test_key_of_a_view_names_the_input_and_not_where_the_images_are(
    bench: Any, parts: Path
) -> None:
    assert parts.is_dir()
    (view,) = STAGE.plan(two_inputs(bench), {"dataset": INDEX.plan(two_inputs(bench), {})})
    assert view.settings.model_dump(mode="json") == {
        "role": "data",
        "input": {
            "size": 32, "fit": "letterbox", "filter": "bilinear", "pad": 7, "anchor": "centre"
        },
    }  # fmt: skip
    assert set(view.inputs) == {"index"}


def test_image_that_changed_after_it_was_indexed_is_refused(bench: Any, parts: Path) -> None:
    job = two_inputs(bench)
    (index,) = INDEX.plan(job, {})
    (view,) = STAGE.plan(job, {"dataset": [index]})
    indexed = bench.run(index, {})
    (parts / "nut/2.png").write_bytes(encoded(99, format="PNG"))
    changed = r"'nut/2\.png' in '.*' changed after it was indexed\n  run again"
    with pytest.raises(DataError, match=changed):
        bench.run(view, {"index": indexed})
    (parts / "nut/2.png").unlink()
    with pytest.raises(DataError, match=r"cannot read image 'nut/2\.png': No such file"):
        bench.run(view, {"index": indexed})


def test_jpeg_that_is_cut_short_is_found_when_it_is_indexed(bench: Any, parts: Path) -> None:
    whole = (parts / "nut/3.jpeg").read_bytes()
    (parts / "nut/3.jpeg").write_bytes(whole[: len(whole) * 9 // 10])
    (index,) = INDEX.plan(two_inputs(bench), {})
    with pytest.raises(DataError, match=r"'nut/3\.jpeg': damaged or truncated"):
        bench.run(index, {})


# Of 20 images of 32 x 32 x 3 bytes, and of 20 of 40 x 40 x 3.
AT_32, AT_40 = 61_440, 96_000


def memory_problem(monkeypatch: pytest.MonkeyPatch, job: Job, memory: int) -> str:
    """Return what is wrong on a machine of so many bytes; empty if nothing is."""
    monkeypatch.setattr(space, "_memory_bytes", lambda: memory)
    problems = list(INDEX.check(job))
    assert [problem.where for problem in problems] in ([], ["input.size"])
    return "".join(problem.what for problem in problems)


def test_view_larger_than_memory_is_refused_when_planned(
    bench: Any, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parts.is_dir()
    job = two_inputs(bench)
    assert memory_problem(monkeypatch, job, AT_32) == ""
    assert memory_problem(monkeypatch, job, AT_32 - 1) == (
        "is too large for the 0.0 GiB of memory of this machine: 20 images of `data` take 0.0 GiB "
        "at 32 px; lower it, or use fewer images"
    )


def test_views_that_training_reads_together_have_to_fit_together(
    bench: Any, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parts.is_dir()
    job = two_inputs(bench, size=40)
    assert memory_problem(monkeypatch, job, AT_32 + AT_40) == ""
    assert memory_problem(monkeypatch, job, AT_32 + AT_40 - 1) == (
        "is too large for the 0.0 GiB of memory of this machine: 20 images of `data` take 0.0 GiB "
        "at 40 and 32 px, which training the student reads together; lower it, or use fewer images"
    )
    assert "take 0.0 GiB at 40 px; lower" in memory_problem(monkeypatch, job, AT_40 - 1)
    both = "take 0.0 GiB at 40 px, 20 images of `data` take 0.0 GiB at 32 px; lower"
    assert both in memory_problem(monkeypatch, job, AT_32 - 1)


def test_stored_teacher_outputs_leave_one_view_to_read(
    bench: Any, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parts.is_dir()
    job = dataclasses.replace(
        two_inputs(bench, size=40), tables=bench.job({"distill": {"views": 2}}).tables
    )
    assert memory_problem(monkeypatch, job, AT_40) == ""
    assert "at 40 px; lower" in memory_problem(monkeypatch, job, AT_40 - 1)


@pytest.mark.parametrize("role", ["evaluation", "unlabelled"])
def test_views_of_other_roles_have_to_fit_into_memory(
    bench: Any, parts: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    site = shutil.copytree(parts, parts.with_name("site"))
    for number in range(10, 15):
        (site / "nut" / f"{number}.png").write_bytes(encoded(number, format="PNG"))
    (site / "blurred.png").write_bytes(encoded(99, format="PNG"))
    table = {"path": "site", "exclude": ["blurred.png"]}
    job = bench.job(data={"path": "parts"}, input={"size": 32}, **{role: table})
    # 25 images, which are more than those of `data`.
    assert memory_problem(monkeypatch, job, 76_800) == ""
    assert memory_problem(monkeypatch, job, 76_799) == (
        f"is too large for the 0.0 GiB of memory of this machine: 25 images of `{role}` take 0.0 "
        "GiB at 32 px; lower it, or use fewer images"
    )


def test_views_of_other_roles_are_read_one_after_the_other(
    bench: Any, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parts.is_dir()
    job = bench.job(
        data={"path": "parts", "exclude": ["*/[5-9].*"]},
        unlabelled={"path": "parts"},
        input={"size": 32},
        student={"family": "mobilenet_v3_small", "weights": "none", "input": {"size": 40}},
    )
    assert memory_problem(monkeypatch, job, AT_40) == ""


@pytest.mark.parametrize(
    ("group", "files", "limit"),
    [
        pytest.param("", {}, None, id="no control groups"),
        pytest.param("0::/", {"memory.max": "max"}, None, id="no limit"),
        pytest.param("0::/", {"memory.max": "1048576"}, 1_048_576, id="container"),
        pytest.param("0::/a/b", {"a/b/memory.max": "1048576"}, 1_048_576, id="service"),
        pytest.param(
            "0::/a/b",
            {"a/b/memory.max": "max", "a/memory.max": "1048576"},
            1_048_576,
            id="group above",
        ),
        pytest.param(
            "4:cpu:/d\n7:memory:/m",
            {
                "memory/m/memory.limit_in_bytes": "1048576",
                "cpu/d/memory.limit_in_bytes": "4096",
            },
            1_048_576,
            id="version 1",
        ),
        pytest.param(
            "7:memory:/",
            {"memory/memory.limit_in_bytes": f"{2**63 - 4096}"},
            None,
            id="version 1 without",
        ),
    ],
)
def test_memory_is_what_the_control_groups_leave(
    tmp_path: Path, group: str, files: dict[str, str], limit: int | None
) -> None:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"{group}\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    assert space._memory_bytes(tmp_path) == (limit or whole)


def test_view_larger_than_the_free_disk_is_refused_before_an_image_is_decoded(
    bench: Any, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = two_inputs(bench)
    (index,) = INDEX.plan(job, {})
    (view,) = STAGE.plan(job, {"dataset": [index]})
    indexed = bench.run(index, {})
    shutil.rmtree(parts)
    usage = shutil.disk_usage(indexed.folder)._replace(free=61_439)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    what = (
        r"no space left on the disk of .*: at 32 px the 20 images take 0\.0 GiB, and 0\.0 GiB are "
        r"free; finished work is kept\n  lower `input\.size`, or free some space"
    )
    with pytest.raises(StoreError, match=what):
        bench.run(view, {"index": indexed})


def test_size_of_each_network_is_checked(bench: Any) -> None:
    job = bench.job(
        task="detection",
        input={"size": 64},
        teacher={"family": "yolox_nano", "weights": "none", "input": {"size": 40}},
    )
    assert "is 40; yolox_nano needs a multiple of 32" in bench.problems("finetune", job)
