"""A cached digest is used only while the file is unchanged."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from edgetl.hashing import digest_file
from edgetl.store import memory
from edgetl.store.memory import DigestMemory


@pytest.fixture
def old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_SETTLED_NS", 0)
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    time.sleep(0.01)
    return path


def _count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    reads: list[Path] = []

    def counted(path: Path) -> str:
        reads.append(path)
        return digest_file(path)

    monkeypatch.setattr(memory, "digest_file", counted)
    return reads


def test_unchanged_file_is_read_once_even_by_the_next_process(
    old_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = _count_reads(monkeypatch)
    first = DigestMemory(old_file.parent / "m.json")
    assert first.digest(old_file) == first.digest(old_file) == digest_file(old_file)
    first.save()
    assert DigestMemory(old_file.parent / "m.json").digest(old_file) == digest_file(old_file)
    assert len(reads) == 1


def test_cache_is_written_below_new_folders_and_only_if_it_changed(old_file: Path) -> None:
    file = old_file.parent / "new" / "store" / "m.json"
    known = DigestMemory(file)
    known.save()
    assert not file.exists()
    known.digest(old_file)
    known.save()
    stat = old_file.stat()
    assert json.loads(file.read_text()) == [
        [
            str(old_file),
            3,
            stat.st_mtime_ns,
            stat.st_ctime_ns,
            stat.st_ino,
            # SHA-256 of b"one"
            "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        ]
    ]
    assert list(file.parent.iterdir()) == [file]
    file.unlink()
    known.save()
    assert not file.exists()


def test_edit_that_keeps_size_and_date_is_detected(old_file: Path) -> None:
    known = DigestMemory(old_file.parent / "m.json")
    before = known.digest(old_file)
    stat = old_file.stat()
    old_file.write_bytes(b"two")
    os.utime(old_file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert known.digest(old_file) == digest_file(old_file) != before


def test_recently_modified_file_is_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = _count_reads(monkeypatch)
    path = tmp_path / "new.bin"
    path.write_bytes(b"x")
    known = DigestMemory(tmp_path / "m.json")
    known.digest(path)
    known.digest(path)
    assert len(reads) == 2


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "[[1]]"])
def test_damaged_cache_only_costs_reading_again(old_file: Path, text: str) -> None:
    (old_file.parent / "m.json").write_text(text)
    assert DigestMemory(old_file.parent / "m.json").digest(old_file) == digest_file(old_file)


def test_cache_that_cannot_be_written_is_not_an_error(old_file: Path) -> None:
    blocked = old_file / "below-a-file" / "m.json"
    known = DigestMemory(old_file.parent / "m.json")
    known._file = blocked
    known.digest(old_file)
    known.save()
    assert not blocked.exists()
