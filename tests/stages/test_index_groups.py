"""Images of one object, or made from one source image, are in one split; others are ignored."""

from __future__ import annotations

import io
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetl.data.dataset import DatasetIndex
from edgetl.facts.dataset import DatasetFacts
from edgetl.stages.index import STAGE
from edgetl.types import Split


def encoded(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write(root: Path, names: list[str]) -> Path:
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(seed))
    return root


def splits_of(bench: Any, **data: Any) -> tuple[DatasetFacts, dict[str, Split]]:
    """Run the index; return its facts and the split of each image."""
    job = bench.job(data={"path": "images", **data})
    assert list(STAGE.check(job)) == []
    artifact = bench.run(STAGE.plan(job, {})[0], {}, name=str(sorted(data)))
    index = DatasetIndex.read(artifact.folder)
    return artifact.read(DatasetFacts), {
        item.name: split for split in Split for item in index.items[split]
    }


def test_augmented_copies_are_in_one_split(bench: Any, tmp_path: Path) -> None:
    """Of a split by chance, twelve sources with three copies each would leak with certainty."""
    write(
        tmp_path / "images",
        [f"{label}/IMG_{k}_jpg.rf.{copy}abc.jpg"
         for label in ("gear", "nut") for k in range(12) for copy in range(3)],
    )  # fmt: skip
    facts, splits = splits_of(bench)
    sources = defaultdict(set)
    for name, split in splits.items():
        sources[name.partition(".rf.")[0]].add(split)
    assert len(sources) == 24
    assert all(len(each) == 1 for each in sources.values())
    assert facts.groups == 24
    assert facts.images == {Split.TRAIN: 48, Split.VAL: 12, Split.TEST: 12}
    assert any(
        note.startswith("72 images are copies of 24 by their names: gear/IMG_0_jpg.rf.0abc.jpg, ")
        for note in bench.told.notes
    )


def test_copies_in_the_splits_of_the_data_are_reported(bench: Any, tmp_path: Path) -> None:
    write(
        tmp_path / "images",
        [f"{split}/{label}/{k}_jpg.rf.{split}.jpg"
         for split in ("train", "valid", "test") for label in ("a", "b") for k in range(2)],
    )  # fmt: skip
    splits_of(bench)
    assert any(
        note.startswith("copies of 4 images are in several splits: test/a/0_jpg.rf.test.jpg, ")
        for note in bench.told.notes
    )


@pytest.mark.parametrize("group", [r"/(\w+)-\d", {"file": "who.csv", "column": "patient"}])
def test_stated_groups_are_in_one_split(bench: Any, tmp_path: Path, group: Any) -> None:
    names = [f"{label}/{label}{who}-{k}.png"
             for label in ("ill", "well") for who in range(8) for k in range(4)]  # fmt: skip
    root = write(tmp_path / "images", names)
    rows = "\n".join(f"{name},{name.split('/')[1].split('-')[0]}" for name in names)
    (root / "who.csv").write_text(f"file,patient\n{rows}\n", encoding="utf-8")
    data = {"group": group, "layout": "folder", "val": 0.25, "test": 0.25}
    facts, splits = splits_of(bench, **data)
    patients = defaultdict(set)
    for name, split in splits.items():
        patients[name.partition("-")[0]].add(split)
    assert len(patients) == 16
    assert all(len(each) == 1 for each in patients.values())
    assert facts.images == {Split.TRAIN: 32, Split.VAL: 16, Split.TEST: 16}
    assert "64 images in 16 groups that stay in one split each" in bench.told.notes
    _, free = splits_of(bench, layout="folder", val=0.25, test=0.25)
    torn = {name.partition("-")[0] for name in free if free[name] is not splits[name]}
    assert torn


def test_table_of_groups_is_part_of_the_key(bench: Any, tmp_path: Path) -> None:
    names = [f"{label}/{label}{k}.png" for label in ("a", "b") for k in range(6)]
    root = write(tmp_path / "images", names)
    keys = []
    for who in ("x", "y"):
        rows = "\n".join(f"{name},{who if k < 2 else name}" for k, name in enumerate(names))
        (root / "who.csv").write_text(f"file,group\n{rows}\n", encoding="utf-8")
        group = {"file": "who.csv", "column": "group"}
        job = bench.job(data={"path": "images", "layout": "folder", "group": group})
        keys.append(STAGE.plan(job, {})[0].settings.model_dump(mode="json"))
    assert keys[0]["content"] != keys[1]["content"]
    assert keys[0]["group"] == {"file": "who.csv", "column": "group"}


def test_ignored_images_are_counted_and_noted(bench: Any, tmp_path: Path) -> None:
    names = [f"{label}/{label}{k}.png" for label in ("a", "b") for k in range(6)]
    masks = [f"{label}/{label}{k}_mask.png" for label in ("a", "b") for k in range(6)]
    write(tmp_path / "images", [*names, *masks, ".old/1.png", "@eaDir/a0.png/THUMB.jpg"])
    facts, splits = splits_of(bench)
    assert {*splits} == {*names}
    assert facts.ignored == {
        "masks": 12, "hidden images": 1, "images in folders of the system": 1
    }  # fmt: skip
    assert "ignored 12 masks: a/a0_mask.png, a/a1_mask.png, a/a2_mask.png, ..." in bench.told.notes
    assert "ignored 1 hidden images: .old/1.png" in bench.told.notes
