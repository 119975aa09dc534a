"""Problems of labelled data, and their report as one error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetl.config.recipe import Accept, Drop, Repair
from edgetl.errors import DataError

FIX_FOLDERS = "fix the folders, or exclude files with `data: {exclude: [...]}`"
_FIX_LABELS = "fix the labels, or exclude files with `data: {exclude: [...]}`"
_MAX_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Allowed:
    """The remedies that the recipe allows."""

    drop: frozenset[Drop] = frozenset()
    repair: frozenset[Repair] = frozenset()
    accept: frozenset[Accept] = frozenset()


@dataclass(frozen=True, slots=True)
class DroppedItem:
    """A dropped image, class, box or label file."""

    name: str
    kind: Drop
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of problem with all of its occurrences."""

    title: str
    examples: tuple[str, ...]
    drop: Drop | None
    """The value of `data.drop` that drops the occurrences."""
    repair: Repair | None = None
    """The value of `data.repair` that repairs them."""
    accept: Accept | None = None
    """The value of `data.accept` that declares them as intended."""
    fix: str = ""
    """A manual fix, if that is better advice than a change of the recipe. If it is empty and the
    recipe has no remedy, the advice is to fix the labels."""


def for_table(remedy: str, table: str) -> str:
    """Return a remedy that is written for the table `data`, for another table of the recipe."""
    return remedy.replace("`data: ", f"`{table}: ")


def refuse(findings: Sequence[Finding], path: str, *, table: str = "data") -> None:
    """Raise all findings as one error, if there are any.

    Args:
        findings: Problems that prevent the use of the data.
        path: Name of the data in messages.
        table: The table of the recipe that names them.

    Raises:
        DataError: If there is a finding.
    """
    if not findings:
        return
    lines = [f"the data in '{path}' cannot be used as they are:"]
    for finding in findings:
        lines.append(f"  {len(finding.examples):,} x {finding.title}:")
        lines.extend(f"    {example}" for example in finding.examples[:_MAX_EXAMPLES])
        if len(finding.examples) > _MAX_EXAMPLES:
            lines.append(f"    and {len(finding.examples) - _MAX_EXAMPLES:,} more")
    raise DataError("\n".join(lines), remedy=for_table(_remedy(findings), table))


def _remedy(findings: Sequence[Finding]) -> str:
    for_recipe = [finding for finding in findings if not finding.fix]
    repairs = sorted({finding.repair.value for finding in for_recipe if finding.repair})
    accepts = sorted({finding.accept.value for finding in for_recipe if finding.accept})
    drops = sorted({finding.drop.value for finding in for_recipe if finding.drop})
    steps = list(dict.fromkeys(finding.fix for finding in findings if finding.fix))
    if drops:
        steps.append(f"drop them with `data: {{drop: [{', '.join(drops)}]}}`")
    if repairs:
        steps.append(f"repair them with `data: {{repair: [{', '.join(repairs)}]}}`")
    if accepts:
        steps.append(f"if intended, write `data: {{accept: [{', '.join(accepts)}]}}`")
    if any(not (finding.drop or finding.repair or finding.accept) for finding in for_recipe):
        steps.append(_FIX_LABELS)
    return "; ".join(steps)
