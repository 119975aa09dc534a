"""Standard streams that print any text, whatever their encoding is."""

from __future__ import annotations

import codecs
import io
import sys


def escape_unprintable() -> None:
    r"""Let standard output and error print ``\xd6`` for an ``Ö`` that their encoding lacks.

    An old locale, or file names that are not text, would end in a `UnicodeEncodeError`. Streams in
    UTF-8 that pass such names on as they are, as Python's do in the C locale, stay so.
    """
    for stream in (sys.stdout, sys.stderr):
        # Anything else is no stream of the system, for example in a notebook.
        if isinstance(stream, io.TextIOWrapper) and not _prints_anything(stream):
            stream.reconfigure(errors="backslashreplace")


def _prints_anything(stream: io.TextIOWrapper) -> bool:
    if stream.errors == "surrogateescape":
        return codecs.lookup(stream.encoding).name == "utf-8"
    return stream.errors != "strict"
