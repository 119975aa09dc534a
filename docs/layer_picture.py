"""Draw the rooms of the package, from the table of the page on architecture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Final

MARK: Final = "<!-- rooms -->"
"""Stands where the page has the picture."""
_ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \| ", flags=re.MULTILINE)
_WIDTH, _HEIGHT, _GAP = 640, 26, 6


def rooms(page: str) -> list[list[str]]:
    """Return the names in each row of the table below the heading of the rooms, from the top."""
    section = page.partition("\n## Rooms\n")[2].partition("\n## ")[0]
    return [re.findall(r"\w+", names) for names in _ROW.findall(section)]


def picture(rows: Sequence[Sequence[str]]) -> str:
    """Return an SVG: one floor for each row, on which every room only uses the floors below."""
    height = len(rows) * (_HEIGHT + _GAP)
    lines = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" style="max-width: 40rem" role="img"',
        '  aria-label="Rooms, from top to bottom" font-size="13" text-anchor="middle">',
    ]
    for number, names in enumerate(rows):
        top = number * (_HEIGHT + _GAP)
        width = (_WIDTH - _GAP * (len(names) - 1)) / len(names)
        for column, name in enumerate(names):
            left = column * (width + _GAP)
            lines.append(
                f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_HEIGHT}" rx="4" '
                'fill="teal" fill-opacity="0.15" stroke="teal"/>'
            )
            middle = f'x="{left + width / 2:.1f}" y="{top + 18}"'
            lines.append(f'<text {middle} fill="currentColor">{escape(name)}</text>')
    return "\n".join([*lines, "</svg>"])
