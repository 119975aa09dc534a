"""Datumaro with a label for each image."""

from __future__ import annotations

import json

EXPECTED = {
    f"images/{split}/{split}{label}.jpg": (split, label)
    for split in ("train", "val", "test")
    for label in ("cat", "dog")
}
FILES = dict.fromkeys(EXPECTED, b"") | {
    f"annotations/{split}.json": json.dumps(
        {
            "info": {},
            "categories": {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}},
            "items": [
                {
                    "id": f"{split}{label}",
                    "annotations": [{"id": 0, "type": "label", "label_id": number}],
                    "image": {"path": f"{split}{label}.jpg", "size": [80, 96]},
                }
                for number, label in enumerate(("cat", "dog"))
            ],
        }
    ).encode()
    for split in ("train", "val", "test")
}
