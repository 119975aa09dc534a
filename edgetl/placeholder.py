"""Recognise files that are only placeholders: Git LFS pointers and web pages saved in their place.

Both keep the name of the file that was wanted, so readers of any format meet them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_HEAD_BYTES = 1024
_LFS = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body")
_XML, _XML_ERROR = b"<?xml", b"<error>"
"""How responses of file stores begin if a link has expired or needs a login."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What stands in place of the file that was wanted."""

    what: str
    """The rest of a sentence that begins with the file's name."""
    remedy: str


def placeholder(path: Path) -> Placeholder | None:
    """Return what `path` is if it only stands for another file; None if it does not.

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).removeprefix(_BOM).lstrip().lower()
    if head.startswith(_LFS):
        return Placeholder(
            "is a Git LFS pointer, not the file itself",
            "run `git lfs pull` in its repository, or download the file itself",
        )
    if head.startswith(_PAGES) or (head.startswith(_XML) and _XML_ERROR in head):
        return Placeholder(
            "is a web page, not the file itself",
            "download the file behind the page: a link for browsers often leads to a page, and so "
            "does one that needs a login",
        )
    return None
