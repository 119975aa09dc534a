"""Edge Impulse with one class per image."""

from __future__ import annotations

import json

_SPLITS = {"training": "train", "testing": "test"}
EXPECTED = {
    f"{folder}/{label}.{folder}.jpg": (split, label)
    for folder, split in _SPLITS.items()
    for label in ("cat", "dog")
}
FILES = dict.fromkeys(EXPECTED, b"") | {
    f"{folder}/info.labels": json.dumps(
        {
            "version": 1,
            "files": [
                {
                    "path": f"{label}.{folder}.jpg",
                    "category": folder,
                    "label": {"type": "label", "label": label},
                }
                for label in ("cat", "dog")
            ],
        }
    ).encode()
    for folder in _SPLITS
}
