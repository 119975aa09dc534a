"""A recipe with an operating point, from images to what the bundle predicts on the device."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgetl.config.recipe import InputTable
from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, write_images, write_index
from edgetl.models import FAMILIES, ModelSpec, save_model
from edgetl.runtime.preprocess import Preprocess
from edgetl.types import Split
from tests.system.stage_record.weights import set_known_weights

Done = subprocess.CompletedProcess[str]
Edgetl = Callable[..., Done]

_SIZE = 32
_COUNT = 40
_COLOURS = {"crack": (150, 120, 90), "fine": (60, 70, 200), "hole": (200, 60, 40)}
_RECIPE = """\
name: tiny
task: classification
data: {path: images, val: 0.3, test: 0.3, seed: 0}
model: {path: saved}
operating_point: {precision: {hole: 0.8}, recall: {crack: 0.5}}
benchmark: {seconds: 0.02, count: 20, rounds: 4, most_rounds: 4}
calibration: tiny
targets: [host]
"""


def _write_model(folder: Path) -> None:
    """Write a model that tells half of the images."""
    paths = sorted((folder / "images").glob("*/*.png"))[::2]
    images = [np.asarray(Image.open(path)) for path in paths]
    data = folder / "known"
    data.mkdir()
    with (data / IMAGES_FILE).open("wb") as file:
        write_images(file, images, (len(images), _SIZE, _SIZE, 3))
    labels = [list(_COLOURS).index(path.parent.name) for path in paths]
    items = [Item(f"{i}.png", label, f"{i:064x}") for i, label in enumerate(labels)]
    write_index(
        data,
        task="classification",
        classes=tuple(_COLOURS),
        preprocess=Preprocess(_SIZE, _SIZE, "stretch", "bilinear", 0),
        items={Split.TRAIN: items, Split.VAL: [], Split.TEST: []},
        dropped=[],
    )
    spec = ModelSpec.of(
        "mobilenet_v3_small",
        width=0.25,
        classes=tuple(_COLOURS),
        image_input=InputTable(size=_SIZE, fit="stretch", pad=0),
    )
    module = FAMILIES.load(spec.family).build(width=spec.width, num_classes=len(_COLOURS), seed=0)
    torch.set_num_threads(1)
    set_known_weights(spec, module.eval(), Dataset.open(data), 1)
    (folder / "saved").mkdir()
    save_model(folder / "saved", spec, module)


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory,
    edgetl: Edgetl,
    write_files: Callable[[Path, str], None],
) -> tuple[Path, Done]:
    """Return a folder after a run, to look at, and what the run printed."""
    folder = tmp_path_factory.mktemp("point")
    rng = np.random.default_rng(0)
    for label, colour in _COLOURS.items():
        (folder / "images" / label).mkdir(parents=True)
        for i in range(_COUNT):
            noise = rng.normal(0, 35, 3) + rng.normal(0, 10, (_SIZE, _SIZE, 3))
            image = np.clip(colour + noise, 0, 255).astype(np.uint8)
            Image.fromarray(image).save(folder / "images" / label / f"{i:02}.png")
    write_files(folder, _RECIPE)
    _write_model(folder)
    done = edgetl(folder, "run", "recipe.yaml")
    assert done.returncode == 0, done.stderr
    return folder, done


def _softmax(logits: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> list[list[float]]:
    exponentials = np.exp(logits.astype(np.float64))
    shares: list[list[float]] = (exponentials / exponentials.sum(axis=1, keepdims=True)).tolist()
    return shares


def test_bundle_predicts_at_the_thresholds_what_the_run_reports(
    ran: tuple[Path, Done], edgetl: Edgetl
) -> None:
    folder, done = ran
    bundle = folder / "dist" / "host"
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    contract = json.loads((bundle / "contract.json").read_text("utf-8"))
    thresholds = contract["operating_point"]["class_thresholds"]
    assert contract["requires"] == ["class_thresholds"]
    assert thresholds["fine"] == 0.0
    assert min(thresholds["crack"], thresholds["hole"]) > 1 / 3
    assert "operating point" in manifest["lineage"]

    candidate = manifest["candidate"]
    name = f"{candidate['format']} {candidate['precision']}"
    shown = json.loads(edgetl(folder, "show", "recipe.yaml", "--json").stdout)
    verified = np.load(folder / shown[f"verify {name}"]["folder"] / "predictions.npz")["logits"]
    index = json.loads((folder / shown["index"]["folder"] / "index.json").read_text("utf-8"))
    names = [row[0] for row in index["splits"]["test"]]
    words = ["predict", str(bundle), *(f"images/{each}" for each in names), "--json"]
    predicted = subprocess.run(
        [sys.executable, "-m", "edgetl.runtime", *words],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = json.loads(predicted.stdout)

    labels = list(_COLOURS)
    for row, shares in zip(rows, _softmax(verified), strict=True):
        best = labels[int(np.argmax(shares))]
        if abs(max(shares) - thresholds[best]) > 1e-6:
            assert row["label"] == (best if max(shares) >= thresholds[best] else None)
    counted = {row["label"]: row for row in manifest["accuracy"]["operating"]["classes"]}
    for label in labels:
        named = [name for name, row in zip(names, rows, strict=True) if row["label"] == label]
        right = [name for name in named if name.startswith(f"{label}/")]
        assert (counted[label]["predicted"], counted[label]["right"]) == (len(named), len(right))
    unsure = sum(row["label"] is None for row in rows)
    assert 0 < unsure < len(rows)
    head = f"operating point of {name} on {len(rows)} test images: unsure of {unsure:,}, decided "
    assert head in done.stdout
    assert f"\n  crack from {thresholds['crack']:.3f}, recall 0.5 stated: precision " in done.stdout


def test_thresholds_are_chosen_on_validation_images_alone(
    ran: tuple[Path, Done], edgetl: Edgetl
) -> None:
    folder, done = ran
    facts = json.loads(edgetl(folder, "run", "recipe.yaml", "--json").stdout)["artifacts"]
    for label, row in facts.items():
        if not label.startswith("operating point"):
            continue
        crack = next(each for each in row["facts"]["classes"] if each["label"] == "crack")
        # 12 of 40 images of each class validate; 6 are the least share of at least one half.
        assert (crack["reached"]["count"], crack["reached"]["total"]) == (6, 12)
        assert row["facts"]["images"] == 36
    lines = [line for line in done.stdout.splitlines() if line.startswith("operating point onnx")]
    assert len(lines) == 2
    assert all("crack from 0." in line and "on 36 validation images" in line for line in lines)


def test_report_shows_the_point(ran: tuple[Path, Done], edgetl: Edgetl) -> None:
    folder, _ = ran
    done = edgetl(folder, "report", "recipe.yaml", "--markdown", "--out", "report.html")
    assert done.returncode == 0, done.stderr
    assert "operating point of onnx" in done.stdout
    assert "Operating point" in (folder / "report.html").read_text("utf-8")


def test_device_is_judged_at_the_point(ran: tuple[Path, Done], edgetl: Edgetl) -> None:
    folder, _ = ran
    manifest = json.loads((folder / "dist" / "host" / "manifest.json").read_text("utf-8"))
    rows = {row["label"]: row for row in manifest["accuracy"]["operating"]["classes"]}
    recall = rows["hole"]["recall"]["value"]
    target = folder / "targets" / "host.yaml"
    text = target.read_text("utf-8")
    for bound, code in ((recall, 0), (recall + 0.01, 5)):
        limit = f"better_than_guessing: false, class_recall: {{hole: {bound:.6f}}}"
        target.write_text(text.replace("better_than_guessing: false", limit), "utf-8")
        done = edgetl(folder, "check", "dist/host", "--target", "host", "--json")
        cases = {case["name"]: case for case in json.loads(done.stdout)["cases"]}
        assert (done.returncode == 5) >= (code == 5), done.stderr
        assert (cases["accuracy"]["status"] == "failed") is (code == 5)
    target.write_text(text, "utf-8")


def test_goal_that_nothing_reaches_is_a_missed_target_with_a_remedy(
    ran: tuple[Path, Done], edgetl: Edgetl
) -> None:
    folder, _ = ran
    stated = "operating_point={recall: {hole: 1}}"
    done = edgetl(folder, "run", "recipe.yaml", "--dist", "other", "--set", stated)
    assert done.returncode == 5
    assert "host: no bundle; no candidate meets operating_point; nearest is onnx" in done.stdout, (
        done.stderr
    )
    assert "no threshold reaches the recall of 1 stated for 'hole': the best on the" in done.stdout
    assert "lower it in `operating_point`" in done.stdout
