"""``edgetl.run``: make, verify, time and choose models; package those that meet the limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgetl.api.arguments import (
    PathLike,
    Settings,
    as_flag,
    as_optional_text,
    as_overrides,
    as_path,
    as_recipe,
)
from edgetl.api.progress import ShownRun, shown_run
from edgetl.facts.dataset import DatasetFacts
from edgetl.facts.package import CandidateRow, Outcome, PackageFacts
from edgetl.pipeline import execute
from edgetl.pipeline.copy_bundle import copy_bundle
from edgetl.pipeline.executors import EXECUTORS, default_executor
from edgetl.pipeline.job import load_job, quick_overrides, recipe_stages
from edgetl.report.console_tables import candidate_table, verdict_lines, worst_error_lines
from edgetl.report.small_test import small_test_lines
from edgetl.store.store import Artifact, Store
from edgetl.types import Role, Split


@dataclass(frozen=True, slots=True, repr=False)
class TargetResult:
    """What a run chose for one target."""

    facts: PackageFacts
    """Everything that the run states about the target, with its limits."""
    bundle: Path | None
    """The folder that a device can run; None if no candidate was chosen."""

    @property
    def name(self) -> str:
        """Name of the target."""
        return self.facts.target

    @property
    def verdict(self) -> Outcome:
        """Whether the limits of the target are shown to hold."""
        return self.facts.verdict

    @property
    def why(self) -> str:
        """Why the limits do not hold, or could not be checked; empty if they hold."""
        return self.facts.why

    @property
    def chosen(self) -> CandidateRow | None:
        """The figures of the chosen candidate; None if none was chosen."""
        return self.facts.chosen_row

    @property
    def candidates(self) -> tuple[CandidateRow, ...]:
        """The figures of every candidate, with its verdict; at least one."""
        return self.facts.rows

    def __repr__(self) -> str:
        """Return for example ``TargetResult(host: held, onnx int8 in dist/host)``."""
        chosen = self.facts.chosen
        what = self.why if chosen is None else f"{chosen.name} in {self.bundle}"
        return f"TargetResult({self.name}: {self.verdict}, {what})"


@dataclass(frozen=True, slots=True, repr=False)
class RunResult:
    """The result of a run; its text is the table of candidates."""

    recipe: str
    """Name of the recipe."""
    targets: Mapping[str, TargetResult]
    """By name of the target."""
    artifacts: Mapping[str, Artifact]
    """Everything that the run made or reused, by label: ``distill``, ``verify onnx int8``."""
    dist: Path
    """The folder of the bundles."""

    @property
    def held(self) -> bool:
        """Whether the limits of every target are shown to hold."""
        return all(each.verdict is Outcome.HELD for each in self.targets.values())

    def lines(self) -> Iterator[str]:
        """Yield the text that ``edgetl run`` ends with, line by line."""
        packages = [each.facts for each in self.targets.values()]
        yield candidate_table(packages)
        yield from verdict_lines(packages, self.dist)
        yield from worst_error_lines(packages, self.artifacts.values())
        yield from small_test_lines(self._num_tested(), [each.limits for each in packages])

    def as_json(self) -> dict[str, object]:
        """Return everything as plain JSON, as ``edgetl run --json`` prints it."""
        return {
            "artifacts": {
                label: {
                    "folder": str(artifact.folder),
                    "digest": artifact.manifest.digest,
                    "facts": artifact.manifest.facts,
                }
                for label, artifact in self.artifacts.items()
                if artifact.manifest.kind != "bundle"
            },
            "targets": {
                name: each.facts.model_dump(mode="json") | {"dist": str(self.dist / name)}
                for name, each in self.targets.items()
            },
        }

    def _num_tested(self) -> int:
        """Return the number of images in the test split of the data."""
        datasets = [each for each in self.artifacts.values() if each.manifest.kind == "dataset"]
        facts = [artifact.read(DatasetFacts) for artifact in datasets]
        return sum(each.images[Split.TEST] for each in facts if each.role is Role.DATA)

    def __repr__(self) -> str:
        """Return the table of candidates, and where the bundles are."""
        return "\n".join(self.lines())


def run(
    recipe: PathLike,
    *,
    set: Settings | None = None,  # noqa: A002 - as the option is called
    store: PathLike = ".edgetl",
    dist: PathLike = "dist",
    quick: bool = False,
    executor: str | None = None,
    progress: ShownRun = None,
) -> RunResult:
    """Make, verify, time and choose the models of a recipe; package those that meet the limits.

    Existing artifacts are reused, so a failed or stopped run can be continued. A target whose
    limits do not hold is no error: see `RunResult.held`.

    Args:
        recipe: A YAML file, or the name of a built-in recipe such as ``parts``.
        set: Values that replace those of the recipe: ``{"distill.epochs": 40}``.
        store: Folder of finished artifacts.
        dist: Folder for the bundles, one per target.
        quick: Whether to time briefly, in few and short turns: for a first look.
        executor: How stages are run: ``serial``, one after the other, or ``processes``, side by
            side; None for the latter where there is more than one core.
        progress: True for the terminal, or a listener: an object with the methods of
            `edgetl.pipeline.listener.Listener`.

    Raises:
        UsageError: If an argument is of the wrong type, or `dist` contains foreign files.
        ConfigError: With all problems of the recipe, its targets and its calibration.
        DataError: If the images or labels cannot be used.
        MissingPackageError: If packages that the run needs are not installed; nothing is made.
        EdgetlError: If a stage fails for a reason that a user can fix.
        OSError: If the store cannot be written.
    """
    name, overrides = as_recipe(recipe), as_overrides(set)
    kept, bundles = Store(as_path("store", store)), as_path("dist", dist)
    wanted = as_optional_text("executor", executor)
    made_by = EXECUTORS.load(default_executor() if wanted is None else wanted)
    brief = as_flag("quick", quick)
    with shown_run(progress) as listener:
        stages = recipe_stages(name, overrides)
        if brief:
            overrides = (*quick_overrides(stages.values()), *overrides)
        job = load_job(name, overrides, kept, stages)
        artifacts = execute.run(job, kept, stages, listener, executor=made_by)
    kept.record_run(job.recipe.name, artifacts)
    targets: dict[str, TargetResult] = {}
    for artifact in artifacts.values():
        if artifact.manifest.kind == "bundle":
            facts = artifact.read(PackageFacts)
            place = bundles / facts.target
            chosen = copy_bundle(artifact, place)
            targets[facts.target] = TargetResult(facts, place if chosen else None)
    return RunResult(job.recipe.name, targets, artifacts, bundles)
