"""TensorFlow's table of boxes, one per split."""

from __future__ import annotations

EXPECTED = {
    f"{split}/{split}{number}.jpg": (split, [("nut", (10.0, 20.0, 40.0, 60.0))])
    for split in ("train", "val", "test")
    for number in (1, 2)
}
_HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
FILES = dict.fromkeys(EXPECTED, b"") | {
    f"{split}/_annotations.csv": "".join(
        [_HEADER, *(f"{split}{number}.jpg,96,80,nut,10,20,40,60\n" for number in (1, 2))]
    ).encode()
    for split in ("train", "val", "test")
}
