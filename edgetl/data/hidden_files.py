"""Names of files and folders that systems and tools make for themselves."""

from __future__ import annotations

import re

_SYSTEM = re.compile(
    r"__MACOSX|__pycache__|@eaDir|@Recycle|@Recently-Snapshot|@SynoResource|@tmp|#recycle|#snapshot|"
    r"\$RECYCLE\.BIN|RECYCLER|RECYCLED|System Volume Information|lost\+found|found\.\d{3}|"
    r"Network Trash Folder|Temporary Items|TheVolumeSettingsFolder|_gsdata_",
    re.IGNORECASE,
)
"""Folders of operating systems, network drives, packing tools and Python."""
_HIDDEN = re.compile(rf"(?:^|/)(?:\.|(?:{_SYSTEM.pattern})(?:/|$))", re.IGNORECASE)


def is_system_name(name: str) -> bool:
    """Return whether a folder's name, without path, is one that a system gives."""
    return bool(_SYSTEM.fullmatch(name))


def is_hidden(path: str) -> bool:
    """Return whether a part of the path is hidden or of a system, so that it is no example."""
    return bool(_HIDDEN.search(path))
