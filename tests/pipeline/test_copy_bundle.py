"""A bundle is copied completely, replaces only bundles, and never stays when stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.errors import UsageError
from edgetl.pipeline.copy_bundle import copy_bundle
from edgetl.store.store import Artifact, Request, Store


def _package(root: Path, text: str | None) -> Artifact:
    store = Store(root)
    request = Request("package", 1, {"text": text}, {}, {})
    out, _, _ = store.folders(request)
    if text is not None:
        (out / "bundle" / "edgetl").mkdir(parents=True)
        (out / "bundle" / "manifest.json").write_text("{}")
        (out / "bundle" / "edgetl" / "model.bin").write_text(text)
    return store.commit(request, kind="bundle", label="package host", facts={}, seconds=0)


def test_bundle_is_copied_and_replaced(tmp_path: Path) -> None:
    there = tmp_path / "dist" / "host"
    there.parent.mkdir()
    assert copy_bundle(_package(tmp_path / "s", "one"), there)
    assert (there / "edgetl" / "model.bin").read_text() == "one"
    assert copy_bundle(_package(tmp_path / "s", "two"), there)
    assert (there / "edgetl" / "model.bin").read_text() == "two"
    assert [path.name for path in there.parent.iterdir()] == ["host"]


def test_missing_folder_is_created(tmp_path: Path) -> None:
    assert copy_bundle(_package(tmp_path / "s", "one"), tmp_path / "new" / "dist" / "host")


def test_missing_file_is_restored(tmp_path: Path) -> None:
    package = _package(tmp_path / "s", "one")
    there = tmp_path / "host"
    copy_bundle(package, there)
    (there / "edgetl" / "model.bin").unlink()
    copy_bundle(package, there)
    assert (there / "edgetl" / "model.bin").read_text() == "one"


def test_stale_bundle_is_removed_when_no_candidate_is_chosen(tmp_path: Path) -> None:
    there = tmp_path / "host"
    copy_bundle(_package(tmp_path / "s", "one"), there)
    assert not copy_bundle(_package(tmp_path / "s", None), there)
    assert not there.exists()


def test_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    there = tmp_path / "host"
    there.mkdir()
    (there / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="contains files that are not a bundle"):
        copy_bundle(_package(tmp_path / "s", "one"), there)
    assert (there / "thesis.txt").read_text() == "mine"


def test_leftovers_of_a_killed_run_are_removed_and_the_bundle_restored(tmp_path: Path) -> None:
    there = tmp_path / "dist" / "host"
    package = _package(tmp_path / "s", "one")
    copy_bundle(package, there)
    there.rename(there.with_name(".host.old"))  # killed between the two renames
    (there.parent / ".host.part" / "edgetl").mkdir(parents=True)  # killed while it copied
    assert copy_bundle(package, there)
    assert (there / "edgetl" / "model.bin").read_text() == "one"
    assert [path.name for path in there.parent.iterdir()] == ["host"]


def test_no_folder_is_created_without_a_chosen_candidate(tmp_path: Path) -> None:
    assert not copy_bundle(_package(tmp_path / "s", None), tmp_path / "dist" / "host")
    assert not (tmp_path / "dist").exists()
