"""Say what a file with the suffix of a model is instead, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from edgetl.placeholder import Placeholder

_HEAD_BYTES = 16
_TFLITE = b"TFL3"
"""Stands after the first four bytes of every TFLite file."""
_TFLITE_AT = 4
_ONNX = b"\x08"
"""The key of the field that exporters write first: the IR version."""
_OTHERS = {
    b"PK\x03\x04": (
        "is a zip, as PyTorch checkpoints and Keras models are",
        "export the model to {format} in the program that wrote it, or unpack a zip of models",
    ),
    b"\x89HDF": ("is an HDF5 file of Keras", "convert it with tf.lite.TFLiteConverter"),
    b"\x1f\x8b": ("is packed by gzip", "unpack it with gunzip"),
    b"\x80": ("is a pickled Python object", "export the model to {format} in Python"),
}
"""How other formats begin, with what they are and what leads to a model file."""
_SUFFIXES = {"ONNX": ".onnx", "TFLite": ".tflite"}


def what_instead(model: Path, format_name: str) -> Placeholder | None:
    """Return what `model`, which cannot be read, is; None if nothing is known of it.

    Args:
        model: A file.
        format_name: ``ONNX`` or ``TFLite``, which it should be.

    Raises:
        OSError: If the file cannot be read.
    """
    with model.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    actual = _format_of(head)
    if actual == format_name:
        return Placeholder(
            f"cannot be read as {format_name}: it begins like a model and is cut short or damaged",
            "copy or download it again, and compare sizes",
        )
    if actual:
        return Placeholder(
            f"is a {actual} file", f"rename it so that it ends with {_SUFFIXES[actual]}"
        )
    for magic, (what, remedy) in _OTHERS.items():
        if head.startswith(magic):
            return Placeholder(what, remedy.format(format=format_name))
    return None


def _format_of(head: bytes) -> str:
    if head[_TFLITE_AT:].startswith(_TFLITE):
        return "TFLite"
    return "ONNX" if head.startswith(_ONNX) else ""
