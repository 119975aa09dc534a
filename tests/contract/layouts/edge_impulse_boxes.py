"""Edge Impulse with boxes."""

from __future__ import annotations

import json

_SPLITS = {"training": "train", "testing": "test"}
EXPECTED = {
    f"{folder}/{folder}.{number}.jpg": (split, [("nut", (10.0, 20.0, 40.0, 60.0))])
    for folder, split in _SPLITS.items()
    for number in (1, 2)
}
_BOX = {"label": "nut", "x": 10, "y": 20, "width": 30, "height": 40}
FILES = dict.fromkeys(EXPECTED, b"") | {
    f"{folder}/bounding_boxes.labels": json.dumps(
        {
            "version": 1,
            "type": "bounding-box-labels",
            "boundingBoxes": {f"{folder}.{number}.jpg": [_BOX] for number in (1, 2)},
        }
    ).encode()
    for folder in _SPLITS
}
