"""Random trees from the vocabulary of real exports: refused in a sentence, or read sensibly.

Whatever lies together, no class has the name of a split or of a folder of masks, and nothing but an
error with a remedy is raised.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from edgetl.data.container import open_container
from edgetl.data.sources import Listing, guess_label_kind, list_samples, list_unlabelled
from edgetl.errors import EdgetlError
from edgetl.stages.index import STAGE
from edgetl.tasks import TASKS, tasks_with
from edgetl.types import LabelKind

Result = TypeVar("Result")

SPLITS = (
    *("train", "Train", "training", "Training", "training_set", "seg_train", "TRAIN", "trainset"),
    *("train_images", "train2017", "trainval", "val", "valid", "Validation", "validate", "dev"),
    *("val_set", "test", "Test", "testing", "test_set", "seg_test", "eval", "test1", "Test Images"),
    *("holdout", "evaluation", "test-dev"),
)
PAIRED = ("signs_train", "signs_test")
"""Names of splits only where both are there."""
MASKS = (
    *("masks", "Masks", "mask", "ground_truth", "GroundTruth", "SegmentationClass"),
    *("train_masks", "segmentations", "trimaps"),
)
HOLDERS = ("images", "Images", "labels", "Annotations", "JPEGImages", "obj_train_data", "data")
OTHERS = (
    *("color", "grayscale", "segmented", "fold_1", "fold_2", "seg_pred", "unlabeled", "archive"),
    *(".hidden", "@eaDir", "$RECYCLE.BIN", "lost+found", "__MACOSX", "no_mask", "day", "night"),
)
CLASSES = ("cat", "dog", "nut", "cat ", "Cat")
FILES = (
    *("1.jpg", "2.jpg", "3.JPG", "4.png", "1.png", "1_mask.png", "2_mask_1.png", "cat.0.jpg"),
    *(
        "cat.1.jpg",
        "dog.0.jpg",
        "dog.1.jpg",
        "a_jpg.rf.0a1b.jpg",
        "a_jpg.rf.2c3d.jpg",
        "1_flip.jpg",
    ),
    *("x", "1.jpg_large", "1.txt", "2.txt", "1.xml", "1.json", "1.jpg.json", "info.labels"),
    *("bounding_boxes.labels", "_classes.csv", "labels.csv", "train.csv", "boxes.csv"),
    *("_annotations.coco.json", "_annotations.createml.json", "_annotations.txt", "default.json"),
    *("data.yaml", "classes.txt", "_darknet.labels", "train.txt", "annotations.xml", "a.zip"),
    *("README.md", "Thumbs.db", "._1.jpg", ".DS_Store"),
)


def picture(*, flat: bool) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    if flat:
        pixels[:] = 0
        pixels[2:8, 2:8] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


BOX = {"label": "nut", "x": 1, "y": 1, "width": 5, "height": 5}
COCO = {
    "images": [{"id": 1, "file_name": "1.jpg"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
    "categories": [{"id": 1, "name": "nut"}],
}
JSON: tuple[Any, ...] = (
    COCO,
    {key: COCO[key] for key in ("images", "annotations")},
    {"files": [{"path": "1.jpg", "category": "training", "label": {"type": "label", "label": "a"}},
               {"path": "2.jpg", "category": "testing", "label": {"type": "label", "label": "b"}}]},
    {"files": [{"path": "1.jpg", "boundingBoxes": [BOX]}, None, 7]},
    {"boundingBoxes": {"1.jpg": [BOX, None], "2.jpg": "x"}},
    {"shapes": [{"label": "nut", "points": [[1, 1], [5, 5]], "shape_type": "rectangle"}],
     "imagePath": "1.jpg", "imageHeight": 12, "imageWidth": 16},
    [{"image": "1.jpg", "annotations": [{"label": "nut", "coordinates": BOX}]}, None],
    {"items": [{"id": "1", "annotations": [{"type": "bbox", "label_id": 0, "bbox": [1, 1, 5, 5]}]}],
     "categories": {"label": {"labels": [{"name": "nut"}]}}},
    {"objects": []}, [], 3, None,
)  # fmt: skip
XML = "<annotation><object><name>nut</name><bndbox>{}</bndbox></object></annotation>".format(
    "".join(f"<{tag}>{k}</{tag}>" for k, tag in enumerate(("xmin", "ymin", "xmax", "ymax")))
)
TEXTS = (
    *(
        b"",
        b"0 0.5 0.5 0.2 0.2\n",
        b"nut\ncat\n",
        b"names: [nut, cat]\n",
        b"names: [a]\ntrain: train",
    ),
    *(b"file,label\n1.jpg,cat\n2.jpg,dog\n", b"filename, cat, dog\n1.jpg, 1, 0\n2.jpg, 0, 1\n"),
    *(b"filename,class,xmin,ymin,xmax,ymax\n1.jpg,nut,1,1,5,5\n", b"1.jpg,cat\n", b'a;b\n\n;;\n"'),
    *(XML.encode(), b"<annotations><image/></annotations>", b"\xff\xfe<\0", b"\0\xff\xfe", b"{"),
)
CONTENTS = (picture(flat=False), picture(flat=True), b"")
LABELS = (*TEXTS, *(json.dumps(content).encode() for content in JSON))

folders = st.lists(
    st.one_of(
        *map(
            st.sampled_from, (SPLITS, (*SPLITS, *PAIRED), CLASSES, CLASSES, HOLDERS, MASKS, OTHERS)
        )
    ),
    max_size=4,
)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    """Return files: some folders, most of which hold several files, and some label files."""
    files: dict[str, bytes] = {}
    kept = draw(st.lists(folders, min_size=1, max_size=6))
    if draw(st.booleans()):  # the same classes in every split, as most exports have
        inner = draw(st.lists(st.sampled_from((*CLASSES, *HOLDERS, *MASKS)), max_size=3))
        kept = [[*folder[:2], each] for folder in kept for each in (inner or [""])]
    for folder in kept:
        for name in draw(st.lists(st.sampled_from(FILES), min_size=1, max_size=5, unique=True)):
            path = "/".join([*filter(None, folder), name])
            is_text = name.endswith(
                (".txt", ".xml", ".json", ".labels", ".csv", ".yaml", ".md", ".zip")
            )
            content = draw(st.sampled_from(LABELS if is_text else CONTENTS))
            if not any(other.startswith(f"{path}/") for other in files):
                files[path] = content
    return {
        path: content
        for path, content in files.items()
        if not any("/".join(path.split("/")[:k]) in files for k in range(1, path.count("/") + 1))
    }


def outcome(call: Callable[[], Result]) -> tuple[Result | None, EdgetlError | None]:
    """Return what a call returns, or the error that a user would read."""
    try:
        return call(), None
    except EdgetlError as error:
        return None, error


def check(listing: Listing, files: Mapping[str, bytes]) -> None:
    """Check what no listing may do, whatever lies together."""
    classes = {*listing.classes}
    wrong = {*SPLITS, *MASKS} & classes
    # Faces with masks and without are classes.
    assert not wrong or ("no_mask" in classes and wrong <= {*MASKS})
    assert not classes >= {*PAIRED}
    names = [sample.name for sample in listing.samples]
    assert len(names) == len({*names})
    assert {*names} <= {*files}
    assert {sample.label for sample in listing.samples} - {""} <= classes
    assert not {*names} & {each for ignored in listing.ignored for each in ignored.names}
    assert not any(part in f"/{name}" for name in names for part in ("$RECYCLE", "@eaDir", "/."))


@settings(
    max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(files=trees())
def test_no_class_is_called_like_a_split_or_a_mask_and_nothing_breaks(
    tmp_path: Path, bench: Any, files: dict[str, bytes]
) -> None:
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    container = open_container(archive)
    try:
        guessed = tasks_with(guess_label_kind(container))[0]
        outcomes = [outcome(lambda: list_unlabelled(container, "images"))]
        for kind in LabelKind:
            task = TASKS.load(tasks_with(kind)[0]).data
            listing, error = outcome(partial(list_samples, container, "images", task))
            outcomes.append((listing, error))
            if listing is not None:
                check(listing, files)
    finally:
        container.close()
    job = bench.job(task=guessed, data={"path": "images.zip"})
    problems, planning = outcome(lambda: list(STAGE.check(job)))
    assert all(problem.what for problem in problems or ())
    for error in [*(error for _, error in outcomes), planning]:
        assert error is None or (error.message and error.remedy)
