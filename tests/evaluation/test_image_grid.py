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
    # Its lines are two pixels wide.
    assert len(rows) == 160 * 80 - 156 * 76


def _places(image: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return the smallest box, x0 y0 x1 y1 with both ends, that holds all of a colour."""
    rows, columns = np.nonzero((image == np.array(colour, np.uint8)).all(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def test_tiles_stand_below_the_legend_with_a_margin_around_each() -> None:
    colours = [(200, 10 * i, 0) for i in range(6)]
    tiles = [Tile(np.full((64, 64, 3), colour, np.uint8), ("a", "")) for colour in colours]
    image = grid(tiles, [])
    # Of each row: 320 pixels, two lines of 18 each, two margins of 6. The legend: 18 + 6.
    assert image.shape == (2 * (320 + 36 + 12) + 24, 4 * 326 + 6, 3)
    assert [_places(image, colour)[:2] for colour in colours] == [
        (6, 24),
        (332, 24),
        (658, 24),
        (984, 24),
        (6, 392),
        (332, 392),
    ]
    assert [_places(image, colour)[2:] for colour in colours[:2]] == [(325, 343), (651, 343)]
    assert tuple(image[0, 0]) == (24, 24, 24)


def test_lines_stand_below_their_image_one_below_the_other() -> None:
    image = grid([Tile(GREY, ("III", "II"))], [])
    is_ink = (image > 200).all(axis=2)
    rows, columns = np.nonzero(is_ink)
    # Of a line of 13 pixels, an I takes rows 4 to 12; the second line is 18 below the first.
    assert {*rows} == {*range(348, 357), *range(366, 375)}
    assert 6 <= columns.min() <= 9
    assert columns[rows < 362].max() > columns[rows >= 362].max()


def test_legend_is_squares_each_followed_by_its_text() -> None:
    image = grid([Tile(GREY, ("caption",))], [("I", LABELLED), ("I", PREDICTED)])
    assert _places(image, LABELLED) == (6, 6, 19, 18)
    left, top, right, bottom = _places(image, PREDICTED)
    assert (right - left, top, bottom) == (13, 6, 18)
    columns = np.nonzero((image[:24] > 200).all(axis=2).any(axis=0))[0]
    # The text begins 6 pixels after its square; after it, 18 are free.
    first, second = columns[columns < left], columns[columns > right]
    assert 25 <= first.min() <= 28
    assert 18 <= left - first.max() <= 22
    assert first.min() - 6 == second.min() - left
    # It stands at row 4, and an I takes rows 4 to 12 of it.
    assert {*np.nonzero((image[:24] > 200).all(axis=2))[0]} == {*range(8, 17)}


def test_text_of_a_box_stands_above_its_corner_and_inside_the_image() -> None:
    box = np.array([16, 16, 48, 32], np.float32)
    plain, marked = (
        grid([Tile(GREY, ("a",), (Mark(box, PREDICTED, text),))], []) for text in ("", "II")
    )
    rows, columns = np.nonzero((plain != marked).any(axis=2))
    # The corner is at (80, 80) of an image at (6, 24); the text 3 to the right and 15 above it. The
    # letters take rows 4 to 12 and columns 0 to 5, and one more on each side for their outline.
    assert (rows.min(), rows.max()) == (24 + 65 + 3, 24 + 65 + 13)
    assert (columns.min(), columns.max()) == (6 + 83 - 1, 6 + 83 + 6)
    assert (marked[rows, columns] == 0).all(axis=1).any()
    at_top = np.array([0, 0, 48, 32], np.float32)
    plain, marked = (
        grid([Tile(GREY, ("a",), (Mark(at_top, PREDICTED, text),))], []) for text in ("", "II")
    )
    rows, _ = np.nonzero((plain != marked).any(axis=2))
    assert 24 <= rows.min() <= 24 + 4


def test_box_without_an_area_is_drawn_as_a_point() -> None:
    box = np.array([16, 16, 16, 16], np.float32)
    left, top, right, bottom = _places(
        grid([Tile(GREY, ("a",), (Mark(box, PREDICTED),))], []), PREDICTED
    )
    # Its lines are two pixels wide, around (80, 80) of an image at (6, 24).
    assert 85 <= left <= right <= 88
    assert 103 <= top <= bottom <= 106


def test_image_that_is_not_square_fills_its_tile() -> None:
    mark = Mark(np.array([0, 0, 32, 16], np.float32), PREDICTED)
    image = grid([Tile(GREY[:16, :32], ("a",), (mark,))], [])
    assert _places(image, PREDICTED) == (6, 24, 325, 343)


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
    image = grid([Tile(GREY, (name,))], LEGEND)
    assert image.shape[1] < 400
    # The line is as wide as the image, less one letter at most, and ends as another one does.
    columns = np.nonzero((image[344:] > 200).all(axis=2).any(axis=0))[0]
    assert 300 <= columns.max() <= 326
    width = grid([Tile(GREY, ("...s äöü.jpg",))], LEGEND)
    tail = np.nonzero((width[344:] > 200).all(axis=2).any(axis=0))[0]
    end = slice(344, 362)
    shift = columns.max() - tail.max()
    assert (
        width[end, tail.max() - 50 : tail.max()]
        == image[end, tail.max() - 50 + shift : tail.max() + shift]
    ).all()


def test_names_are_transliterated_for_the_font() -> None:
    marked, plain = (grid([Tile(GREY, (name,))], []) for name in ("Schräubchen", "Schraeubchen"))
    assert marked.tobytes() == plain.tobytes()


def test_same_images_give_the_same_bytes() -> None:
    mark = Mark(np.array([1, 1, 60, 60], np.float32), LABELLED, "Schräubchen 0.98")
    first, second = (grid([Tile(GREY, ("x",), (mark,))], LEGEND) for _ in range(2))
    assert first.tobytes() == second.tobytes()
