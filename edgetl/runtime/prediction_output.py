"""What a command says of images: lines for people, rows for programs, pictures for both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetl.runtime.errors import EdgetlRuntimeError, EdgetlUsageError
from edgetl.runtime.predictor import Prediction, Predictor
from edgetl.runtime.preprocess import read_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgetl.runtime.detections import Detections

_SUFFIX = ".drawn"
_QUALITY = 92


@dataclass(frozen=True)
class PredictionText:
    """What is said of one image."""

    lines: tuple[str, ...]
    row: dict[str, object]
    """The same as plain JSON."""


def predictions(
    predictor: Predictor,
    images: Sequence[Path],
    *,
    top: int | None = None,
    threshold: float | None = None,
    folder: Path | None = None,
) -> Iterator[PredictionText]:
    """Answer image after image.

    Args:
        predictor: Of either task.
        images: Image files.
        top: How many classes, 1 if None; or at most how many objects, all if None.
        threshold: The score that an object has at least; the contract's if None.
        folder: Where each image is drawn with its answer; made if it is missing.

    Raises:
        ImageError: If an image cannot be read.
        BundleError: If the model answers with something that is no number.
        EdgetlUsageError: If a classifier gets a threshold, or a picture cannot be written.
    """
    asked = predictor if threshold is None else predictor.with_threshold(threshold)
    files = [None] * len(images) if folder is None else drawn_files(images, folder)
    for path, file in zip(images, files):
        image = read_image(path)
        found = asked.predict_array(image)
        labels = asked.contract.labels
        if isinstance(found, Prediction):
            lines, row = _classes(found, labels, top or 1)
        else:
            lines, row = _objects(found, labels, len(found) if top is None else top)
        row = {"image": str(path), **row}
        lines = [f"{path}: {line}" for line in lines]
        if file is not None:
            _save(_picture(image, found, labels, top), file)
            row["drawn"] = str(file)
            lines.append(f"{path}: drawn in {file}")
        yield PredictionText(tuple(lines), row)


def texts(found: Iterable[PredictionText], *, as_json: bool) -> Iterator[str]:
    """Yield what a command prints: the lines of each answer, or the rows of all as one JSON list.

    If an image cannot be answered, the list holds those before it.

    Raises:
        EdgetlRuntimeError: As `found` does, after the rows that it had yielded.
    """
    rows: list[dict[str, object]] = []
    try:
        for predict_array in found:
            rows.append(predict_array.row)
            if not as_json:
                yield "\n".join(predict_array.lines)
    except EdgetlRuntimeError:
        if as_json and rows:
            yield _listed(rows)
        raise
    if as_json:
        yield _listed(rows)


def drawn_files(images: Sequence[Path], folder: Path) -> list[Path]:
    """Return a file in `folder` for the picture of each image, named after the image.

    None is one of `images`, and no two are the same: ``dog.drawn.jpg``, ``dog.drawn-2.jpg``. Where
    file systems ignore case, so does this.
    """
    taken = {str(image.resolve()).casefold() for image in images}
    files: list[Path] = []
    for image in images:
        number = 1
        file = folder / f"{image.stem}{_SUFFIX}.jpg"
        while str(file.resolve()).casefold() in taken:
            number += 1
            file = folder / f"{image.stem}{_SUFFIX}-{number}.jpg"
        taken.add(str(file.resolve()).casefold())
        files.append(file)
    return files


def _listed(rows: list[dict[str, object]]) -> str:
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _classes(
    found: Prediction, labels: Sequence[str], count: int
) -> tuple[list[str], dict[str, object]]:
    best = found.top(count)
    line = ", ".join(f"{labels[index]} {found.probabilities[index]:.4f}" for index in best)
    rows = [{"label": labels[i], "probability": found.probabilities[i]} for i in best]
    return [line], {"label": found.label, "top": rows}


def _objects(
    found: Detections, labels: Sequence[str], count: int
) -> tuple[list[str], dict[str, object]]:
    lines: list[str] = []
    rows: list[dict[str, object]] = []
    for label, score, box in zip(
        found.labels[:count].tolist(), found.scores[:count].tolist(), found.boxes[:count].tolist()
    ):
        corners = " ".join(f"{value:.1f}" for value in box)
        lines.append(f"{labels[label]} {score:.4f} at {corners}")
        rows.append({"label": labels[label], "score": score, "box": box})
    return lines or ["nothing found"], {"objects": rows}


def _picture(
    image: NDArray[np.uint8], found: Prediction | Detections, labels: Sequence[str], top: int | None
) -> NDArray[np.uint8]:
    # Here, because Pillow's drawing takes long to import.
    from edgetl.runtime.detections import Detections
    from edgetl.runtime.draw import draw_detections, draw_label

    if isinstance(found, Prediction):
        text = "\n".join(
            f"{labels[index]} {found.probabilities[index]:.2f}" for index in found.top(top or 1)
        )
        return draw_label(image, text)
    shown = Detections(found.boxes[:top], found.scores[:top], found.labels[:top])
    return draw_detections(image, shown, labels)


def _save(picture: NDArray[np.uint8], file: Path) -> None:
    from PIL import Image

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Thin coloured lines would lose their colour at half its resolution.
        Image.fromarray(picture).save(file, quality=_QUALITY, subsampling=0)
    except OSError as error:
        raise EdgetlUsageError(
            f"cannot write '{file}': {error.strerror or error}",
            remedy="name another folder to draw in",
        ) from error
