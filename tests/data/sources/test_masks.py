from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetl.data.container import open_container
from edgetl.data.sources import Listing, list_samples
from edgetl.data.sources._masks import is_mask_folder
from edgetl.errors import DataError
from edgetl.tasks import TASKS

Tree = dict[str, bytes | None]
Write = Callable[[Mapping[str, bytes | None]], Path]


def picture(seed: int, form: str = "PNG") -> bytes:
    """Return an image of many colours."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), np.uint8)
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def mask(seed: int, form: str = "PNG", mode: str = "L") -> bytes:
    """Return an image with one bright rectangle."""
    left, top = np.random.default_rng(seed).integers(2, 15, 2)
    pixels = np.zeros((40, 48), np.uint8)
    pixels[top : top + 20, left : left + 20] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, form)
    return stream.getvalue()


def listing(root: Path, *exclude: str) -> Listing:
    container = open_container(root, exclude=exclude)
    return list_samples(container, "images", TASKS.load("classification").data)


def ignored(listed: Listing) -> dict[str, int]:
    return {each.what: len(each.names) for each in listed.ignored}


@pytest.mark.parametrize(
    "name",
    ["masks", "Mask", "ground_truth", "GroundTruth", "gt", "train_masks", "binary masks",
     "SegmentationClass", "segmentations", "trimaps"],
)  # fmt: skip
def test_folder_of_masks_is_known_by_its_name(name: str) -> None:
    assert is_mask_folder(name)


@pytest.mark.parametrize(
    "name", ["with_mask", "no mask", "masked", "seg_train", "segmented", "images", "gtr", "class"]
)
def test_other_folder_is_none_of_masks(name: str) -> None:
    assert not is_mask_folder(name)


@pytest.mark.parametrize(
    "name",
    ["1_mask.png", "1_Mask_2.png", "1-segmentation.png", "1_ground_truth.bmp", "mask_1.png",
     "1_lesion_mask.png", "1.mask.0.png"],
)  # fmt: skip
def test_mask_beside_its_image_is_known_by_its_name(tree: Write, name: str) -> None:
    """Empty files show that nothing is decoded."""
    listed = listing(tree({"a/1.png": b"", f"a/{name}": b"", "b/2.png": b""}))
    assert [sample.name for sample in listed.samples] == ["a/1.png", "b/2.png"]
    assert ignored(listed) == {"masks": 1}
    assert listed.ignored[0].names == (f"a/{name}",)
    assert listed.others == ()


def test_name_of_a_mask_without_its_image_is_an_image(tree: Write) -> None:
    listed = listing(tree({"a/1_mask.png": b"", "a/2.png": b"", "b/3.png": b""}))
    assert len(listed.samples) == 3
    assert listed.ignored == ()


@pytest.mark.parametrize("word", ["label", "gt", "seg", "labelIds"])
@pytest.mark.parametrize("is_mask", [True, False])
def test_content_decides_where_the_name_does_not(tree: Write, word: str, is_mask: bool) -> None:  # noqa: FBT001
    second = mask(1) if is_mask else picture(1)
    listed = listing(
        tree({"a/1.png": picture(0), f"a/1_{word}.png": second, "b/2.png": picture(2)})
    )
    assert len(listed.samples) == (2 if is_mask else 3)


def test_folder_of_masks_beside_images_is_ignored_with_the_folder(tree: Write) -> None:
    files = {
        f"{label}/{kind}/{k}.png": b""
        for label in ("ill", "well")
        for kind in ("images", "masks")
        for k in range(3)
    }
    listed = listing(tree(files))
    assert {sample.name.split("/")[1] for sample in listed.samples} == {"images"}
    assert listed.classes == ("ill", "well")
    assert ignored(listed) == {"masks": 6}


def test_folder_of_masks_beside_splits_is_ignored(tree: Write) -> None:
    files: Tree = {f"train/{label}/{k}.png": picture(k) for label in "ab" for k in range(2)}
    files |= {f"train_masks/{k}_mask.png": mask(k) for k in range(2)}
    listed = listing(tree(files))
    assert listed.classes == ("a", "b")
    assert ignored(listed) == {"masks": 2}


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_folder_of_masks_is_known_by_its_content(tree: Write, form: str) -> None:
    files: Tree = {f"{label}/{label}{k}.png": picture(k) for label in "ab" for k in range(3)}
    files |= {f"masks/{label}{k}.png": mask(k, form) for label in "ab" for k in range(3)}
    listed = listing(tree(files))
    assert listed.classes == ("a", "b")
    assert ignored(listed) == {"masks": 6}


def test_faces_with_masks_are_a_class(tree: Write) -> None:
    files: Tree = {f"mask/{k}.jpg": picture(k, "JPEG") for k in range(3)}
    files |= {f"no_mask/{k}.jpg": picture(9 + k, "JPEG") for k in range(3)}
    listed = listing(tree(files))
    assert listed.classes == ("mask", "no_mask")
    assert listed.ignored == ()


def test_folder_called_like_masks_that_has_none_is_refused_until_excluded(tree: Write) -> None:
    files: Tree = {"hats/1.jpg": b"", "gloves/2.jpg": b"", "masks/3.jpg": b""}
    root = tree(files)
    with pytest.raises(DataError, match="'masks' would be a class, but has the name of a folder"):
        listing(root)
    assert listing(root, "*masks/*").classes == ("gloves", "hats")


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB"])
@pytest.mark.parametrize("folder", ["a", "b", "labels"])
def test_png_with_the_name_of_a_jpeg_is_a_mask_if_it_has_few_colours(
    tree: Write, folder: str, mode: str
) -> None:
    files: Tree = {f"a/{k}.jpg": picture(k, "JPEG") for k in range(3)}
    files |= {f"c/x{k}.jpg": picture(9 + k, "JPEG") for k in range(3)}
    files |= {f"{folder}/{k}.png": mask(k, mode=mode) for k in range(3)}
    listed = listing(tree(files))
    assert listed.classes == ("a", "c")
    assert ignored(listed) == {"masks": 3}


def test_png_with_the_name_of_a_jpeg_is_an_image_if_it_has_many_colours(tree: Write) -> None:
    files: Tree = {f"a/{k}.jpg": picture(k, "JPEG") for k in range(3)}
    files |= {f"a/{k}.png": picture(5 + k) for k in range(3)} | {"b/7.png": picture(8)}
    assert len(listing(tree(files)).samples) == 7


def test_drawings_of_few_colours_are_images(tree: Write) -> None:
    files: Tree = {f"a/{k}.jpg": mask(k, "JPEG") for k in range(3)}
    files |= {f"b/{k}.png": mask(5 + k) for k in range(3)}
    assert len(listing(tree(files)).samples) == 6


def test_each_image_is_looked_at_where_the_first_ones_differ(tree: Write) -> None:
    files: Tree = {f"a/{k}.jpg": picture(k, "JPEG") for k in range(10)}
    files["b/x.jpg"] = b""
    files |= {f"a/{k}.png": mask(k) if k % 2 else picture(20 + k) for k in range(10)}
    assert ignored(listing(tree(files))) == {"masks": 5}


def test_masks_of_boxes_are_ignored(tree: Write) -> None:
    box = b"<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
    xml = b"<annotation><object><name>nut</name><bndbox>%b</bndbox></object></annotation>" % box
    masks: Tree = {"SegmentationClass/1.png": b""}
    files = {"JPEGImages/1.jpg": b"", "Annotations/1.xml": xml, **masks}
    container = open_container(tree(files))
    listed = list_samples(container, "images", TASKS.load("detection").data)
    assert [sample.name for sample in listed.samples] == ["JPEGImages/1.jpg"]
    assert ignored(listed) == {"masks": 1}


def test_folder_whose_images_are_all_called_like_masks_is_ignored(tree: Write) -> None:
    """Empty files show that nothing is decoded."""
    files: Tree = {f"{label}/{label}{k}.jpg": b"" for label in "ab" for k in range(2)}
    files |= {f"truth of a/a{k}_segmentation.png": b"" for k in range(2)}
    listed = listing(tree(files))
    assert listed.classes == ("a", "b")
    assert ignored(listed) == {"masks": 2}


@pytest.mark.parametrize("folder", ["targets", "annotations", "output"])
@pytest.mark.parametrize("are_masks", [True, False])
def test_content_decides_on_folders_of_targets(
    tree: Write,
    folder: str,
    are_masks: bool,  # noqa: FBT001
) -> None:
    files: Tree = {f"a/{k}.png": picture(k) for k in range(3)}
    files["b/x.png"] = picture(9)
    make = mask if are_masks else picture
    files |= {f"{folder}/{k}.png": make(20 + k) for k in range(3)}
    listed = listing(tree(files))
    assert listed.classes == (("a", "b") if are_masks else tuple(sorted(("a", "b", folder))))


def test_masks_of_cityscapes_carry_another_ending_than_their_images(tree: Write) -> None:
    files: Tree = {}
    for split in ("train", "val"):
        for k in range(2):
            files[f"leftImg8bit/{split}/aachen/a_{k}_leftImg8bit.png"] = picture(k)
            files[f"gtFine/{split}/aachen/a_{k}_gtFine_labelIds.png"] = mask(k)
    listed = listing(tree(files))
    assert listed.classes == ("aachen",)
    assert ignored(listed) == {"masks": 4}
