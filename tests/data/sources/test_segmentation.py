"""Data for segmentation are refused by what they are: their folders are places, not classes."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetl.data.container import open_container
from edgetl.data.sources import Listing, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS

Tree = dict[str, bytes | None]
Write = Callable[[Mapping[str, bytes | None]], Path]
CITIES = ("aachen", "bremen", "ulm")


def picture(seed: int, form: str = "PNG") -> bytes:
    """Return an image of many colours."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), np.uint8)
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def mask(seed: int) -> bytes:
    """Return an image with the numbers of two classes."""
    pixels = np.zeros((40, 48), np.uint8)
    pixels[5 + seed % 5 : 20, 6:20] = 7
    pixels[25:35, 20:40] = 11
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def listing(root: Path, layout: str = "") -> Listing:
    task = TASKS.load("classification").data
    return list_samples(open_container(root), "images", task, layout)


def refused(root: Path) -> DataError:
    with pytest.raises(DataError, match=r"^the data in 'images' look like data") as caught:
        listing(root)
    return caught.value


def pairs(image: str, label: str, names: tuple[str, ...] = CITIES, form: str = "PNG") -> Tree:
    """Return images and masks at paths with the name of a folder and a number."""
    files: Tree = {}
    for number, name in enumerate(names):
        for k in range(4):
            files[image.format(name, k)] = picture(10 * number + k, form)
            files[label.format(name, k)] = mask(10 * number + k)
    return files


@pytest.mark.parametrize(
    ("image", "label", "example"),
    [
        ("leftImg8bit/{0}/{1}_leftImg8bit.png", "gtFine/{0}/{1}_gtFine_labelIds.png", "gtFine"),
        ("images/training/{}/{}.png", "annotations/training/{}/{}.png", "annotations/training"),
        ("img/{}/{}.png", "labels/{}/{}.png", "labels"),
        ("{}/{}.png", "masks/{}/{}_mask.png", "masks"),
    ],
    ids=["Cityscapes", "ADE20K", "labels", "masks"],
)
def test_second_tree_with_a_mask_for_each_image_is_no_classification(
    tree: Write, image: str, label: str, example: str
) -> None:
    root = tree(pairs(image, label))
    error = refused(root)
    assert error.message.endswith(
        "whose folders ('aachen', 'bremen', 'ulm') are no classes: there is a tree of masks with "
        f"the same folders, such as {example}/aachen/"
    )
    assert error.remedy == (
        "edgetl trains classifiers and detectors: export boxes around the objects as COCO, Pascal "
        "VOC or YOLO and write `task: detection`; if the folders are the classes, write "
        "`data: {layout: folder}`"
    )
    assert listing(root, "folder").classes == CITIES


def test_photographs_with_another_tree_of_lossless_masks(tree: Write) -> None:
    root = tree(pairs("rgb/{}/{}.jpg", "semantic/{}/{}.png", form="JPEG"))
    assert "such as semantic/aachen/" in refused(root).message


def test_cityscapes_without_masks_is_known_by_its_names(tree: Write) -> None:
    files = pairs("leftImg8bit/{0}/{0}_{1}_leftImg8bit.png", "gtFine/{}/{}_gtFine_labelIds.png")
    root = tree({name: content for name, content in files.items() if "gtFine" not in name})
    assert refused(root).message.endswith(
        "the images are called as in Cityscapes, such as aachen_0_leftImg8bit.png"
    )


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{}/{}.png", "{}annot/{}.png"),
        ("{}/{}.png", "{}_labels/{}_L.png"),
        ("images/10k/{}/{}.png", "labels/sem_seg/masks/{}/{}.png"),
    ],
    ids=["CamVid", "CamVid with endings", "BDD100K"],
)
def test_splits_without_classes_but_with_masks_are_named_so(
    tree: Write, image: str, label: str
) -> None:
    error = refused(tree(pairs(image, label, ("train", "val"))))
    assert "their labels are 8 masks (" in error.message
    assert "so nothing names the class of an image" in error.message
    assert "; if folders are to be classes, sort the images into one folder" in error.remedy


@pytest.mark.parametrize(
    ("image", "label"),
    [("{}/images/{}.png", "{}/masks/{}.png"), ("{}/{}.png", "{}/{}_mask.png")],
    ids=["inside each class", "beside each image"],
)
def test_masks_inside_the_classes_say_nothing_against_them(
    tree: Write, image: str, label: str
) -> None:
    assert listing(tree(pairs(image, label))).classes == CITIES


def test_masks_of_some_classes_say_nothing_against_them(tree: Write) -> None:
    """As in MVTec AD, whose good parts have no masks."""
    files = pairs("test/{}/{}.png", "ground_truth/{}/{}_mask.png", ("crack",))
    files |= {f"train/{name}/{k}.png": picture(k) for name in ("good", "crack") for k in range(4)}
    assert listing(tree(files)).classes == ("crack", "good")


def test_folder_of_semantic_masks_is_known_by_its_content(tree: Write) -> None:
    """As in KITTI, where images and masks have the same names."""
    files = pairs("{}/image_2/{}.png", "{}/semantic/{}.png", ("training", "testing"))
    listed = listing(tree(files))
    assert listed.classes == ("image_2",)
    assert [(each.what, len(each.names)) for each in listed.ignored] == [("masks", 8)]
