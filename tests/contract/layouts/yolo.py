"""YOLO Darknet, with a file of names in each split."""

from __future__ import annotations

EXPECTED = {
    f"{split}/{split}{number}.jpg": (split, [("nut", (0.25, 0.25, 0.75, 0.5))])
    for split in ("train", "val", "test")
    for number in (1, 2)
}
FILES = (
    dict.fromkeys(EXPECTED, b"")
    | {f"{name[:-4]}.txt": b"1 0.5 0.375 0.5 0.25\n" for name in EXPECTED}
    | {f"{split}/_darknet.labels": b"gear\nnut" for split in ("train", "val", "test")}
)
