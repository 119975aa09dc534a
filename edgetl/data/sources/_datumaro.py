"""Read the JSON files of Datumaro: `annotations/SPLIT.json` with items and categories."""

from __future__ import annotations

from edgetl.data.container import Container
from edgetl.data.sources._boxes import rows
from edgetl.data.sources._json import read_json
from edgetl.errors import DataError
from edgetl.types import Fact


def load(container: Container, file: str) -> Fact:
    """Return the content of a file.

    Raises:
        DataError: If it is not valid JSON.
    """
    try:
        return read_json(container, file)
    except ValueError as error:
        raise DataError(f"{file}: {error}", remedy="export it again") from error


def names_of(content: Fact, file: str) -> list[str]:
    """Return the names of the labels, in the order of their numbers.

    Raises:
        DataError: If there are none.
    """
    categories = content.get("categories") if isinstance(content, dict) else None
    labels = rows(categories, "label", "labels")
    names = [label.get("name") for label in labels if isinstance(label, dict)]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise DataError(
            f"{file}: `categories: label: labels` names no labels",
            remedy="export it again with labels, or exclude it with `data: {exclude: [...]}`",
        )
    return [str(name) for name in names]


def path_of(item: Fact) -> str:
    """Return the path of an item's image, which older versions only give as its id."""
    if not isinstance(item, dict):
        return ""
    for key in ("image", "media"):
        media = item.get(key)
        if isinstance(media, dict) and isinstance(media.get("path"), str) and media["path"]:
            return str(media["path"])
    return str(item.get("id") or "")
