"""Whatever stage saved a model, a fresh process rebuilds it from its folder alone."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetl.api.console import Console
from edgetl.models import SPEC_FILE
from edgetl.pipeline.execute import run
from edgetl.pipeline.job import load_job
from edgetl.pipeline.planner import all_stages
from edgetl.store.store import Artifact, Store
from edgetl.train.training_artifacts import PREDICTIONS_FILE

_RECIPES = {
    "parts": ("data.synthetic.images=200", "input.size=32", "calibration=random-128"),
    "detect-parts": ("data.synthetic.images=60", "input.size=64", "teacher.width=0.25"),
}
_SHORT = ("finetune.epochs=1", "distill.epochs=1", "distill.warmup_epochs=0.5")
_PROGRAM = """
import sys
from pathlib import Path

import numpy as np

from edgetl.data.dataset import Dataset
from edgetl.models import load_model
from edgetl.tasks import TASKS
from edgetl.train.training_artifacts import split_predictions
from edgetl.types import Split

folder, data, out = map(Path, sys.argv[1:])
spec, module = load_model(folder)
dataset = Dataset.open(data)
evaluation = TASKS.load(spec.task).evaluation
np.savez(out, **{
    f"{split}_{name}": values
    for split in (Split.VAL, Split.TEST)
    for name, values in split_predictions(
        spec, module, dataset, split, evaluation=evaluation
    ).items()
})
"""


@pytest.fixture(scope="module", params=_RECIPES)
def artifacts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Artifact]:
    """Return all artifacts of a short run down to the trained models, by label."""
    store, stages = Store(tmp_path_factory.mktemp("store")), all_stages()
    unlabelled = _noise(tmp_path_factory.mktemp("unlabelled"))
    refined = (f"unlabelled={{path: {unlabelled}}}", "teacher.refine=[{adapt: {}}]")
    job = load_job(request.param, (*_RECIPES[request.param], *_SHORT, *refined), store, stages)
    # Without a target nothing is exported.
    trainings = dataclasses.replace(job, targets=())
    with Console(quiet=True) as console:
        return run(trainings, store, stages, console)


def _noise(folder: Path) -> Path:
    """Write images of noise into `folder` and return it."""
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_model_gives_the_same_bits_in_a_fresh_process(
    artifacts: Mapping[str, Artifact], tmp_path: Path
) -> None:
    saved = {
        label: artifact
        for label, artifact in artifacts.items()
        if (artifact.folder / SPEC_FILE).is_file()
    }
    assert {artifact.manifest.stage for artifact in saved.values()} >= {
        "finetune", "distill", "adapt",
    }  # fmt: skip
    for label, artifact in saved.items():
        seen = artifact.manifest.inputs["dataset"]
        (data,) = (each for each in artifacts.values() if each.manifest.digest == seen)
        out = tmp_path / f"{label}.npz"
        words = (artifact.folder, data.folder, out)

        subprocess.run([sys.executable, "-c", _PROGRAM, *map(str, words)], check=True)

        with np.load(artifact.folder / PREDICTIONS_FILE) as before, np.load(out) as after:
            assert sorted(before) == sorted(after)
            for name in before:
                assert np.array_equal(before[name], after[name]), f"{label}: {name}"
