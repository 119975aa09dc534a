"""The agent's modules, and that boards with an old Python can run it."""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgetl.devices import _agent, _session
from edgetl.devices._agent.cache import Cache, Part
from edgetl.devices._agent.lock import Lock

if TYPE_CHECKING:
    from tests.devices.ssh.conftest import SmallDisk

_SOURCES = dict(_agent.sources())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", _SOURCES)
def test_module_parses_as_python_3_9_and_imports_only_sent_modules(name: str) -> None:
    tree = ast.parse(_SOURCES[name], feature_version=(3, 9))
    before = list(_SOURCES)[: list(_SOURCES).index(name)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        for module in modules:
            assert module in before or module.partition(".")[0] in sys.stdlib_module_names, module


def test_every_module_of_the_agent_is_sent() -> None:
    folder = Path(_agent.__file__).parent
    assert {f"{_agent.__name__}.{path.stem}" for path in folder.glob("[!_]*.py")} == set(_SOURCES)


def test_first_lines_run_on_any_python_3() -> None:
    ast.parse(_session._BOOTSTRAP % ("greeting", 1, 1), feature_version=(3, 4))


def test_partial_file_is_resumed(tmp_path: Path) -> None:
    data = b"abcdef"
    target = tmp_path / digest(data)
    part = Part(tmp_path / "part", target, len(data))
    part.append(b"abc")
    part.close(keep=True)
    again = Part(tmp_path / "part", target, len(data))
    assert again.offset == 3
    assert not again.is_whole()
    again.append(b"def")
    assert again.is_whole()
    assert again.finish()
    assert target.read_bytes() == data
    assert list(tmp_path.iterdir()) == [target]


def test_partial_file_with_wrong_bytes_is_removed(tmp_path: Path) -> None:
    part = Part(tmp_path / "part", tmp_path / digest(b"right"), 5)
    part.append(b"wrong")
    assert not part.finish()
    assert list(tmp_path.iterdir()) == []


def test_partial_file_longer_than_the_file_is_restarted(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"much too long")
    part = Part(tmp_path / "part", tmp_path / digest(b"ab"), 2)
    assert part.offset == 0
    part.append(b"ab")
    assert part.finish()


def test_partial_file_is_removed_if_the_disk_fills_up(disk: SmallDisk) -> None:
    data = b"x" * (1 << 20)
    cache = Cache(disk.folder, 1 << 30)
    part = cache.receive(digest(data), len(data), resumable=True)
    part.append(data[: 1 << 19])
    (disk.folder / "other").write_bytes(b"y" * ((3 << 20) - (1 << 19)))
    with pytest.raises(OSError, match="No space left on device"):
        part.append(data[1 << 19 :])
    assert list((disk.folder / "files").iterdir()) == []


def test_missing_file_is_not_copied(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1 << 30)
    assert not cache.copy(digest(b""), tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_lock_is_acquired_once_and_released_without_leftovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = Lock(), Lock()
    assert first.acquire("anna", "1", 60.0)["acquired"]
    refused = second.acquire("berta", "2", 60.0)
    assert (refused["acquired"], refused["owner"], refused["pid"]) == (False, "anna", os.getpid())
    assert 0.0 <= refused["silent_s"] <= refused["age_s"] < 10.0
    first.release()
    assert list(tmp_path.iterdir()) == []
    granted = second.acquire("berta", "2", 60.0)
    assert (granted["acquired"], granted["former"]) == (True, None)
    second.release()


def test_lock_file_that_is_a_link_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "edgetl.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        Lock().acquire("anna", "1", 60.0)
    assert (tmp_path / "precious").read_text() == "precious"
