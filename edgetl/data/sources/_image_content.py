"""Recognise images by their first bytes, where the name does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from posixpath import basename, splitext

from edgetl.data.container import Container
from edgetl.data.sources._files import has_image_suffix
from edgetl.runtime.errors import ImageError

_STARTS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM.{4}\0{4}|RIFF.{4}WEBP|"
    rb".{4}ftyp(?:avif|heic|heix|mif1)|\0\0\0\x0cjP  \r\n|II\*\0|MM\0\*",
    re.DOTALL,
)
_OTHER_SUFFIXES = frozenset(
    {".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".rst", ".html"}
    | {".htm", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".ini", ".cfg", ".toml"}
    | {".log", ".py", ".ipynb", ".js", ".c", ".cpp", ".h", ".sh", ".bat", ".m", ".r", ".names"}
    | {".labels", ".data", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".npy"}
    | {".npz", ".h5", ".hdf5", ".pkl", ".mat", ".parquet", ".tfrecord", ".record", ".pt", ".pth"}
    | {".onnx", ".tflite", ".pb", ".bin", ".db", ".sqlite", ".mp4", ".avi", ".mov", ".mkv", ".wav"}
    | {".mp3", ".webm", ".svg", ".psd", ".ai", ".eps", ".dcm", ".nii", ".exe", ".dll", ".lnk"}
    | {".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".xmp"}
)
"""Of files that are no images, or raw ones of cameras, which start like TIFF."""


def images_by_content(container: Container, names: Iterable[str]) -> tuple[str, ...]:
    """Return which of the files start like an image, although they have no suffix of one."""
    return tuple(
        name
        for name in names
        if not has_image_suffix(name)
        and splitext(basename(name))[1].lower() not in _OTHER_SUFFIXES
        and basename(name).lower() != "thumbs.db"
        and _starts_like_an_image(container, name)
    )


def _starts_like_an_image(container: Container, name: str) -> bool:
    try:
        return bool(_STARTS.match(container.read(name)))
    except ImageError:
        return False
