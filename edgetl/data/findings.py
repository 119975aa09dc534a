"""What is wrong with labelled data, what is left out for it, and the one report of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetl.config.recipe import Accept, Drop, Repair
from edgetl.errors import DataError

FIX_FOLDERS = "mend the folders, or name files in `data: {exclude: [...]}`"
_FIX_LABELS = "mend the labels, or name files in `data: {exclude: [...]}`"
_MAX_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the recipe allows to be done about problems."""

    drop: frozenset[Drop] = frozenset()
    repair: frozenset[Repair] = frozenset()
    accept: frozenset[Accept] = frozenset()


@dataclass(frozen=True, slots=True)
class DroppedItem:
    """An image, class, box or label file that is left out, and why."""

    name: str
    kind: Drop
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of problem with everything that shows it."""

    title: str
    examples: tuple[str, ...]
    drop: Drop | None
    """What the recipe can say to leave these out."""
    repair: Repair | None = None
    """What it can say to change them."""
    accept: Accept | None = None
    """What it can say if they are meant to be so."""
    fix: str = ""
    """What is to be done about them by hand, if that is better advice than what the recipe can say;
    the labels are to be mended where this is empty and the recipe can say nothing."""


def refuse(findings: Sequence[Finding], called: str, *, table: str = "data") -> None:
    """Raise all findings as one error, if there are any.

    Args:
        findings: What forbids using the data.
        called: What messages call the data.
        table: The table of the recipe that names them.

    Raises:
        DataError: If there is a finding.
    """
    if not findings:
        return
    lines = [f"the data in '{called}' cannot be used as they are:"]
    for finding in findings:
        lines.append(f"  {len(finding.examples):,} x {finding.title}:")
        lines.extend(f"    {example}" for example in finding.examples[:_MAX_EXAMPLES])
        if len(finding.examples) > _MAX_EXAMPLES:
            lines.append(f"    and {len(finding.examples) - _MAX_EXAMPLES:,} more")
    raise DataError("\n".join(lines), remedy=_remedy(findings).replace("`data: ", f"`{table}: "))


def _remedy(findings: Sequence[Finding]) -> str:
    for_recipe = [finding for finding in findings if not finding.fix]
    repairs = sorted({finding.repair.value for finding in for_recipe if finding.repair})
    accepts = sorted({finding.accept.value for finding in for_recipe if finding.accept})
    leaves = sorted({finding.drop.value for finding in for_recipe if finding.drop})
    steps = list(dict.fromkeys(finding.fix for finding in findings if finding.fix))
    if leaves:
        steps.append(f"leave them out with `data: {{drop: [{', '.join(leaves)}]}}`")
    if repairs:
        steps.append(f"have them changed with `data: {{repair: [{', '.join(repairs)}]}}`")
    if accepts:
        steps.append(f"if meant so, write `data: {{accept: [{', '.join(accepts)}]}}`")
    if any(not (finding.drop or finding.repair or finding.accept) for finding in for_recipe):
        steps.append(_FIX_LABELS)
    return "; ".join(steps)
