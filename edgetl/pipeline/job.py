"""From a recipe's name to a job in which everything that it names is loaded and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from edgetl.config.calibration import Calibration
from edgetl.config.load import (
    LoadedRecipe,
    load_calibration,
    load_recipe,
    load_target,
    named_files,
    stage_names,
)
from edgetl.config.yaml_file import Document
from edgetl.errors import ConfigError, EdgetlError, Problem, join_errors
from edgetl.facts.dataset import DataOverview
from edgetl.pipeline.planner import in_order
from edgetl.stages import STAGES, Job, Progress, Root, Stage
from edgetl.store.store import Store
from edgetl.tasks import TASKS

Named = TypeVar("Named")

_UNDEMANDING = Calibration(name="undemanding", split="train", count=1, sampling="random")
"""Stands in for a calibration that cannot be read, so that the checks of stages can go on."""


def recipe_stages(given: str, overrides: Sequence[str]) -> Mapping[str, Stage]:
    """Return the stages of recipe `given` by name, in order.

    These are the built-in ones, and those of installed packages that the recipe uses by a table or
    an entry of a `refine` list. No other package is imported.

    Raises:
        ConfigError: If there is no such recipe, or it is not a YAML table.
        PluginError: If a stage that it uses cannot be loaded.
        MissingPackageError: If a stage that it uses needs a package that is not installed.
    """
    built_in = STAGES.built_in()
    installed = set(STAGES.names()).difference(built_in)
    # Without such packages the recipe is read once, by `load_recipe`.
    used = installed.intersection(stage_names(given, overrides)) if installed else ()
    return in_order(STAGES.load(name) for name in (*built_in, *sorted(used)))


def quick_overrides(stages: Iterable[Stage]) -> tuple[str, ...]:
    """Return what a quick run sets in the recipe: ``benchmark.seconds=0.02``."""
    return tuple(
        f"{stage.name}.{key}={value}" for stage in stages for key, value in stage.quick.items()
    )


def load_job(
    given: str,
    overrides: Sequence[str],
    store: Store,
    stages: Mapping[str, Stage],
    *,
    reading: Progress | None = None,
) -> Job:
    """Return the job of recipe `given`, with everything that it names.

    Everything that can be known before the first epoch is checked here, except for the packages
    that only a run needs: files, plug-ins, combinations of format and precision, and that
    calibration and test data are disjoint. What only the content of the data shows is left to the
    first stages of a run, unless they are to be read here.

    Args:
        given: The recipe.
        overrides: As for `load_recipe`.
        store: Remembers what was checked.
        stages: In order.
        reading: Read the data as well, and receive the progress; fills `Job.overviews`.

    Raises:
        ConfigError: With all problems of the recipe, its targets and its calibration.
        EdgetlError: If the data or a package cannot be used, and nothing else is wrong.
    """
    errors: list[ConfigError] = []
    try:
        loaded = recipe_of(given, overrides, stages)
    except ConfigError as error:
        raise join_errors([error, *_errors_of_files(given, overrides)]) from error
    find_target = partial(load_target, beside=loaded.folder)
    targets = [_loaded(find_target, name, errors) for name in _once(loaded)]
    find_calibration = partial(load_calibration, beside=loaded.folder)
    calibration = _loaded(find_calibration, loaded.recipe.calibration, errors)
    job = Job(
        recipe=loaded.recipe,
        tables=loaded.tables,
        # Other problems are reported even if a target or the calibration is broken.
        targets=tuple(target for target in targets if target is not None),
        calibration=calibration or _UNDEMANDING,
        folder=loaded.folder,
        digest=store.memory.digest,
        once=store.once,
        recall=store.recall,
        refinements=loaded.refinements,
        roots=roots_of(loaded.refinements, stages.values()),
    )
    checked = _Checked()
    for stage in stages.values():
        checked.check(stage, job, reading)
    if calibration is None:
        checked.problems = [each for each in checked.problems if each.where != "calibration"]
    checked.raise_all(loaded, errors)
    return dataclasses.replace(job, overviews=tuple(checked.overviews))


@dataclass(slots=True)
class _Checked:
    """What the stages find wrong with a job."""

    problems: list[Problem] = field(default_factory=list)
    failures: dict[str, EdgetlError] = field(default_factory=dict)
    """What ended a check, by its text: several stages may fail for the same reason."""
    overviews: list[DataOverview] = field(default_factory=list)

    def check(self, stage: Stage, job: Job, reading: Progress | None) -> None:
        """Check `job` for `stage`, and read its data if a progress is given."""
        problems: list[Problem] = []
        try:
            for problem in stage.check(job):
                problems.append(problem)  # noqa: PERF402 - those before a failure count, too
        except EdgetlError as error:
            self.failures.setdefault(str(error), error)
        if reading is not None:
            job = dataclasses.replace(job, overviews=tuple(self.overviews))
            inspection = stage.inspect(job, reading)
            places = {problem.where for problem in inspection.problems}
            problems = [problem for problem in problems if problem.where not in places]
            problems += [each for each in inspection.problems if each.what not in self.failures]
            self.overviews += inspection.overviews
        self.problems += problems

    def raise_all(self, loaded: LoadedRecipe, errors: Sequence[ConfigError]) -> None:
        """Raise what was found as one error, with `errors` of the files that a recipe names."""
        failures = list(self.failures.values())
        if len(failures) == 1 and not self.problems and not errors:
            raise failures[0]
        every: list[ConfigError] = []
        if self.problems:
            named = list(_with_lines(self.problems, loaded.lines))
            remedy = f"edit {loaded.source}, or the file that it names, and run again"
            if all(problem.source for problem in named):
                remedy = loaded.lines.remedy(named)
            every.append(ConfigError(loaded.source, named, remedy=remedy))
        every += [
            ConfigError(loaded.source, [Problem("", error.message)], remedy=error.remedy)
            for error in failures
        ]
        every += errors
        if every:
            raise join_errors(every) from next(iter(failures), None)


def roots_of(models: Iterable[str], stages: Iterable[Stage]) -> dict[str, Root]:
    """Return how the chain of each of `models` begins, by the name of the model, in their order.

    Raises:
        KeyError: If no stage makes a model.
    """
    roots = {stage.root.model: stage.root for stage in stages if stage.root}
    return {name: roots[name] for name in models}


def _errors_of_files(given: str, overrides: Sequence[str]) -> list[ConfigError]:
    """Return what is wrong with the files that a broken recipe names, as far as it can be read."""
    errors: list[ConfigError] = []
    try:
        targets, calibration, folder = named_files(given, overrides)
    except ConfigError:  # the error of the recipe itself
        return errors
    for name in targets:
        _loaded(partial(load_target, beside=folder), name, errors)
    if calibration is not None:
        _loaded(partial(load_calibration, beside=folder), calibration, errors)
    return errors


def _loaded(load: Callable[[str], Named], name: str, errors: list[ConfigError]) -> Named | None:
    """Return the result of `load`; if it fails, add the error to `errors` and return None."""
    try:
        return load(name)
    except ConfigError as error:
        errors.append(error)
        return None


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
        tasks=TASKS.names(),
        methods={name: stage.methods for name, stage in stages.items() if stage.methods},
        others=[name for name in STAGES.names() if name not in stages],
    )


def _once(loaded: LoadedRecipe) -> tuple[str, ...]:
    names = loaded.recipe.targets
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        what = f"names {', '.join(twice)} more than once"
        problem = Problem("targets", what, loaded.lines.line(("targets",)))
        attributed = list(loaded.lines.attributed([problem]))
        raise ConfigError(loaded.source, attributed, remedy=loaded.lines.remedy(attributed))
    return names


def _with_lines(problems: Sequence[Problem], document: Document) -> Iterator[Problem]:
    for problem in document.attributed(dict.fromkeys(problems)):
        if problem.source:
            yield problem
            continue
        line = problem.line or document.line(tuple(problem.where.split(".")))
        yield dataclasses.replace(problem, line=line)
