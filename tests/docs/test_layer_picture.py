"""The picture of the rooms has those of the package, in the order that imports obey."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from defusedxml.ElementTree import fromstring

from docs.layer_picture import MARK, picture, rooms

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def _layers() -> list[set[str]]:
    """Return the layers that `tests/test_layers.py` enforces."""
    tree = ast.parse((_ROOT / "tests" / "test_layers.py").read_text(encoding="utf-8"))
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "_LAYERS"
    )
    return [set(names) for names in ast.literal_eval(value)]


def test_page_lists_folders_and_plugins_in_the_order_of_the_layers() -> None:
    folders = {each.parent.name for each in (_ROOT / "edgetl").glob("*/__init__.py")}
    layers = [layer & {*folders, "plugins"} for layer in _layers()]
    assert [set(row) for row in rooms(_PAGE)] == [layer for layer in layers if layer]


def test_picture_has_a_box_with_a_name_for_each_room() -> None:
    drawn = fromstring(picture([["cli"], ["gate", "report"]]))
    assert [each.text for each in drawn.iter("text")] == ["cli", "gate", "report"]
    boxes = [(float(each.attrib["x"]), float(each.attrib["width"])) for each in drawn.iter("rect")]
    assert boxes == [(0.0, 640.0), (0.0, 317.0), (323.0, 317.0)]
    assert len({each.attrib["y"] for each in drawn.iter("rect")}) == 2


def test_page_has_a_place_for_the_picture() -> None:
    assert len(re.findall(re.escape(MARK), _PAGE)) == 1
