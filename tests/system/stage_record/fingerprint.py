"""What is kept of an artifact in the record: enough to see that it changed, on any machine.

Integers, texts and graphs are kept exactly, as they are or as a digest. Of floats some figures are
kept, as a processor changes them in the sixth digit. A digest of a file that holds such floats is
replaced by the name of the file.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgetl.store.store import Artifact
from edgetl.types import Fact, Facts
from tests.system.stage_record.condense import SOURCE, array, condensed
from tests.system.stage_record.model_files import onnx_graph, saved_weights, tflite_graph


def fingerprint(artifact: Artifact, names: Mapping[str, str]) -> Facts:
    """Return facts and files of `artifact` as they stand in the record.

    Args:
        artifact: What a stage made.
        names: What is called otherwise on every machine, such as digests and keys, to its name.
    """
    digests = {
        name: digest
        for name, digest in artifact.manifest.files.items()
        if names.get(digest) != SOURCE
    }
    # A file may name another one of the same artifact by its digest.
    inside = {digest: f"{artifact.manifest.label}/{name}" for name, digest in digests.items()}
    return {
        "facts": condensed(artifact.manifest.facts, names),
        "files": {
            name: names.get(digest) or _content(artifact.folder / name, {**inside, **names})
            for name, digest in digests.items()
        },
    }


def _content(path: Path, names: Mapping[str, str]) -> Fact:
    if path.suffix == ".json":
        return condensed(json.loads(path.read_text("utf-8")), names)
    read = _READERS.get(path.suffix)
    # What is not known is compared byte by byte.
    return read(path) if read else array(np.frombuffer(path.read_bytes(), np.uint8))


def _table(path: Path) -> Facts:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    columns = zip(header, zip(*rows, strict=True), strict=True)
    return {name: condensed([_cell(text) for text in cells], {}) for name, cells in columns}


def _cell(text: str) -> Fact:
    try:
        return float(text)
    except ValueError:
        return text


def predictions(path: Path) -> Facts:
    """Return the arrays of an `.npz` file."""
    with np.load(path) as loaded:
        return {name: array(values) for name, values in _by_place(dict(loaded)).items()}


def _by_place(arrays: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Return predictions with the boxes of each image in the order of their corners.

    They come in the order of their scores, where rounding decides between two that are close.
    """
    if not {"boxes", "offsets"} <= arrays.keys():
        return arrays
    ends = arrays["offsets"][1:]
    image = np.searchsorted(ends, np.arange(len(arrays["boxes"])), side="right")
    order = np.lexsort([*arrays["boxes"].T[::-1], image])
    return {
        name: values[order] if len(values) == len(order) else values
        for name, values in arrays.items()
    }


def _picture(path: Path) -> Facts:
    # The figures that stand in a picture may be rounded the other way.
    with Image.open(path) as image:
        return array(np.asarray(image), exact=False)


_READERS: Mapping[str, Callable[[Path], Facts]] = {
    ".csv": _table,
    ".npy": lambda path: array(np.load(path)),
    ".npz": predictions,
    ".onnx": onnx_graph,
    ".png": _picture,
    ".safetensors": saved_weights,
    ".tflite": tflite_graph,
}
