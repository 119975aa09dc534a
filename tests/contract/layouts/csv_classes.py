"""A table with file, class and split."""

from __future__ import annotations

EXPECTED = {
    f"images/{number}.jpg": (split, label)
    for number, (split, label) in enumerate(
        (split, label) for split in ("train", "val", "test") for label in ("cat", "dog")
    )
}
_ROWS = "".join(f"{name[7:]},{label},{split}\n" for name, (split, label) in EXPECTED.items())
FILES = dict.fromkeys(EXPECTED, b"") | {"labels.csv": f"filename,label,split\n{_ROWS}".encode()}
