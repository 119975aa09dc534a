"""Datumaro as exported by CVAT."""

from __future__ import annotations

import json

EXPECTED = {
    f"images/{split}/{split}{number}.jpg": (split, [("nut", (10.0, 20.0, 40.0, 60.0))])
    for split in ("train", "val", "test")
    for number in (1, 2)
}
_BOX = {"id": 0, "type": "bbox", "label_id": 1, "bbox": [10.0, 20.0, 30.0, 40.0]}
FILES = dict.fromkeys(EXPECTED, b"") | {
    f"annotations/{split}.json": json.dumps(
        {
            "info": {},
            "categories": {"label": {"labels": [{"name": "gear"}, {"name": "nut"}]}},
            "items": [
                {
                    "id": f"{split}{number}",
                    "annotations": [_BOX],
                    "image": {"path": f"{split}{number}.jpg", "size": [80, 96]},
                }
                for number in (1, 2)
            ],
        }
    ).encode()
    for split in ("train", "val", "test")
}
