"""COCO, a file per split."""

from __future__ import annotations

import json

EXPECTED = {
    f"{split}/{split}{number}.jpg": (split, [("nut", (10.0, 20.0, 40.0, 60.0))])
    for split in ("train", "val", "test")
    for number in (1, 2)
}
FILES = dict.fromkeys(EXPECTED, b"") | {
    f"{split}/_annotations.coco.json": json.dumps(
        {
            "images": [{"id": n, "file_name": f"{split}{n}.jpg"} for n in (1, 2)],
            "annotations": [
                {"id": n, "image_id": n, "category_id": 1, "bbox": [10, 20, 30, 40]} for n in (1, 2)
            ],
            "categories": [{"id": 1, "name": "nut"}],
        }
    ).encode()
    for split in ("train", "val", "test")
}
