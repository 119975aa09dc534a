"""Load recipes, targets and calibration recipes by name or path."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from edgetl.config.calibration import Calibration
from edgetl.config.check import check_table
from edgetl.config.method_keys import MethodKeys, Selection, select
from edgetl.config.recipe import ModelTable, Recipe, model_tables, models_of
from edgetl.config.refinement import Refinement, check_refinements
from edgetl.config.table import Table
from edgetl.config.target import Target
from edgetl.config.yaml_file import Document, dotted, override, parse_override, read_document
from edgetl.errors import ConfigError, Problem, closest

_PACKAGE = Path(__file__).resolve().parents[1]
_ENDINGS = {".yaml", ".yml"}

Named = TypeVar("Named", Target, Calibration)


@dataclass(frozen=True, slots=True)
class LoadedRecipe:
    """A validated recipe with its stage tables."""

    source: str
    folder: Path
    """Base of relative paths in the recipe."""
    recipe: Recipe
    tables: Mapping[str, Table]
    refinements: Mapping[str, tuple[Refinement, ...]]
    """The steps of each model's `refine` list, by the key of the model: ``teacher``."""
    lines: Document
    """The document, for line numbers of problems detected later."""


def load_recipe(
    name: str,
    overrides: Sequence[str],
    stage_tables: Mapping[str, type[Table]],
    refining_tables: Mapping[str, type[Table]] | None = None,
    *,
    tasks: Sequence[str],
    methods: Mapping[str, MethodKeys] | None = None,
    others: Collection[str] = (),
) -> LoadedRecipe:
    """Return a recipe by path or by the name of a ready-made one.

    Args:
        name: A YAML file, or a name in ``recipes/`` of the working directory or the package.
        overrides: Texts like ``finetune.epochs=3``, applied in order.
        stage_tables: The table of every stage by stage name; a stage missing from the recipe gets
            its defaults.
        refining_tables: The options of every refining stage by name.
        tasks: Names of all tasks, of which the recipe must name one.
        methods: By stage name, for tables with further keys that depend on a method they name.
        others: Names of stages that the recipe does not use; suggested for names like them.

    Raises:
        ConfigError: With all problems of the file.
    """
    path, source = _recipe_path(name)
    document = _read(path, source, overrides)
    known = {stage: table for stage, table in stage_tables.items() if table.model_fields}
    fixed = {key: value for key, value in document.data.items() if key not in known}
    unused: dict[str, type[Table]] = dict.fromkeys(others, Table)
    recipe, problems = check_table(Recipe, document, fixed, beside=lambda: known | unused)
    task = _task(document, tasks)
    if task is None and isinstance(document.data.get("task"), str):
        problems.append(_unknown_task(document, tasks))
    problems += _model_problems(document, known)
    tables: dict[str, Table] = {}
    for stage, model in stage_tables.items():
        data = document.data.get(stage) if stage in known else {}
        if data is None:  # not in the recipe, or null, which an override can set
            data = {}
        selection = Selection(model)
        if methods and stage in methods:
            selection = select(model, methods[stage], task, data)
            if selection.problem:
                place = (stage, methods[stage].key)
                problems.append(Problem(dotted(place), selection.problem, document.line(place)))
        beside = partial(_others, stage, known, selection)
        table, errors = check_table(selection.table, document, data, above=(stage,), beside=beside)
        problems += errors
        if table is not None:
            tables[stage] = table
    refinements: dict[str, tuple[Refinement, ...]] = {}
    refining = {**(refining_tables or {}), **unused}
    for key, each in models_of(recipe, tables).items() if recipe is not None else ():
        place = (key, "refine")
        refinements[key], wrong = check_refinements(document, place, each.refine, refining)
        problems += wrong
    if recipe is None or problems:
        attributed = sorted(document.attributed(problems), key=lambda problem: problem.line or 0)
        raise ConfigError(source, attributed, remedy=document.remedy(attributed))
    return LoadedRecipe(source, _base(name, path), recipe, tables, refinements, document)


def stage_names(name: str, overrides: Sequence[str]) -> frozenset[str]:
    """Return every name in a recipe that may be that of a stage: of its tables and refinements.

    Args:
        name: As for `load_recipe`.
        overrides: As for `load_recipe`.

    Raises:
        ConfigError: If there is no such file, or it is not a YAML table.
    """
    data = _read(*_recipe_path(name), overrides).data
    names = set(data)
    for table in data.values():
        entries = table.get("refine") if isinstance(table, dict) else None
        for entry in entries if isinstance(entries, list) else ():
            names.update(entry if isinstance(entry, dict) else ())
    return frozenset(names)


def named_files(name: str, overrides: Sequence[str]) -> tuple[tuple[str, ...], str | None, Path]:
    """Return the targets and the calibration that a recipe names, whatever else is wrong with it.

    Returns:
        Distinct targets, the calibration or None, and the base of relative paths.

    Raises:
        ConfigError: As `stage_names`.
    """
    path, source = _recipe_path(name)
    data = _read(path, source, overrides).data
    targets, calibration = data.get("targets"), data.get("calibration")
    listed = targets if isinstance(targets, list) else []
    return (
        tuple(dict.fromkeys(each for each in listed if isinstance(each, str))),
        calibration if isinstance(calibration, str) else None,
        _base(name, path),
    )


def load_target(
    name: str,
    *,
    beside: Path | None = None,
    check_address: Callable[[str], str | None] | None = None,
) -> Target:
    """Return ``targets/<name>.yaml``.

    Args:
        name: File name without folder and extension.
        beside: As for `known_files`.
        check_address: Returns the problem with a device's address, or None; without it, addresses
            are not checked.

    Raises:
        ConfigError: With all problems of the file.
    """
    target, document = _load_named(
        Target, "targets", name, beside=beside, remedy="use one of these"
    )
    what = check_address(target.device) if check_address and target.device else None
    if what is not None:
        raise ConfigError(document.source, [Problem("device", what, document.line(("device",)))])
    return target


def load_calibration(name: str, *, beside: Path | None = None) -> Calibration:
    """Return ``calibration/<name>.yaml``; raises ConfigError with all its problems.

    Args:
        name: File name without folder and extension.
        beside: As for `known_files`.
    """
    remedy = "use one of these in the recipe"
    return _load_named(Calibration, "calibration", name, beside=beside, remedy=remedy)[0]


def known_files(folder: str, beside: Path | None = None) -> dict[str, Path]:
    """Return the YAML files of `folder` by name.

    Files in the working directory are preferred, then those beside a recipe, then edgetl's own.

    Args:
        folder: ``targets``, ``calibration`` or ``recipes``.
        beside: Folder of the recipe that names the file; None if there is none.
    """
    files: dict[str, Path] = {}
    near = [Path.cwd(), *([beside] if beside else [])]
    # An installed wheel has the folder inside the package, a checkout next to it.
    for place in (each / folder for each in (*near, _PACKAGE, _PACKAGE.parent)):
        for path in sorted(place.glob("*.yaml")):
            files.setdefault(path.stem, path)
    return files


def _read(path: Path, source: str, overrides: Sequence[str]) -> Document:
    """Return a recipe as it is written, with overrides applied."""
    document = read_document(path, source)
    for text in overrides:
        place, value = parse_override(text)
        override(document, place, value)
        document.overrides[place] = f"--set {text}"
    return document


def _base(name: str, path: Path) -> Path:
    """Return where relative paths of a recipe start: at its file, if that is the user's own."""
    return path.resolve().parent if Path(name).is_file() else Path.cwd()


def _task(document: Document, tasks: Sequence[str]) -> str | None:
    given = document.data.get("task")
    return next((task for task in tasks if task == given), None)


def _unknown_task(document: Document, tasks: Sequence[str]) -> Problem:
    given = str(document.data["task"])
    close = closest(given.lower(), tasks)
    hint = f"did you mean '{close}'? " if close else ""
    *others, last = (f"'{task}'" for task in tasks)
    known = f"{', '.join(others)} or {last}" if others else last
    what = f"is '{given}'; {hint}must be {known}"
    return Problem("task", what, document.line(("task",)))


def _model_problems(
    document: Document, stage_tables: Mapping[str, type[Table]]
) -> Iterator[Problem]:
    """Yield why a recipe has no model to deploy, or more than one."""
    roots = [name for name, table in stage_tables.items() if issubclass(table, ModelTable)]
    given = [key for key in (*model_tables(), *roots) if document.data.get(key) is not None]
    *others, deployed = given or [""]
    if not deployed:
        yield Problem(
            "teacher",
            "is missing; a recipe trains a `teacher: {family: NAME}`, or takes a model that edgetl "
            "saved, `model: {path: FOLDER}`",
        )
    elif deployed == "student" and not others:
        yield Problem(
            "student",
            "has no teacher to learn from; add `teacher: {family: NAME}`",
            document.line(("student",)),
        )
    elif others and given != ["teacher", "student"]:
        named = " and ".join(f"`{key}`" for key in others)
        yield Problem(
            deployed,
            f"takes the place of {named}, which the recipe has as well; remove one or the other",
            document.line((deployed,)),
        )


def _others(
    name: str, known: Mapping[str, type[Table]], selection: Selection
) -> dict[str, type[Table]]:
    """Return the tables that an unknown key of table `name` may have been meant for."""
    others = {other: table for other, table in known.items() if other != name}
    return {**selection.elsewhere(), **others}


def _load_named(
    model: type[Named], folder: str, name: str, *, beside: Path | None, remedy: str
) -> tuple[Named, Document]:
    files = known_files(folder, beside)
    if name not in files:
        raise _not_known(folder, name, files, remedy)
    source = f"{folder}/{name}.yaml"
    if beside is not None and files[name].parent.parent == beside != Path.cwd():
        source = str(files[name])
    document = read_document(files[name], source)
    table, problems = check_table(model, document, document.data)
    if table is not None and table.name != name:
        problems.append(Problem("name", f"is '{table.name}' but the file is named '{name}'"))
    if table is None or problems:
        raise ConfigError(source, problems)
    return table, document


def _not_known(folder: str, name: str, files: Mapping[str, Path], remedy: str) -> ConfigError:
    path = Path(name)
    if path.name == name and path.suffix not in _ENDINGS:
        source = f"{folder}/{name}.yaml"
        what = f"no such file; {_suggest(name, files)}"
        return ConfigError(source, [Problem("", what)], remedy=f"{remedy}, or write {source}")
    what = f"is a path; give the name of a file in {folder}/ without folder and extension: "
    what += _suggest(path.stem, files)
    if path.is_file() and path.stem not in files:
        remedy = f"cp {name} {folder}/{path.stem}.yaml, and use the name '{path.stem}'"
    return ConfigError(name, [Problem("", what)], remedy=remedy)


def _recipe_path(name: str) -> tuple[Path, str]:
    path = Path(name)
    if path.is_file():
        return path, name
    ready = known_files("recipes")
    if name in ready:
        return ready[name], f"recipes/{name}.yaml"
    if path.is_dir():
        what = f"is a folder; a recipe is a YAML file: 'edgetl init {name}' writes one"
        raise ConfigError(name, [Problem("", what)], remedy=f"edgetl run {name}/recipe.yaml")
    what = f"no such file, and no ready-made recipe of that name; {_suggest(name, ready)}"
    raise ConfigError(name, [Problem("", what)], remedy="edgetl init FOLDER writes a recipe")


def _suggest(name: str, known: Mapping[str, Path]) -> str:
    folded = {each.lower(): each for each in known}
    close = closest(name.lower(), folded)
    hint = f"did you mean '{folded[close]}'? " if close else ""
    return f"{hint}known: {', '.join(sorted(known)) or 'none'}"
