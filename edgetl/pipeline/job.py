"""From a recipe's name to a job in which everything that it names was found and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from edgetl.config.load import (
    LoadedRecipe,
    load_calibration,
    load_recipe,
    load_target,
    stage_names,
)
from edgetl.config.yaml_file import Document
from edgetl.errors import ConfigError, Problem
from edgetl.pipeline.planner import in_order
from edgetl.stages import STAGES, Job, Stage
from edgetl.store.store import Store


def recipe_stages(given: str, overrides: Sequence[str]) -> Mapping[str, Stage]:
    """Return the stages of recipe `given` by name, in order.

    These are the built-in ones, and those of installed packages that the recipe uses by a table or
    an entry of a `refine` list. No other package is imported.

    Raises:
        ConfigError: If there is no such recipe, or it is not a YAML table.
        PluginError: If a stage that it uses cannot be loaded.
        MissingPackageError: If a stage that it uses needs a package that is not installed.
    """
    used = stage_names(given, overrides)
    built_in = STAGES.built_in()
    return in_order(
        STAGES.load(name) for name in STAGES.names() if name in built_in or name in used
    )


def load_job(
    given: str, overrides: Sequence[str], store: Store, stages: Mapping[str, Stage]
) -> Job:
    """Return the job of recipe `given`, with all that it names.

    Everything that can be known before the first epoch is checked here, but for the packages that
    only a run needs: files, plug-ins, combinations of format and precision, calibration apart from
    the test.

    Raises:
        ConfigError: With all problems of the recipe, or of the first broken target or calibration.
    """
    loaded = recipe_of(given, overrides, stages)
    job = Job(
        recipe=loaded.recipe,
        tables=loaded.tables,
        targets=tuple(load_target(name) for name in _once(loaded)),
        calibration=load_calibration(loaded.recipe.calibration),
        folder=loaded.folder,
        digest=store.memory.digest,
        refinements=loaded.refinements,
    )
    problems = [problem for stage in stages.values() for problem in stage.check(job)]
    if problems:
        raise ConfigError(
            loaded.source,
            list(_with_lines(problems, loaded.lines)),
            remedy=f"edit {loaded.source}, or the file that it names, and run again",
        )
    return job


def recipe_of(given: str, overrides: Sequence[str], stages: Mapping[str, Stage]) -> LoadedRecipe:
    """Return the recipe `given` with the tables of `stages`.

    Raises:
        ConfigError: With all problems of the file.
    """
    return load_recipe(
        given,
        overrides,
        {name: stage.options for name, stage in stages.items() if stage.refine is None},
        {name: stage.options for name, stage in stages.items() if stage.refine is not None},
        methods={name: stage.methods for name, stage in stages.items() if stage.methods},
        others=[name for name in STAGES.names() if name not in stages],
    )


def _once(loaded: LoadedRecipe) -> tuple[str, ...]:
    names = loaded.recipe.targets
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        line = loaded.lines.line(("targets",))
        raise ConfigError(
            loaded.source, [Problem("targets", f"names {', '.join(twice)} more than once", line)]
        )
    return names


def _with_lines(problems: Sequence[Problem], document: Document) -> Iterator[Problem]:
    seen: set[Problem] = set()
    for problem in problems:
        if problem in seen:
            continue
        seen.add(problem)
        line = problem.line or document.line(tuple(problem.where.split(".")))
        yield dataclasses.replace(problem, line=line)
