"""``edgetl plan``: check everything and show what would run and what would be reused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from edgetl.cli import options
from edgetl.errors import MissingPackageError
from edgetl.pipeline.execute import survey as survey_job
from edgetl.pipeline.job import load_job, recipe_stages
from edgetl.report.data_table import data_table
from edgetl.report.small_test import small_test_lines
from edgetl.stages import Job, Node
from edgetl.store.store import Store
from edgetl.types import Fact, Role, Split

_SAY_EVERY_SECONDS = 10.0


@click.command()
@options.recipe
@options.overrides
@options.store
@options.as_json
def command(recipe: str, overrides: tuple[str, ...], store_root: Path, *, as_json: bool) -> None:
    """Show the data of RECIPE, and what a run would make and what it would reuse.

    Checks files, plug-ins and every combination of format and precision without making anything.
    The images are read as well, once: whatever a run would refuse before the first epoch comes in
    one message. Lists missing packages that a run needs.

    \b
    edgetl plan images/recipe.yaml
    edgetl plan parts --set student.width=0.35
    """
    stages = recipe_stages(recipe, overrides)
    store = Store(store_root)
    job = load_job(recipe, overrides, store, stages, reading=_Reading())
    survey = survey_job(job, store, stages)
    steps = survey.steps
    if as_json:
        rows = [
            {
                "label": step.node.label,
                "stage": step.node.stage,
                "action": "reuse" if step.artifact else "run",
                "key": step.request.key if step.request else None,
                **_data(step.node, job),
            }
            for step in steps
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        for line in _data_lines(job):
            click.echo(line)
        for step in steps:
            if step.artifact:
                summary = stages[step.node.stage].summarise(step.artifact)
                click.echo(f"{step.node.label:<28} reuse  {summary}")
            else:
                click.echo(f"{step.node.label:<28} run")
        to_run = sum(step.artifact is None for step in steps)
        click.echo(f"{to_run} to run, {len(steps) - to_run} to reuse; no problems found")
        if survey.undecided:
            labels = ", ".join(node.label for node in survey.undecided)
            click.echo(f"further steps depend on the result of: {labels}")
    if survey.missing:
        click.echo(f"for a run: {MissingPackageError.of(survey.missing)}", err=as_json)


class _Reading:
    """Says on standard error how many images were read, where that takes long."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def step(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if now - self._last >= _SAY_EVERY_SECONDS:
            self._last = now
            click.echo(f"  {done:,} of {total:,} {text}", err=True)

    def note(self, text: str) -> None:
        """Say nothing: the notes stand below the table of the data."""


def _data_lines(job: Job) -> Iterator[str]:
    """Yield the tables of the data, and whether the test split can show the limits."""
    for overview in job.overviews:
        yield data_table(overview)
        if overview.facts.role is Role.DATA:
            num_tested = overview.facts.images[Split.TEST]
            yield from small_test_lines(num_tested, [target.limits for target in job.targets])
        yield ""


def _data(node: Node, job: Job) -> dict[str, Fact]:
    """Return what the data of an index hold, for JSON; nothing for other steps."""
    for overview in job.overviews:
        role = overview.facts.role
        if node.label == ("index" if role is Role.DATA else f"index {role}"):
            return {"data": overview.model_dump(mode="json")}
    return {}
