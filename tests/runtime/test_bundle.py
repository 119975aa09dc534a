from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgetl.runtime.bundle import check_files, check_place, digest_file, runtime_files
from edgetl.runtime.errors import BundleError, EdgetlUsageError

# printf 'abc' | sha256sum
_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.txt").write_text("abc")
    (tmp_path / "inner" / "b.txt").write_text("abc")
    _list(tmp_path, {"a.txt": _ABC, "inner/b.txt": _ABC})
    return tmp_path


def test_digest_is_the_sha_256_of_the_bytes(bundle: Path) -> None:
    assert digest_file(bundle / "a.txt") == _ABC


def test_untouched_bundle_passes_with_its_count(bundle: Path) -> None:
    assert check_files(bundle) == 2


def test_every_changed_and_missing_file_is_named(bundle: Path) -> None:
    (bundle / "a.txt").write_text("abd")
    (bundle / "inner" / "b.txt").unlink()
    with pytest.raises(BundleError, match=r"'a\.txt' was changed, 'inner/b\.txt' is missing"):
        check_files(bundle)


def test_python_caches_are_no_damage(bundle: Path) -> None:
    (bundle / "__pycache__").mkdir()
    (bundle / "__pycache__" / "a.pyc").write_bytes(b"")
    assert check_files(bundle) == 2


def test_file_that_the_manifest_does_not_list_is_damage(bundle: Path) -> None:
    (bundle / "edgetl").mkdir(exist_ok=True)
    (bundle / "edgetl" / "numpy.py").write_text("")
    with pytest.raises(BundleError, match="is damaged") as caught:
        check_files(bundle)
    assert caught.value.message == f"bundle {bundle} is damaged: 'edgetl/numpy.py' is not listed"
    assert caught.value.remedy == (
        "remove the files that are not listed, or copy the whole folder again from where it was "
        "made"
    )


def test_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not a bundle: it has no manifest\.json"):
        check_files(tmp_path)


def test_folder_that_holds_anything_of_a_bundle_may_be_one(bundle: Path, tmp_path: Path) -> None:
    check_place(bundle)
    (bundle / "manifest.json").rename(tmp_path / "contract.json")
    check_place(tmp_path)


@pytest.mark.parametrize(
    ("place", "message", "remedy"),
    [
        ("gone", "there is no folder '", "check the path, or name the folder of a bundle"),
        (
            "a.txt",
            "' is a file; BUNDLE is a folder and comes before any",
            "name the folder of a bundle",
        ),
        ("inner", "' is not a bundle: it has neither contract.json", "name the folder of a bundle"),
    ],
)
def test_what_can_be_no_bundle_is_a_wrong_use(
    bundle: Path, place: str, message: str, remedy: str
) -> None:
    with pytest.raises(EdgetlUsageError, match=message) as caught:
        check_place(bundle / place)
    assert caught.value.remedy.startswith(remedy)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"schema": 1, "fil', "cannot be read", id="torn"),
        pytest.param('{"schema": 1}', "cannot be read: KeyError", id="no files"),
        pytest.param('{"schema": 1, "files": 3}', "cannot be read: TypeError", id="no table"),
        pytest.param("[]", "cannot be read: TypeError", id="a list"),
        pytest.param(
            '{"schema": 1, "files": {}, "made_with": 3}', "cannot be read: TypeError", id="packages"
        ),
        pytest.param('{"schema": 9, "files": {}}', "has schema 9; this runtime reads 1", id="new"),
    ],
)
def test_unreadable_manifest_is_refused(bundle: Path, text: str, message: str) -> None:
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=message):
        check_files(bundle)


def test_manifest_that_the_system_refuses_is_not_called_damaged(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()
    (bundle / "manifest.json").mkdir()
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read: Is a dir") as caught:
        check_files(bundle)
    assert caught.value.remedy == "check the path, and the owner and mode of file and folders"


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.txt", "inner/../../a.txt"])
def test_file_outside_the_bundle_is_refused(bundle: Path, name: str) -> None:
    _list(bundle, {name: _ABC})
    with pytest.raises(BundleError, match="outside the bundle"):
        check_files(bundle)


def test_runtime_files_are_the_runtime_and_nothing_else_of_edgetl() -> None:
    files = runtime_files()
    assert {
        "edgetl/__init__.py",
        "edgetl/runtime/__main__.py",
        "edgetl/runtime/engines/onnx.py",
    } <= (files.keys())
    assert all(name == "edgetl/__init__.py" or name.startswith("edgetl/runtime/") for name in files)


def _list(folder: Path, files: dict[str, str]) -> None:
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "files": files}))
