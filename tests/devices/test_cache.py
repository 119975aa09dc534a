from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path

import pytest

from edgetl.devices._cache import Cache
from edgetl.errors import DeviceError, ExitCode
from edgetl.types import Facts

REQUEST: Facts = {"suite": "bookworm"}


def write_one(tree: Path) -> Facts:
    (tree / "file").write_text("made")
    return {"libc6_2.36_arm64": "ab" * 32}


def must_not_make(_: Path) -> Facts:
    raise AssertionError("made twice")


def silent(_: str) -> None:
    """Discard a line."""


def test_folder_is_made_once_and_then_reused(tmp_path: Path) -> None:
    lines: list[str] = []
    cache = Cache(tmp_path / "cache", lines.append)

    first = cache.keep("debian", REQUEST, what="Debian for ARM", make=write_one)
    second = cache.keep("debian", REQUEST, what="Debian for ARM", make=must_not_make)

    assert first == second
    assert (first.tree / "file").read_text() == "made"
    assert lines == [f"fetching Debian for ARM; kept in {tmp_path / 'cache'}"]
    manifest = json.loads((first.tree.parent / "manifest.json").read_text())
    assert manifest == {"request": REQUEST, "made_of": {"libc6_2.36_arm64": "ab" * 32}}


def test_different_request_has_a_different_folder(tmp_path: Path) -> None:
    cache = Cache(tmp_path, silent)

    first = cache.keep("debian", REQUEST, what="it", make=write_one)
    second = cache.keep("debian", {"suite": "trixie"}, what="it", make=write_one)

    assert first.tree != second.tree


def test_failure_leaves_no_folder(tmp_path: Path) -> None:
    def fail(tree: Path) -> Facts:
        (tree / "half").touch()
        raise DeviceError("no network", remedy="connect")

    cache = Cache(tmp_path / "cache", silent)
    with pytest.raises(DeviceError, match="no network"):
        cache.keep("debian", REQUEST, what="it", make=fail)

    assert not [path for path in cache.root.iterdir() if path.is_dir()]
    kept = cache.keep("debian", REQUEST, what="it", make=write_one)
    assert [path.name for path in kept.tree.iterdir()] == ["file"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path, silent)
    name = cache.keep("debian", REQUEST, what="it", make=write_one).tree.parent.name
    (tmp_path / name).rename(tmp_path / f".{name}.part")
    (tmp_path / f".{name}.part" / "tree" / "half").touch()

    kept = cache.keep("debian", REQUEST, what="it", make=write_one)

    assert [path.name for path in kept.tree.iterdir()] == ["file"]
    assert not (tmp_path / f".{name}.part").exists()


def make_slowly(root: Path) -> None:
    def make(tree: Path) -> Facts:
        (root / "made").open("a").write("x")
        time.sleep(0.5)
        return write_one(tree)

    Cache(root, silent).keep("debian", REQUEST, what="it", make=make)


def test_second_process_waits_and_uses_the_first_ones_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=make_slowly, args=(tmp_path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "made").read_text() == "x"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "manifest.json is missing"),
        ("{", "manifest.json cannot be read"),
        ("{}", "manifest.json cannot be read: KeyError"),
        ('{"made_of": {}, "request": {}}', "it belongs to a different request"),
    ],
    ids=["missing", "cut", "empty", "foreign"],
)
def test_damaged_folder_is_named_with_the_remedy(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    cache = Cache(tmp_path, silent)
    folder = cache.keep("debian", REQUEST, what="it", make=write_one).tree.parent
    (folder / "manifest.json").unlink()
    if text is not None:
        (folder / "manifest.json").write_text(text)

    with pytest.raises(DeviceError, match=f"cache folder {folder} is damaged: {reason}") as caught:
        cache.keep("debian", REQUEST, what="it", make=must_not_make)

    assert caught.value.remedy == f"rm -r {folder}"
    assert caught.value.exit_code is ExitCode.DEVICE_UNREACHABLE


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")

    with pytest.raises(DeviceError, match=r"Debian cannot be written to .*cache: Not a directory"):
        Cache(tmp_path / "cache", silent).keep("debian", REQUEST, what="Debian", make=write_one)
