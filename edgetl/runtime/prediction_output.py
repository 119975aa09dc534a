"""What a command prints for images: lines for people, rows for programs, pictures for both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetl.runtime.errors import EdgetlRuntimeError, EdgetlUsageError, ImageError
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.preprocess import read_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_SUFFIX = ".drawn"
_QUALITY = 92


@dataclass(frozen=True)
class PredictionText:
    """What is printed for one image."""

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
        top: At most how many classes or objects; None for what is usual in the task.
        threshold: Score threshold; the contract's if None.
        folder: Where each image is drawn with its prediction; made if it is missing.
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
            image = read_image(path)
        except ImageError as error:
            if report is None:
                raise
            report(error)
            continue
        prediction = used.predict_array(image)
        row = {"image": str(path), **prediction.row(labels, top)}
        lines = [f"{path}: {line}" for line in prediction.lines(labels, top)]
        if file is not None:
            _save(prediction.draw(image, labels, top), file)
            row["drawn"] = str(file)
            lines.append(f"{path}: drawn in {file}")
        yield PredictionText(tuple(lines), row)


def texts(predicted: Iterable[PredictionText], *, as_json: bool) -> Iterator[str]:
    """Yield what a command prints: the lines of each image, or the rows of all as one JSON list.

    If an image fails, the list holds those before it.

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
