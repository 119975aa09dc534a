"""One folder per class in each split."""

from __future__ import annotations

FILES = {
    f"{split}/{label}/{number}.jpg": b""
    for number, (split, label) in enumerate(
        (split, label) for split in ("train", "val", "test") for label in ("cat", "dog")
    )
}
EXPECTED = {name: (name.split("/")[0], name.split("/")[1]) for name in FILES}
