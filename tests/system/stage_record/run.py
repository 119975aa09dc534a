"""Run a recipe in this process, each stage on inputs that do not depend on the machine."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edgetl.facts import FactsModel
from edgetl.pipeline.job import load_job, recipe_stages
from edgetl.pipeline.planner import plan_round
from edgetl.runtime import installed
from edgetl.stages import Node, Stage, Workspace
from edgetl.store.manifest import MANIFEST_FILE
from edgetl.store.store import Artifact, Request, Store
from edgetl.types import Facts

RECIPE_FILE = "recipe.yaml"
_PACKAGE = Path(__file__).parent / "package"
"""Makes `few_layers` a family."""


@dataclass(frozen=True, slots=True)
class Made:
    """A node with its artifact, and what later stages were given in the place of that."""

    node: Node
    stage: Stage
    artifact: Artifact
    handed_on: Artifact
    tools: tuple[str, ...]
    """Packages whose version may change the artifact."""

    @property
    def is_replaced(self) -> bool:
        """Whether later stages read something else."""
        return self.handed_on is not self.artifact


class _Silence:
    """Progress that nobody sees."""

    def step(self, done: int, total: int, text: str) -> None:
        del done, total, text

    def note(self, text: str) -> None:
        del text


def run_recipe(folder: Path, measured: Mapping[str, Facts]) -> list[Made]:
    """Run the recipe in `folder` and return its nodes in their order.

    A trained model is replaced by one of known weights before it is handed on, so that a stage can
    be judged whatever those before it do. A measured artifact is replaced by the facts in
    `measured`, by label, and not made at all; without facts that fit it is made.
    """
    store = Store(folder / "store")
    # Targets and calibration recipes are looked for in the working directory.
    with contextlib.chdir(folder):
        stages = recipe_stages(RECIPE_FILE, [])
        job = load_job(RECIPE_FILE, [], store, stages)
        plan = plan_round(job, stages, lambda _: None)
        assert not plan.undecided, "give this test a way to make decisions"
        made: dict[Node, Made] = {}
        models = 0
        for node in plan.nodes:
            inputs = {name: made[source].handed_on for name, source in node.inputs.items()}
            stage = stages[node.stage]
            artifact = _made(store, stage, node, inputs, measured)
            handed_on = artifact
            if stage.root or stage.refine:
                models += 1
                handed_on = _with_known_weights(store, artifact, inputs["dataset"], models)
            made[node] = Made(node, stage, artifact, handed_on, stage.tools(node.settings))
    return list(made.values())


@contextlib.contextmanager
def few_layers_installed() -> Iterator[None]:
    """Let `few_layers` be a family of an installed package for a while."""
    sys.path.insert(0, str(_PACKAGE))
    installed._by_group.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(str(_PACKAGE))
        installed._by_group.cache_clear()


def _made(
    store: Store,
    stage: Stage,
    node: Node,
    inputs: Mapping[str, Artifact],
    measured: Mapping[str, Facts],
) -> Artifact:
    request = Request(
        stage.name,
        stage.version,
        node.settings.model_dump(mode="json"),
        {name: artifact.manifest.digest for name, artifact in inputs.items()},
        {},
        stage.plugins(node.settings, inputs),
    )
    out, scratch, logs = store.folders(request)
    facts = _facts_of(stage, measured.get(node.label)) if stage.measured else None
    if facts is None:
        facts = stage.run(node.settings, inputs, Workspace(out, scratch, logs, _Silence()))
    return store.commit(
        request,
        kind=stage.makes,
        label=node.label,
        facts=facts.model_dump(mode="json"),
        seconds=0.0,
    )


def _facts_of(stage: Stage, measured: Facts | None) -> FactsModel | None:
    try:
        facts: FactsModel = stage.facts.model_validate(measured)
    except ValidationError:
        return None
    return facts


def _with_known_weights(store: Store, model: Artifact, view: Artifact, number: int) -> Artifact:
    """Return a copy of a model with other weights, and with its own predictions."""
    from edgetl.data.dataset import Dataset
    from edgetl.models import load_model, save_model
    from edgetl.tasks import TASKS
    from edgetl.train.training_artifacts import write_predictions
    from tests.system.stage_record.weights import set_known_weights

    request = Request("known weights", 1, {"number": number}, {}, {})
    out, _, _ = store.folders(request)
    ignored = shutil.ignore_patterns(MANIFEST_FILE)
    shutil.copytree(model.folder, out, ignore=ignored, dirs_exist_ok=True)
    dataset = Dataset.open(view.folder)
    spec, module = load_model(out)
    set_known_weights(spec, module, dataset, number)
    save_model(out, spec, module)
    evaluation = TASKS.load(spec.task).evaluation
    write_predictions(out, spec, module, dataset=dataset, evaluation=evaluation)
    manifest = model.manifest
    return store.commit(
        request, kind=manifest.kind, label=manifest.label, facts=manifest.facts, seconds=0.0
    )
