"""Digests have fixed values, so that stores written today are found tomorrow."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edgetl.hashing import digest_file, digest_folder, digest_value


def test_digest_of_a_value_is_that_of_its_canonical_json() -> None:
    expected = hashlib.sha256(b'{"a":[1,2.5,null],"b":"\\u00fc"}').hexdigest()
    assert digest_value({"b": "ü", "a": [1, 2.5, None]}) == expected


def test_order_of_keys_does_not_matter() -> None:
    assert digest_value({"a": 1, "b": 2}) == digest_value({"b": 2, "a": 1})


def test_whole_float_and_int_differ() -> None:
    assert digest_value(1) != digest_value(1.0)


def test_nan_has_no_digest() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        digest_value(float("nan"))


def test_folder_digest_lists_files_by_posix_path_sorted(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.txt").write_bytes(b"abc")
    (tmp_path / "a.txt").write_bytes(b"")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_folder(tmp_path) == {"a.txt": empty, "b/c.txt": abc}
    assert list(digest_folder(tmp_path)) == ["a.txt", "b/c.txt"]
    assert digest_file(tmp_path / "b" / "c.txt") == abc
