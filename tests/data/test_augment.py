from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgetl.data.augment import View, make_view, show_view, view_number
from edgetl.data.levels import Level, num_views
from edgetl.runtime.preprocess import Preprocess, fit_image, place

SQUARE = Preprocess(32, 32, "stretch", "bilinear", 114)
IMAGE = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).permute(
    2, 0, 1
)


def changed(level: Level, number: int) -> torch.Tensor:
    view = make_view(level, number, content="ab12", seed=3)
    return show_view(IMAGE, view, SQUARE, source_size=(40, 50))


def test_none_changes_nothing() -> None:
    assert changed(Level.NONE, 5) is IMAGE


def test_flip_has_two_views_that_epochs_draw_by_image() -> None:
    assert torch.equal(changed(Level.FLIP, 0), IMAGE)
    assert torch.equal(changed(Level.FLIP, 1), IMAGE.flip(2))
    numbers = [
        view_number(Level.FLIP, None, content=f"{k:x}", seed=0, epoch=k % 3) for k in range(100)
    ]
    assert set(numbers) == {0, 1}
    assert 30 < sum(numbers) < 70


@pytest.mark.parametrize(
    ("level", "limit", "count", "shown"),
    [
        (Level.NONE, None, 1, [0, 0, 0, 0]),
        (Level.NONE, 3, 1, [0, 0, 0, 0]),
        (Level.FLIP, 1, 1, [0, 0, 0, 0]),
        (Level.LIGHT, None, None, [0, 1, 2, 3]),
        (Level.STRONG, 3, 3, [0, 1, 2, 0]),
    ],
)
def test_epochs_show_the_views_in_turn(
    level: Level, limit: int | None, count: int | None, shown: list[int]
) -> None:
    assert num_views(level, limit) == count
    numbers = [view_number(level, limit, content="0", seed=0, epoch=epoch) for epoch in range(4)]
    assert numbers == shown


@pytest.mark.parametrize("level", list(Level))
def test_image_keeps_shape_and_type_and_is_left_alone(level: Level) -> None:
    before = IMAGE.clone()
    for number in range(40):
        image = changed(level, number)
        assert image.shape == IMAGE.shape
        assert image.dtype == torch.uint8
    assert torch.equal(IMAGE, before)


@pytest.mark.parametrize("level", [Level.LIGHT, Level.STRONG])
def test_view_depends_on_image_number_and_seed(level: Level) -> None:
    view = make_view(level, 3, content="ab", seed=1)
    assert view == make_view(level, 3, content="ab", seed=1)
    others = [
        make_view(level, 4, content="ab", seed=1),
        make_view(level, 3, content="ac", seed=1),
        make_view(level, 3, content="ab", seed=2),
    ]
    assert view not in others


def test_random_state_of_torch_is_not_touched() -> None:
    before = torch.random.get_rng_state()
    for number in range(10):
        changed(Level.STRONG, number)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_strong_level_erases_a_patch_in_the_grey_of_the_border() -> None:
    white = torch.full((3, 32, 32), 255, dtype=torch.uint8)
    black = Preprocess(32, 32, "stretch", "bilinear", 0)
    shares = []
    for number in range(100):
        view = make_view(Level.STRONG, number, content="1", seed=0)
        image = show_view(white, view, black, source_size=(32, 32))
        shares.append(float((image == 0).float().mean()))
    assert 10 < sum(share > 0.01 for share in shares) < 90
    assert max(shares) < 0.5


def test_crop_mirror_and_patch_are_where_their_fractions_say() -> None:
    # Columns 0 to 31 count upwards: a quarter of them, magnified four times, and mirrored.
    columns = np.broadcast_to(np.arange(32, dtype=np.uint8)[None, :, None], (32, 32, 3))
    ramp = torch.from_numpy(columns.copy()).permute(2, 0, 1)
    quarter = View(crop=(0.25, 0.0, 0.5, 1.0), mirrored=True, erased=(0.5, 0.5, 1.0, 0.75))
    shown = show_view(ramp, quarter, SQUARE, source_size=(32, 32))
    # Pixel x shows the point 16 - (x + 0.5) / 4, whose value is half a pixel less.
    expected = [round(16 - (x + 0.5) / 4 - 0.5) for x in range(32)]
    np.testing.assert_allclose(shown[0, 0].numpy(), expected, atol=1)
    assert (shown[:, 16:24, 16:] == 114).all()
    assert (shown[:, 15, :] != 114).all()


def test_quarter_turn_moves_the_right_side_up() -> None:
    image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    image[:, :, 24:] = 200
    shown = show_view(image, View(degrees=90.0), SQUARE, source_size=(32, 32))
    assert (shown[:, :7, 2:30] == 200).all()
    assert (shown[:, 9:, 2:30] == 0).all()


def test_border_of_a_letterbox_stays() -> None:
    letterbox = Preprocess(32, 32, "letterbox", "bilinear", 7)
    source = np.full((20, 40, 3), 200, np.uint8)
    fitted = torch.from_numpy(fit_image(source, letterbox)).permute(2, 0, 1)
    for number in range(20):
        view = make_view(Level.LIGHT, number, content="5", seed=0)
        shown = show_view(fitted, view, letterbox, source_size=(20, 40))
        assert (shown[:, :8] == 7).all()
        assert (shown[:, 24:] == 7).all()
        assert (shown[:, 8:24] > 100).all()


def _pattern(height: int, width: int) -> NDArray[np.uint8]:
    """Return an image without symmetry whose colours change slowly from place to place."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    planes = (
        127 + 100 * np.sin(7 * x + 2 * y),
        127 + 100 * np.cos(5 * y - 3 * x),
        60 + 100 * x + 60 * y,
    )
    return np.stack(planes, axis=-1).astype(np.uint8)


def _back(
    image: NDArray[np.uint8], preprocess: Preprocess, height: int, width: int
) -> NDArray[np.int64]:
    """Return the pixels of an input at the points of a grid over the frame of its image."""
    placement = place(height, width, preprocess)
    v, u = np.mgrid[0.19:0.82:20j, 0.19:0.82:20j]  # inside of what every fit keeps
    columns = np.floor(u * width * placement.scale_x + placement.left).astype(int)
    rows = np.floor(v * height * placement.scale_y + placement.top).astype(int)
    points: NDArray[np.int64] = image[rows, columns].astype(np.int64)
    return points


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("level", [Level.FLIP, Level.LIGHT, Level.STRONG])
def test_teacher_at_224_px_and_student_at_96_px_see_the_same_view(fit: str, level: Level) -> None:
    """Both are mapped back to the image's frame, where they must agree but for their pixels' size.

    A pixel of the student is 4 of the 300 columns wide, over which the pattern changes by up to 9
    levels; magnification by a crop makes that less, colours by 1.4 at most more. What the cropping
    fit has cut away it shows as grey, which is left out of the comparison.
    """
    height, width = 200, 300
    source = _pattern(height, width)
    teacher = Preprocess(224, 224, "letterbox", "bilinear", 0, "top-left")
    student = Preprocess(96, 96, fit, "area", 0)
    others = []
    for number in range(2 if level is Level.FLIP else 12):
        view = make_view(level, number, content="77", seed=5)
        seen = []
        for preprocess in (teacher, student):
            fitted = torch.from_numpy(fit_image(source, preprocess)).permute(2, 0, 1)
            shown = show_view(fitted, view, preprocess, source_size=(height, width))
            seen.append(_back(shown.permute(1, 2, 0).numpy(), preprocess, height, width))
        apart = np.abs(seen[0] - seen[1]).max(axis=-1)
        known = (seen[0].max(axis=-1) > 0) & (seen[1].max(axis=-1) > 0)
        assert known.mean() > 0.5
        # At the edge of a patch or of what is cut away one of the two shows the image already.
        assert np.quantile(apart[known], 0.95) <= 12
        other = make_view(level, number + 1, content="77", seed=5)
        fitted = torch.from_numpy(fit_image(source, student)).permute(2, 0, 1)
        shown = show_view(fitted, other, student, source_size=(height, width))
        wrong = _back(shown.permute(1, 2, 0).numpy(), student, height, width)
        others.append(np.abs(seen[0] - wrong).max(axis=-1).mean())
    # Another view is told apart.
    assert max(others) > 40
