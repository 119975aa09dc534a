from __future__ import annotations

import numpy as np
import pytest

from edgetl.evaluation.image_grid import LABELLED, PREDICTED, Mark, Tile, grid

GREY = np.full((64, 64, 3), 128, np.uint8)
LEGEND = [("labelled", LABELLED), ("predicted", PREDICTED)]


def has(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((image == np.array(colour, np.uint8)).all(axis=2).any())


def test_box_is_drawn_at_its_position_in_the_image() -> None:
    mark = Mark(np.array([16, 16, 48, 32], np.float32), PREDICTED)

    # Without a legend the box alone has its colour.
    image = grid([Tile(GREY, ("caption",), (mark,))], [])

    rows, columns = np.nonzero((image == np.array(PREDICTED, np.uint8)).all(axis=2))
    # An image of 64 pixels is drawn five times as large.
    assert (columns.max() - columns.min() + 1, rows.max() - rows.min() + 1) == (160, 80)


def test_legend_shows_each_colour() -> None:
    assert has(grid([Tile(GREY, ("caption",))], LEGEND), LABELLED)
    assert has(grid([Tile(GREY, ("caption",))], LEGEND), PREDICTED)


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 1, 1), (4, 4, 1), (5, 4, 2), (12, 4, 3)]
)
def test_images_are_laid_out_in_up_to_four_columns(count: int, columns: int, rows: int) -> None:
    height, width, _ = grid([Tile(GREY, ("a", "b"))] * count, LEGEND).shape

    assert width // 320 == columns
    assert height // 320 == rows


def test_long_names_keep_their_end_and_do_not_break() -> None:
    name = "folder/" * 30 + "image with spaces and umlauts äöü.jpg"
    assert grid([Tile(GREY, (name,))], LEGEND).shape[1] < 400


def test_names_are_transliterated_for_the_font() -> None:
    marked, plain = (grid([Tile(GREY, (name,))], []) for name in ("Schräubchen", "Schraeubchen"))
    assert marked.tobytes() == plain.tobytes()


def test_same_images_give_the_same_bytes() -> None:
    mark = Mark(np.array([1, 1, 60, 60], np.float32), LABELLED, "Schräubchen 0.98")
    first, second = (grid([Tile(GREY, ("x",), (mark,))], LEGEND) for _ in range(2))
    assert first.tobytes() == second.tobytes()
