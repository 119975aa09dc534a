"""Edge Impulse, boxes: `bounding_boxes.labels`, or `boundingBoxes` in `info.labels`.

Boxes are x, y, width and height in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgetl.data.container import Container
from edgetl.data.sources import Box, Listing
from edgetl.data.sources._boxes import BoxReading, corners_of_size, rows, text
from edgetl.data.sources._edge_impulse import (
    BOXES,
    INFO,
    entries,
    has_boxes,
    label_files,
    load,
)
from edgetl.data.split_names import split_of
from edgetl.types import Fact, LabelKind, Split


class EdgeImpulseBoxesSource:
    """Files with their boxes."""

    version = 1
    label_kind = LabelKind.BOXES
    expects = "an Edge Impulse export, training/ and testing/ with bounding_boxes.labels"

    def recognises(self, container: Container) -> bool:
        """Return whether there is a label file with boxes."""
        return bool(label_files(container, BOXES)) or any(
            has_boxes(container, file) for file in label_files(container, INFO)
        )

    def list(self, container: Container) -> Listing:
        """Return the images with their boxes.

        Raises:
            DataError: If a file cannot be read, only some images are in a split, or none is in
                train.
        """
        info = label_files(container, INFO)
        files = [file for file in info if has_boxes(container, file)]
        files = files or [*label_files(container, BOXES)]
        reading = BoxReading(container, "Edge Impulse", " and ".join(files))
        # Both kinds of files describe the same images; one without boxes is no other file.
        reading.files.extend(sorted({*info, *label_files(container, BOXES)}))
        for file in files:
            for path, split, boxes in _images(load(container, file)):
                image = reading.matching.image(path, file, file)
                if image is None:
                    continue
                if split:
                    reading.splits[image] = split
                kept = reading.boxes.setdefault(image, [])
                for position, box in enumerate(boxes):
                    where = f"{file}, {path}, box {position}"
                    try:
                        kept.append(Box(text(box, "label"), corners_of_size(box), where))
                    except ValueError as error:
                        reading.broken(f"{where}: {error}", image)
        return reading.listing()


def _images(content: Fact) -> Iterator[tuple[str, Split | None, Fact]]:
    """Yield the path, the split if it is stated, and the boxes of each image."""
    for entry in entries(content):
        split = split_of(str(entry.get("category")))
        yield str(entry.get("path")), split, rows(entry, "boundingBoxes")
    table = content.get("boundingBoxes") if isinstance(content, dict) else None
    for path, boxes in (table if isinstance(table, dict) else {}).items():
        yield path, None, boxes if isinstance(boxes, list) else ()


SOURCE = EdgeImpulseBoxesSource()
