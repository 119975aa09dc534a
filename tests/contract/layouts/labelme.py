"""LabelMe, a file per image."""

from __future__ import annotations

import json

EXPECTED = {
    f"{split}/{split}{number}.jpg": (split, [("nut", (10.0, 20.0, 40.0, 60.0))])
    for split in ("train", "val", "test")
    for number in (1, 2)
}
_SHAPE = {"label": "nut", "points": [[10, 60], [40, 20]], "shape_type": "rectangle"}
FILES = dict.fromkeys(EXPECTED, b"") | {
    f"{name[:-4]}.json": json.dumps(
        {
            "version": "5.0",
            "flags": {},
            "shapes": [_SHAPE],
            "imagePath": name.split("/")[1],
            "imageData": None,
            "imageHeight": 80,
            "imageWidth": 96,
        }
    ).encode()
    for name in EXPECTED
}
