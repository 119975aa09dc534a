"""A file that only stands for another one is recognised by how it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.placeholder import placeholder

_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 9000000\n"


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        pytest.param(_LFS, "is a Git LFS pointer, not the file itself", "git lfs pull", id="lfs"),
        pytest.param(
            b"<!DOCTYPE html>\n<html><title>Sign in</title>", "is a web page, ", "login", id="page"
        ),
        pytest.param(b"\xef\xbb\xbf\r\n <HTML>", "is a web page, ", "download the", id="old page"),
        pytest.param(
            b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
            "is a web page, ",
            "download the",
            id="expired link",
        ),
    ],
)
def test_placeholder_is_named_with_its_remedy(
    tmp_path: Path, content: bytes, what: str, remedy: str
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    instead = placeholder(path)

    assert instead is not None
    assert instead.what.startswith(what)
    assert remedy in instead.remedy


@pytest.mark.parametrize(
    "content",
    [b"", b"\x08\x08\x12\x07pytorch", b'<?xml version="1.0"?>\n<net name="model">', b"PK\x03\x04"],
    ids=["empty", "onnx", "openvino", "zip"],
)
def test_other_files_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    assert placeholder(path) is None
