"""Pascal VOC, a file beside each image."""

from __future__ import annotations

EXPECTED = {
    f"{split}/{split}{number}.jpg": (split, [("nut", (10.0, 20.0, 40.0, 60.0))])
    for split in ("train", "val", "test")
    for number in (1, 2)
}
_XML = (
    "<annotation><object><name>nut</name><bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40</xmax>"
    "<ymax>60</ymax></bndbox></object></annotation>"
)
FILES = dict.fromkeys(EXPECTED, b"") | {f"{name[:-4]}.xml": _XML.encode() for name in EXPECTED}
