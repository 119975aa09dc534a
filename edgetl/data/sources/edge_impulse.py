"""Edge Impulse, one class per image: `info.labels` with the label of each file."""

from __future__ import annotations

from edgetl.data.container import Container
from edgetl.data.sources import Listing
from edgetl.data.sources._classes import ClassReading
from edgetl.data.sources._edge_impulse import (
    BOXES,
    INFO,
    entries,
    has_boxes,
    label_files,
    load,
)
from edgetl.data.split_names import split_of
from edgetl.types import LabelKind


class EdgeImpulseSource:
    """Files with their classes in `info.labels`."""

    version = 1
    label_kind = LabelKind.CLASSES
    expects = "an Edge Impulse export, training/ and testing/ with info.labels"

    def recognises(self, container: Container) -> bool:
        """Return whether there is an `info.labels` without boxes."""
        files = label_files(container, INFO)
        with_boxes = label_files(container, BOXES) or any(
            has_boxes(container, file) for file in files
        )
        return bool(files) and not with_boxes

    def list(self, container: Container) -> Listing:
        """Return the images with their labels.

        Raises:
            DataError: If a file cannot be read, only some images are in a split, or none is in
                train.
        """
        files = label_files(container, INFO)
        reading = ClassReading(container, "Edge Impulse", " and ".join(files))
        reading.files.extend(files)
        for file in files:
            for position, entry in enumerate(entries(load(container, file))):
                where, path = f"{file}, file at position {position}", entry.get("path")
                image = reading.matching.image(str(path), file, where)
                label = entry.get("label")
                if image is None or not isinstance(label, dict):
                    continue
                name = label.get("label")
                if label.get("type") == "multi-label":
                    reading.several(f"{where}: {image} has labels for parts of it")
                elif label.get("type") == "label" and isinstance(name, str) and name.strip():
                    split = split_of(str(entry.get("category")))
                    reading.add(image, name.strip(), where, split)
        return reading.listing()


SOURCE = EdgeImpulseSource()
