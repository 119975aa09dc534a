"""A disk that fills up, and a store that cannot be written: said in words, nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
Edgetl = Callable[..., Done]
Digests = Callable[[Path], dict[str, str]]

_FULL = "no space left on the disk"


def _mount(*words: str) -> None:
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root may mount the small disk that this fills")
    done = subprocess.run([mount, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount an empty disk of 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", "size=128k", "edgetl-test", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607 - found by mount


def _grow(disk: Path, kib: int) -> None:
    _mount("-o", f"remount,size={kib}k", str(disk))


def _refused(done: Done) -> None:
    assert done.returncode == 6, done.stderr
    assert _FULL in done.stderr
    assert "finished work is kept" in done.stderr
    assert "free some space" in done.stderr
    assert "Traceback" not in done.stderr


def test_disk_that_fills_up_stops_index_then_training_and_the_rerun_goes_on(
    project: Path, chain: tuple[Path, Done], disk: Path, edgetl: Edgetl, digests: Digests
) -> None:
    (project / ".edgetl").symlink_to(disk)

    _refused(edgetl(project, "run", "recipe.yaml"))
    assert set(digests(project)) == {"index"}

    _grow(disk, 640)
    _refused(edgetl(project, "run", "recipe.yaml"))
    assert set(digests(project)) == {"index", "view"}

    _grow(disk, 16_384)
    (project / "targets" / "quick.yaml").write_text(
        "name: quick\ndescription: no way to reach it\ndevice: null\nthreads: 1\n"
        "candidates: {onnx: [fp32]}\nlimits: {better_than_guessing: false}\n"
    )
    sets = ("--set", "student=null", "--set", "distill=null", "--set", "targets=[quick]")
    done = edgetl(project, "run", "recipe.yaml", *sets)
    assert done.returncode == 5, done.stderr  # no device
    made, expected = digests(project), digests(chain[0])
    assert [made[label] == expected[label] for label in ("view", "finetune")] == [True, True]
    assert list(disk.glob("scratch/*")) == []


def test_disk_full_during_export_keeps_the_trainings(
    finished: Path, chain: tuple[Path, Done], disk: Path, edgetl: Edgetl, digests: Digests
) -> None:
    _grow(disk, 8_192)
    store = finished / ".edgetl"
    for stage in ("export", "quantize", "verify"):
        shutil.rmtree(store / "artifacts" / stage)
    shutil.copytree(store, disk, dirs_exist_ok=True)
    shutil.rmtree(store)
    store.symlink_to(disk)
    kept = digests(finished)
    with (disk / "of-somebody-else").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - 65_536)

    _refused(edgetl(finished, "run", "recipe.yaml"))
    assert digests(finished) == kept

    (disk / "of-somebody-else").unlink()
    done = edgetl(finished, "run", "recipe.yaml")
    assert done.returncode == 0, done.stderr
    assert digests(finished) == digests(chain[0])


def test_disk_full_during_hand_over_is_said_and_leaves_no_half_bundle(
    finished: Path, disk: Path, edgetl: Edgetl
) -> None:
    done = edgetl(finished, "run", "recipe.yaml", "--dist", "disk")
    _refused(done)
    assert not (disk / "host").exists()
    _grow(disk, 8_192)
    done = edgetl(finished, "run", "recipe.yaml", "--dist", "disk")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in disk.iterdir()] == ["host"]


@pytest.mark.parametrize("option", ["--store", "--dist"])
def test_folder_that_cannot_be_written_is_named(
    finished: Path, edgetl: Edgetl, option: str
) -> None:
    (finished / "file").write_text("")
    done = edgetl(finished, "run", "recipe.yaml", option, "file/below")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "file/below" in done.stderr
    assert option in done.stderr


def test_store_on_a_disk_that_cannot_be_written_is_named(
    project: Path, disk: Path, edgetl: Edgetl
) -> None:
    _mount("-o", "remount,ro", str(disk))
    done = edgetl(project, "run", "recipe.yaml", "--store", "disk/store")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "disk/store" in done.stderr
    assert "Read-only file system" in done.stderr
