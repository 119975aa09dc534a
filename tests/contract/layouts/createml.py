"""CreateML as exported by Roboflow."""

from __future__ import annotations

import json

EXPECTED = {
    f"{split}/{split}{number}.jpg": (split, [("nut", (10.0, 20.0, 40.0, 60.0))])
    for split in ("train", "val", "test")
    for number in (1, 2)
}
_BOX = {"label": "nut", "coordinates": {"x": 25, "y": 40, "width": 30, "height": 40}}
FILES = dict.fromkeys(EXPECTED, b"") | {
    f"{split}/_annotations.createml.json": json.dumps(
        [{"image": f"{split}{number}.jpg", "annotations": [_BOX]} for number in (1, 2)]
    ).encode()
    for split in ("train", "val", "test")
}
