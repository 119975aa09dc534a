"""Contracts of schema 1, from before there were several files and inputs, as schema 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgetl.runtime.json_table import JsonTable

_FIT_KEYS = ("height", "width", "fit", "filter", "pad", "anchor")
_NMS_KEYS = {"score": "score_threshold", "limit": "max_detections"}


def upgraded(table: JsonTable) -> dict[str, Any]:
    """Return the content of a schema-1 contract under the keys of schema 2.

    Sizes and digests of files are unknown. Values are passed on unchecked; reading the result as
    schema 2 checks them.

    Raises:
        ContractError: If a key of schema 1 that schema 2 has elsewhere is missing or no table.
    """
    given, fit = table.table("input"), table.table("preprocess")
    image = {key: fit.take(key, (object,)) for key in _FIT_KEYS if fit.has(key)}
    name = given.take("name", (str,))
    data: dict[str, Any] = {
        "files": [{"name": table.take("file", (str,))}],
        "inputs": [{"name": name, "tensor": name, "kind": "image", **image}],
        "outputs": [_output(row) for row in table.tables("outputs")],
    }
    for key in ("task", "labels", "format", "precision", "provider"):
        if table.has(key):
            data[key] = table.take(key, (object,))
    if table.has("suppression"):
        data["operating_point"] = {"nms": _nms(table.table("suppression"))}
    return data


def _output(row: JsonTable) -> dict[str, Any]:
    # Outputs were named by their meaning.
    name = row.take("name", (str,))
    return {
        "name": name,
        "tensor": row.take("tensor", (str,)),
        "shape": row.take("shape", (list,)),
        "kind": name,
    }


def _nms(old: JsonTable) -> dict[str, Any]:
    keys = [key for key in ("score", "iou", "limit", "mode") if old.has(key)]
    return {_NMS_KEYS.get(key, key): old.take(key, (object,)) for key in keys}
