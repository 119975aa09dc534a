"""The class is in the name of each file."""

from __future__ import annotations

FILES = {
    f"{split}/{label}.{number}.jpg": b""
    for split in ("train", "val", "test")
    for label in ("cat", "dog")
    for number in (1, 2)
}
EXPECTED = {name: (name.split("/")[0], name.split("/")[1][:3]) for name in FILES}
