"""COCO annotations with an image and a category alone, as iNaturalist has; a file per split."""

from __future__ import annotations

import json

_LABELS = ("cat", "dog")
EXPECTED = {
    f"{split}/{number}.jpg": (split, label)
    for split in ("train", "val", "test")
    for number, label in enumerate(_LABELS)
}


def _annotations(split: str) -> bytes:
    images = [name for name in EXPECTED if name.startswith(f"{split}/")]
    return json.dumps(
        {
            "images": [{"id": i, "file_name": name} for i, name in enumerate(images)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": _LABELS.index(EXPECTED[name][1])}
                for i, name in enumerate(images)
            ],
            "categories": [{"id": i, "name": label} for i, label in enumerate(_LABELS)],
        }
    ).encode()


FILES = dict.fromkeys(EXPECTED, b"") | {
    f"annotations/{split}2019.json": _annotations(split) for split in ("train", "val", "test")
}
