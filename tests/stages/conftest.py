"""What stages are run with: artifacts, folders to write to, and a dataset of a few squares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.config.calibration import Calibration
from edgetl.config.method_keys import select
from edgetl.config.recipe import Recipe, models_of
from edgetl.config.table import Table
from edgetl.data.dataset import IMAGES_FILE, Dataset, Item, Truth, write_images, write_index
from edgetl.errors import ConfigError
from edgetl.hashing import digest_file
from edgetl.pipeline.job import roots_of
from edgetl.pipeline.planner import all_stages
from edgetl.runtime.preprocess import Preprocess
from edgetl.stages import STAGES, Job, Node, Workspace
from edgetl.stages._views import inputs_of
from edgetl.stages.view import Settings as ViewSettings
from edgetl.store.store import Artifact, Request, Store
from edgetl.tasks import TASKS
from edgetl.types import Role, Split

SIZE = 32
COUNTS = {Split.TRAIN: 24, Split.VAL: 8, Split.TEST: 8}


@dataclass
class Told:
    """Progress that remembers."""

    steps: list[tuple[int, int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def step(self, done: int, total: int, text: str) -> None:
        self.steps.append((done, total, text))

    def note(self, text: str) -> None:
        self.notes.append(text)


def _table(name: str, task: str, given: Mapping[str, object]) -> Table:
    """Return the table of a stage as a recipe would have it."""
    stage = STAGES.load(name)
    assert stage.methods
    selection = select(stage.options, stage.methods, task, given)
    assert not selection.problem
    return selection.table.model_validate(given)


@dataclass
class Bench:
    """Plans and runs single stages below one folder."""

    root: Path
    told: Told

    def job(self, tables: Mapping[str, Mapping[str, object]] | None = None, **fields: Any) -> Job:
        """Return a job for a tiny teacher; `fields` replace those of the recipe."""
        recipe = {
            "name": "squares",
            "task": "classification",
            "data": {"path": "."},
            "input": {"size": SIZE},
            "teacher": {"family": "mobilenet_v3_small", "width": 0.35, "weights": "none"},
        }
        given = tables or {}
        checked = Recipe.model_validate({**recipe, **fields})
        return Job(
            recipe=checked,
            tables={
                name: _table(name, str(fields.get("task", "classification")), given.get(name, {}))
                for name in ("finetune", "distill")
            },
            targets=(),
            calibration=Calibration(name="any", split="train", count=1, sampling="random"),
            folder=self.root,
            digest=digest_file,
            roots=roots_of(models_of(checked, {}), all_stages().values()),
        )

    def dataset(self, counts: Mapping[Split, int] = COUNTS, seed: int = 0) -> Artifact:
        """Return bright and dark squares in noise, as the view stage would store them."""
        store = Store(self.root / "store")
        request = Request("view", 1, {"counts": dict(counts), "seed": seed}, {}, {})
        artifact = store.find(request)
        if artifact:
            return artifact
        out, _, _ = store.folders(request)
        draw = np.random.default_rng(seed)
        total = sum(counts.values())
        labels = np.arange(total) % 2
        noise = draw.integers(-60, 60, (total, SIZE, SIZE, 3))
        images = np.clip(noise + 90 + 80 * labels[:, None, None, None], 0, 255).astype(np.uint8)
        with (out / IMAGES_FILE).open("wb") as file:
            write_images(file, list(images), images.shape)
        items: dict[Split, list[Item]] = {}
        start = 0
        for split in Split:
            rows = range(start, start + counts[split])
            items[split] = [Item(f"{row}.png", int(labels[row]), f"{row:064x}") for row in rows]
            start += counts[split]
        write_index(
            out,
            task="classification",
            classes=("dark", "bright"),
            preprocess=Preprocess(SIZE, SIZE, "stretch", "bilinear", 0),
            items=items,
            dropped=[],
        )
        return store.commit(request, kind="view", label="view", facts={}, seconds=0.0)

    def boxes(self, counts: Mapping[Split, int] = COUNTS) -> Artifact:
        """Return one dark or bright square per image, as the view stage would store them.

        Images are twice as large as the input. The first one of each split shows nothing.
        """
        store = Store(self.root / "store")
        request = Request("view", 1, {"boxes": dict(counts)}, {}, {})
        artifact = store.find(request)
        if artifact:
            return artifact
        out, _, _ = store.folders(request)
        draw = np.random.default_rng(1)
        total = sum(counts.values())
        images = draw.integers(90, 110, (total, SIZE, SIZE, 3), np.uint8)
        items: dict[Split, list[Item]] = {}
        truths: dict[Split, list[Truth]] = {}
        row = 0
        for split in Split:
            items[split], truths[split] = [], []
            for position in range(counts[split]):
                left, top = (int(corner) for corner in draw.integers(0, SIZE // 2, 2))
                label = row % 2 if position else 2
                boxes = np.array([[left, top, left + 12, top + 12]], np.float32)[: label < 2]
                if len(boxes):
                    images[row, top : top + 12, left : left + 12] = 220 * label + 20
                items[split].append(Item(f"{row}.png", label, f"{row:064x}"))
                truths[split].append(
                    Truth(2 * boxes, np.full(len(boxes), label), np.zeros(len(boxes), bool))
                )
                row += 1
        with (out / IMAGES_FILE).open("wb") as file:
            write_images(file, list(images), images.shape)
        write_index(
            out,
            task="detection",
            classes=("dark", "bright"),
            preprocess=Preprocess(SIZE, SIZE, "stretch", "bilinear", 0),
            items=items,
            dropped=[],
            truths=truths,
            image_sizes={split: [(2 * SIZE, 2 * SIZE)] * counts[split] for split in Split},
        )
        return store.commit(request, kind="view", label="view", facts={}, seconds=0.0)

    def plan(self, stage: str, job: Job, **made: list[Node]) -> list[Node]:
        """Return the nodes of a stage, given those of `made` and the views of the labelled data."""
        views = [
            Node(
                "view",
                f"view {each.size}",
                ViewSettings(
                    role=Role.DATA,
                    input=each,
                    task=job.recipe.task,
                    path=None,
                    synthetic=None,
                    exclude=(),
                ),
            )
            for each in inputs_of(job)
        ]
        known: dict[str, list[Node]] = {
            "view": views,
            "features": [],
            "teacher": [],
            "teacher outputs": [],
            "model": [*made.get("teacher", ()), *made.get("student", ())],
        }
        return list(STAGES.load(stage).plan(job, {**known, **made}))

    def viewed(self, job: Job, name: str = "") -> tuple[Artifact, Artifact]:
        """Run index and view of the labelled data of `job`; return what both made."""
        index = STAGES.load("index").plan(job, {})
        (view,) = STAGES.load("view").plan(job, {"dataset": index})
        made = self.run(index[0], {}, name)
        return made, self.run(view, {"index": made}, name)

    def problems(self, stage: str, job: Job) -> str:
        """Return all problems that a stage finds in a job, as a user reads them."""
        reported = list(STAGES.load(stage).check(job))
        return ConfigError("recipe.yaml", reported).message

    def run(self, node: Node, inputs: Mapping[str, Artifact], name: str = "") -> Artifact:
        """Run the stage of `node` and return what it made."""
        store = Store(self.root / f"store{name}")
        stage = STAGES.load(node.stage)
        request = Request(
            stage.name,
            stage.version,
            node.settings.model_dump(mode="json"),
            {key: artifact.manifest.digest for key, artifact in inputs.items()},
            {},
        )
        out, scratch, logs = store.folders(request)
        facts = stage.run(node.settings, inputs, Workspace(out, scratch, logs, self.told))
        assert type(facts) is stage.facts
        return store.commit(
            request,
            kind=stage.makes,
            label=node.label,
            facts=facts.model_dump(mode="json"),
            seconds=0.0,
        )


@pytest.fixture(scope="session")
def untrained() -> Callable[..., Path]:
    """Return what writes a model that saw no image, as a training would leave it, for a dataset.

    Its last class leads a little. A detector is not shy of an answer, and its statistics are
    settled, so that its answers differ from image to image.
    """

    def write(folder: Path, data: Path, family_name: str, *, width: float, seed: int) -> Path:
        import torch
        from torch import nn

        from edgetl.config.recipe import InputTable
        from edgetl.models import FAMILIES, DetectorFamily, ModelSpec, save_model
        from edgetl.nn.layers import RawPixels
        from edgetl.train.training_artifacts import split_predictions

        torch.set_num_threads(1)
        dataset, family = Dataset.open(data), FAMILIES.load(family_name)
        spec = ModelSpec.of(
            family_name,
            width=width,
            classes=dataset.classes,
            image_input=InputTable(size=dataset.size, fit="stretch", pad=0),
        )
        module = family.build(width=width, num_classes=len(dataset.classes), seed=seed)
        if isinstance(family, DetectorFamily):
            for part in module.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.momentum = None  # the plain mean of what is seen
            with torch.no_grad():
                settling = RawPixels(module, family.mean, family.std).train()
                settling(torch.from_numpy(dataset.images(Split.TEST).copy()).float())
        module.eval()
        for name, part in module.named_modules():
            last = name == family.head or "_preds" in name
            if last and isinstance(part, nn.Linear | nn.Conv2d) and part.bias is not None:
                with torch.no_grad():
                    part.bias.copy_(torch.linspace(0.1, 0.3, len(part.bias)))
        folder.mkdir(parents=True)
        save_model(folder, spec, module)
        evaluation = TASKS.load(spec.task).evaluation
        predictions = {
            f"{split.value}_{name}": values
            for split in (Split.VAL, Split.TEST)
            if dataset.names(split)
            for name, values in split_predictions(
                spec, module, dataset, split, evaluation=evaluation
            ).items()
        }
        np.savez(folder / "predictions.npz", allow_pickle=False, **predictions)
        return folder

    return write


@pytest.fixture
def workspace(tmp_path: Path) -> Callable[[str], Workspace]:
    """Return what makes the folders of one run, by a name that keeps runs apart."""

    def make(name: str) -> Workspace:
        folders = {part: tmp_path / "work" / name / part for part in ("out", "scratch", "logs")}
        for folder in folders.values():
            folder.mkdir(parents=True)
        return Workspace(**folders, progress=Told())

    return make


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a place to plan and run stages in."""
    return Bench(tmp_path, Told())


@pytest.fixture
def weights(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a weights file for the tiny teacher, with a head for other classes."""

    def write(name: str = "weights.safetensors", seed: int = 7) -> Path:
        from safetensors.torch import save_file

        from edgetl.models import FAMILIES

        family = FAMILIES.load("mobilenet_v3_small")
        path = tmp_path / name
        save_file(family.build(width=0.35, num_classes=5, seed=seed).state_dict(), path)
        return path

    return write
