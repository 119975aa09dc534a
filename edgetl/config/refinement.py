"""Refining steps of a model, in the order of the recipe: ``refine: [{adapt: {...}}]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgetl.config.check import check_table
from edgetl.config.recipe import RefineEntry
from edgetl.config.table import Table
from edgetl.config.yaml_file import Document, Place, dotted
from edgetl.errors import Problem, closest


@dataclass(frozen=True, slots=True)
class Refinement:
    """One entry of a model's `refine` list."""

    stage: str
    options: Table
    where: str
    """Dotted place in the recipe, for problems."""


def check_refinements(
    document: Document,
    above: Place,
    entries: Sequence[RefineEntry],
    tables: Mapping[str, type[Table]],
) -> tuple[tuple[Refinement, ...], list[Problem]]:
    """Return the checked entries of one `refine` list and everything that is wrong with it.

    Args:
        document: The recipe; gives the lines.
        above: Place of the list.
        entries: The list.
        tables: The options of every refining stage by name.
    """
    refinements: list[Refinement] = []
    problems: list[Problem] = []
    for position, entry in enumerate(entries):
        place = (*above, position)
        if len(entry) != 1:
            what = f"must name one refining stage, not {len(entry)}: write one list entry for each"
            problems.append(Problem(dotted(place), what, document.line(place)))
            continue
        [(name, given)] = entry.items()
        if name not in tables:
            what = _unknown(name, tables)
            problems.append(Problem(dotted(place), what, document.line((*place, name))))
            continue
        options, wrong = check_table(tables[name], document, given or {}, above=(*place, name))
        problems += wrong
        if options is not None:
            refinements.append(Refinement(name, options, dotted((*place, name))))
    return tuple(refinements), problems


def _unknown(name: str, tables: Mapping[str, type[Table]]) -> str:
    close = closest(name, tables)
    hint = f"did you mean '{close}'? " if close else ""
    return f"unknown refining stage '{name}'; {hint}known: {', '.join(sorted(tables)) or 'none'}"
