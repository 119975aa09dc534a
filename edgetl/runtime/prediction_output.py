"""The output of predictions for images: lines for people, JSON for programs, and pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetl.runtime.errors import EdgetlRuntimeError, EdgetlUsageError, ImageError
from edgetl.runtime.image_file import read_image
from edgetl.runtime.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_SUFFIX = ".drawn"
_QUALITY = 92


@dataclass(frozen=True)
class PredictionText:
    """The output for one image."""

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
    report: Callable[[ImageError], None] | None = None,
) -> Iterator[PredictionText]:
    """Predict image after image.

    Args:
        predictor: Of a model that takes one image.
        images: Image files.
        top: Most classes or objects to print; None for the default of the task.
        threshold: Score threshold; the contract's if None.
        folder: For pictures of the images with their predictions; created if missing.
        report: Called with the error of each image that cannot be read, before the next image;
            None to raise the first one.

    Raises:
        ImageError: If an image cannot be read, and `report` is None.
        BundleError: If the model's outputs are not finite.
        EdgetlUsageError: If the model does not take one image, its task has no threshold, or a
            picture cannot be written.
    """
    used = predictor if threshold is None else predictor.with_threshold(threshold)
    labels = used.contract.labels
    files = [None] * len(images) if folder is None else drawn_files(images, folder)
    for path, file in zip(images, files):
        try:
            # All pixels at once are only needed to draw on them.
            image = None if file is None else read_image(path)
            prediction = used.predict(path) if image is None else used.predict_array(image)
        except ImageError as error:
            if report is None:
                raise
            report(error)
            continue
        row = {"image": str(path), **prediction.row(labels, top)}
        lines = [f"{path}: {line}" for line in prediction.lines(labels, top)]
        if file is not None and image is not None:
            _save(prediction.draw(image, labels, top), file)
            row["drawn"] = str(file)
            lines.append(f"{path}: drawn in {file}")
        yield PredictionText(tuple(lines), row)


def texts(
    predicted: Iterable[PredictionText], *, as_json: bool, encoding: str | None = None
) -> Iterator[str]:
    """Yield the output of a command: the lines of each image, or the rows of all as one JSON list.

    If an image fails, the list contains those before it.

    Args:
        predicted: As `predictions` yields them.
        as_json: Whether the output is JSON.
        encoding: Of the stream that it is printed on, UTF-8 if None: JSON escapes what that lacks.

    Raises:
        EdgetlRuntimeError: As `predicted` does, after the rows that it had yielded.
    """
    rows: list[dict[str, object]] = []
    try:
        for text in predicted:
            rows.append(text.row)
            if not as_json:
                yield "\n".join(text.lines)
    except EdgetlRuntimeError:
        if as_json and rows:
            yield _listed(rows, encoding)
        raise
    if as_json:
        yield _listed(rows, encoding)


def drawn_files(images: Sequence[Path], folder: Path) -> list[Path]:
    """Return a file in `folder` for the picture of each image, named after the image.

    Names are unique and differ from those of `images`, also if case is ignored, as some file
    systems do: ``dog.drawn.jpg``, ``dog.drawn-2.jpg``.
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


def _listed(rows: list[dict[str, object]], encoding: str | None) -> str:
    text = json.dumps(rows, indent=2, ensure_ascii=False)
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        # JSON's own escapes, which a stream would not use.
        return json.dumps(rows, indent=2)
    return text


def _save(picture: NDArray[np.uint8], file: Path) -> None:
    from PIL import Image

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Thin coloured lines would lose their colour at half its resolution.
        Image.fromarray(picture).save(file, quality=_QUALITY, subsampling=0)
    except OSError as error:
        raise EdgetlUsageError(
            f"cannot write '{file}': {error.strerror or error}",
            remedy="name another folder for the pictures",
        ) from error
