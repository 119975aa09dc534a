"""Roboflow's multi-label classification, one table per split."""

from __future__ import annotations

EXPECTED = {
    f"{split}/{split}{label}.jpg": (split, label)
    for split in ("train", "val", "test")
    for label in ("cat", "dog")
}
FILES = dict.fromkeys(EXPECTED, b"") | {
    f"{split}/_classes.csv": "\n".join(
        ["filename, cat, dog", f"{split}cat.jpg, 1, 0", f"{split}dog.jpg, 0, 1"]
    ).encode()
    for split in ("train", "val", "test")
}
