"""``edgetl.make_report``: the last complete run of a recipe, as HTML, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgetl.api.arguments import PathLike, Settings, as_overrides, as_path, as_recipe
from edgetl.errors import EdgetlError, first_of
from edgetl.facts.package import PackageFacts
from edgetl.pipeline.execute import survey
from edgetl.pipeline.job import load_job, recipe_stages
from edgetl.report.html import page
from edgetl.report.markdown import summary
from edgetl.report.record import Run, last_run, reason_of
from edgetl.stages import Job, Stage
from edgetl.store.store import Artifact, Store
from edgetl.types import Fact

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """The results of a finished run; its text is the summary in Markdown."""

    run: Run
    """The artifacts of the run, by label, and the recipe with all defaults."""

    @property
    def notice(self) -> str:
        """Why a run would now have other results; empty if it would not."""
        return self.run.notice

    def html(self) -> str:
        """Return the whole report as one page, self-contained and without scripts."""
        return page(self.run)

    def markdown(self) -> str:
        """Return a summary in Markdown, for a CI job."""
        return summary(self.run)

    def save(self, path: PathLike = "report.html") -> Path:
        """Write the page to a file, and return its path.

        Raises:
            UsageError: If `path` is not a path.
            OSError: If the file cannot be written.
        """
        file = as_path("path", path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.html(), encoding="utf-8")
        return file

    def as_json(self) -> dict[str, object]:
        """Return verdicts, figures, gains and artifacts as plain JSON."""
        run = self.run
        packages = [package.read(PackageFacts) for package in run.packages]
        comparison = run.comparison
        return {
            "recipe": run.name,
            "notice": run.notice,
            "targets": {
                package.target: {
                    **package.model_dump(mode="json"),
                    "reason": reason_of(package),
                    "limits_in_words": list(package.limits.in_words().values()),
                }
                for package in packages
            },
            "comparison": None if comparison is None else comparison.model_dump(mode="json"),
            "chains": [chain.model_dump(mode="json") for chain in run.chains],
            "artifacts": {
                label: {
                    "stage": artifact.manifest.stage,
                    "key": artifact.manifest.key,
                    "digest": artifact.manifest.digest,
                    "tools": artifact.manifest.tools,
                }
                for label, artifact in run.artifacts.items()
            },
        }

    def _repr_markdown_(self) -> str:
        """Return what a notebook shows."""
        return self.markdown()

    def __repr__(self) -> str:
        """Return the summary in Markdown."""
        return self.markdown()


def make_report(
    recipe: PathLike,
    *,
    set: Settings | None = None,  # noqa: A002 - as the option is called
    store: PathLike = ".edgetl",
) -> Report:
    """Return the results of the last complete run of a recipe.

    Args:
        recipe: A YAML file, or the name of a built-in recipe such as ``parts``.
        set: Values that replace those of the recipe: ``{"distill.epochs": 40}``.
        store: Folder of finished artifacts.

    Raises:
        UsageError: If an argument is of the wrong type, or the recipe has no complete run.
        ConfigError: With all problems of the recipe, its targets and its calibration.
        StoreError: If an artifact of the run is damaged or gone.
    """
    name, overrides = as_recipe(recipe), as_overrides(set)
    kept = Store(as_path("store", store))
    stages = recipe_stages(name, overrides)
    job = load_job(name, overrides, kept, stages)
    artifacts = last_run(kept, job.recipe.name, f"edgetl run {name}")
    run = Run(
        name=job.recipe.name,
        recipe=_resolved(job, stages),
        artifacts=artifacts,
        notice=_notice(name, job, kept, stages, artifacts),
    )
    return Report(run)


def _resolved(job: Job, stages: Mapping[str, Stage]) -> dict[str, Fact]:
    """Return the recipe with every default that is read, its targets and calibration in full."""
    recipe = job.recipe.model_dump(mode="json")
    if job.recipe.model is not None:
        del recipe["input"]  # the saved model brings its own
    roots = {name: stage.root for name, stage in stages.items()}
    tables = {
        name: table.model_dump(mode="json")
        for name, table in job.tables.items()
        if type(table).model_fields and ((root := roots[name]) is None or root.model in job.roots)
    }
    return {
        **recipe,
        **tables,
        "calibration": job.calibration.model_dump(mode="json"),
        "targets": [target.model_dump(mode="json") for target in job.targets],
    }


def _notice(
    recipe: str,
    job: Job,
    store: Store,
    stages: Mapping[str, Stage],
    artifacts: Mapping[str, Artifact],
) -> str:
    """Return a notice if a run of the recipe would now have other results; empty otherwise."""
    try:
        steps = survey(job, store, stages).steps
    except EdgetlError as error:
        # The report does not need the data or the device, which may be unavailable by now.
        return f"It could not be checked whether this run is up to date: {error.message}."
    used = {label: artifact.manifest.key for label, artifact in artifacts.items()}
    changed = [
        step.node.label
        for step in steps
        if step.request is not None and step.request.key != used.get(step.node.label)
    ]
    removed = sorted(set(used) - {step.node.label for step in steps})
    if not changed and not removed:
        return ""
    named = first_of([*changed, *removed], _MOST_NAMED)
    return (
        f"The recipe, the data, edgetl or a package changed after this run ({named}); "
        f"'edgetl run {recipe}' brings it up to date."
    )
