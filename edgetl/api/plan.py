"""``edgetl.plan``: check everything, and list what would run and what would be reused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgetl.api.arguments import PathLike, Settings, as_overrides, as_path, as_recipe
from edgetl.api.progress import ShownReading, shown_reading
from edgetl.config.target import Target
from edgetl.errors import MissingPackage, MissingPackageError, first_of
from edgetl.facts.dataset import DataOverview
from edgetl.pipeline.duration import expected_seconds
from edgetl.pipeline.execute import Step, survey
from edgetl.pipeline.job import load_job, recipe_stages
from edgetl.report.data_table import data_table
from edgetl.report.small_test import small_test_lines
from edgetl.store.store import Artifact, Store
from edgetl.types import Fact, Role, Split

_LABEL_WIDTH = 28
_NAMES = 3
"""Steps of unknown duration that a line names."""
_LONG_S = 90.0
"""From here on, minutes say enough."""
_S_PER_MINUTE = 60.0
_LONG_MINUTES = 90.0


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One artifact that a run would make or reuse."""

    label: str
    """Unique in the plan: ``verify onnx int8``."""
    stage: str
    key: str | None
    """Of the artifact; None as long as it depends on others that do not exist, or a package is
    missing."""
    artifact: Artifact | None
    """The finished artifact; None if a run would make it."""
    summary: str
    """The artifact in a few words; empty if it does not exist."""
    expected_s: float | None
    """How long a run will take to make it, seconds, by earlier ones in the store; None if it exists
    or no such step has run."""

    @property
    def reused(self) -> bool:
        """Whether the artifact exists."""
        return self.artifact is not None


@dataclass(frozen=True, slots=True, repr=False)
class PlanResult:
    """What a run would do; its text is what ``edgetl plan`` prints."""

    recipe: str
    """Name of the recipe."""
    steps: tuple[PlannedStep, ...]
    """Each after those that it reads."""
    undecided: tuple[str, ...]
    """Labels of the steps on whose result further ones depend."""
    data: tuple[DataOverview, ...]
    """What the datasets hold: classes, splits, sizes."""
    targets: tuple[Target, ...]
    """With their limits."""
    missing: tuple[MissingPackage, ...]
    """Packages that a run needs and that are not installed."""

    @property
    def to_run(self) -> tuple[PlannedStep, ...]:
        """The steps that a run would make."""
        return tuple(step for step in self.steps if not step.reused)

    def lines(self) -> Iterator[str]:
        """Yield the tables of the data and the steps, line by line, without missing packages."""
        for overview in self.data:
            yield data_table(overview)
            if overview.facts.role is Role.DATA:
                num_tested = overview.facts.images[Split.TEST]
                yield from small_test_lines(num_tested, [target.limits for target in self.targets])
            yield ""
        for step in self.steps:
            action = f"reuse  {step.summary}" if step.reused else "run"
            yield f"{step.label:<{_LABEL_WIDTH}} {action}"
        num = len(self.to_run)
        yield f"{num} to run, {len(self.steps) - num} to reuse; no problems found"
        yield from self._duration_lines()
        if self.undecided:
            yield f"further steps depend on the result of: {', '.join(self.undecided)}"

    def _duration_lines(self) -> Iterator[str]:
        """Yield how long a run will take, as far as that is known."""
        known = [step.expected_s for step in self.to_run if step.expected_s is not None]
        unknown = [step.label for step in self.to_run if step.expected_s is None]
        if known:
            line = f"about {_in_words(sum(known))} to run, going by earlier steps in this store"
            yield f"{line}; not known of {first_of(unknown, _NAMES)}" if unknown else line
        elif unknown:
            yield "how long that takes is not known: no such step has run in this store"

    def missing_line(self) -> str:
        """Return the packages that a run needs, with the command that installs them, or nothing."""
        return f"for a run: {MissingPackageError.of(self.missing)}" if self.missing else ""

    def as_json(self) -> list[dict[str, Fact]]:
        """Return the steps as plain JSON, as ``edgetl plan --json`` prints them."""
        return [
            {
                "label": step.label,
                "stage": step.stage,
                "action": "reuse" if step.reused else "run",
                "key": step.key,
                "expected_s": step.expected_s,
                **self._data_of(step.label),
            }
            for step in self.steps
        ]

    def _data_of(self, label: str) -> dict[str, Fact]:
        """Return what the data of an index hold; nothing for other steps."""
        for overview in self.data:
            role = overview.facts.role
            if label == ("index" if role is Role.DATA else f"index {role}"):
                return {"data": overview.model_dump(mode="json")}
        return {}

    def __repr__(self) -> str:
        """Return what ``edgetl plan`` prints."""
        missing = self.missing_line()
        return "\n".join([*self.lines(), *([missing] if missing else [])])


def plan(
    recipe: PathLike,
    *,
    set: Settings | None = None,  # noqa: A002 - as the option is called
    store: PathLike = ".edgetl",
    progress: ShownReading = None,
) -> PlanResult:
    """Check everything, read the images, and list what a run would make and what it would reuse.

    Nothing is made, and no framework is needed.

    Args:
        recipe: A YAML file, or the name of a built-in recipe such as ``parts``.
        set: Values that replace those of the recipe: ``{"distill.epochs": 40}``.
        store: Folder of finished artifacts.
        progress: True to show on standard error how many images have been read, or an object
            with the methods of `edgetl.stages.Progress`.

    Raises:
        UsageError: If an argument is of the wrong type.
        ConfigError: With all problems of the recipe, its targets, its calibration and its data.
        DataError: If the images or labels cannot be used, and nothing else is wrong.
        StoreError: If an artifact that would be reused is damaged.
    """
    name, overrides = as_recipe(recipe), as_overrides(set)
    kept, reading = Store(as_path("store", store)), shown_reading(progress)
    stages = recipe_stages(name, overrides)
    job = load_job(name, overrides, kept, stages, reading=reading)
    surveyed = survey(job, kept, stages)
    seconds = expected_seconds(surveyed.steps, kept)

    def planned(step: Step) -> PlannedStep:
        node, artifact = step.node, step.artifact
        return PlannedStep(
            label=node.label,
            stage=node.stage,
            key=step.request.key if step.request else None,
            artifact=artifact,
            summary=stages[node.stage].summarise(artifact) if artifact else "",
            expected_s=seconds.get(node),
        )

    return PlanResult(
        recipe=job.recipe.name,
        steps=tuple(map(planned, surveyed.steps)),
        undecided=tuple(node.label for node in surveyed.undecided),
        data=job.overviews,
        targets=job.targets,
        missing=surveyed.missing,
    )


def _in_words(seconds: float) -> str:
    """Return ``50 s``, ``12 min`` or ``1.6 h``."""
    minutes = seconds / _S_PER_MINUTE
    if seconds < _LONG_S:
        return f"{seconds:.0f} s"
    if minutes < _LONG_MINUTES:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h"
