"""Problems of labelled data, and their report as one error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgetl.config.recipe import Accept, Drop, Repair
from edgetl.data.container import FIX_OR_EXCLUDE
from edgetl.errors import DataError
from edgetl.runtime.errors import SAVE_AGAIN

FIX_FOLDERS = "fix the folders, or exclude files with `data: {exclude: [...]}`"
_FIX_LABELS = "fix the labels, or exclude files with `data: {exclude: [...]}`"
_MAX_EXAMPLES = 10
_SMALLEST_SET = 4
_MOST = 0.5
"""Share of the data; dropping more of them is no remedy."""


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
    advice: str = ""
    """A manual fix besides a change of the recipe."""
    share: float = 0.0
    """Of the data, that `drop` would remove."""
    lost: tuple[str, ...] = ()
    """Classes that would lose all their images by `drop`."""


def share_of(count: int, total: int) -> float:
    """Return the share of the data that would be dropped; 0 of so few that nothing is a share."""
    return count / total if total >= _SMALLEST_SET else 0.0


def is_most(share: float) -> bool:
    """Return whether dropping a share of the data is no remedy."""
    return share > _MOST


def find_unreadable(reasons: Mapping[str, str], remedies: Mapping[str, str], total: int) -> Finding:
    """Return the finding of images that cannot be read, at least one.

    Args:
        reasons: By image.
        remedies: How to make them readable, by image.
        total: Number of all images.
    """
    share = share_of(len(reasons), total)
    advice = {remedies[name] for name in reasons if name in remedies}
    if not is_most(share):
        advice -= {SAVE_AGAIN, FIX_OR_EXCLUDE}  # few are dropped instead
    return Finding(
        "unreadable image",
        tuple(reasons[name] for name in sorted(reasons)),
        Drop.UNREADABLE,
        advice="; ".join(sorted(advice)),
        share=share,
    )


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
    title = f"the data in '{path}' cannot be used as they are:"
    raise DataError(
        "\n".join([title, *_described(findings)]), remedy=for_table(_remedy(findings), table)
    )


def report_of(findings: Sequence[Finding]) -> str:
    """Return findings with their remedies in the table `data`, as indented lines."""
    return "\n".join([*_described(findings), f"  {_remedy(findings)}"])


def _described(findings: Sequence[Finding]) -> list[str]:
    lines: list[str] = []
    for finding in findings:
        lines.append(f"  {len(finding.examples):,} x {finding.title}:")
        lines.extend(f"    {example}" for example in finding.examples[:_MAX_EXAMPLES])
        if len(finding.examples) > _MAX_EXAMPLES:
            lines.append(f"    and {len(finding.examples) - _MAX_EXAMPLES:,} more")
    return lines


def _remedy(findings: Sequence[Finding]) -> str:
    for_recipe = [finding for finding in findings if not finding.fix]
    removed: dict[Drop, float] = {}
    for finding in for_recipe:
        if finding.drop:
            removed[finding.drop] = removed.get(finding.drop, 0.0) + finding.share
    lost = {finding.drop: finding.lost for finding in for_recipe if finding.drop and finding.lost}
    harmful = {kind for kind, share in removed.items() if is_most(share) or kind in lost}
    repairs = sorted({finding.repair.value for finding in for_recipe if finding.repair})
    accepts = sorted({finding.accept.value for finding in for_recipe if finding.accept})
    drops = sorted(kind.value for kind in removed.keys() - harmful)
    manual = (text for finding in findings for text in (finding.fix, finding.advice) if text)
    steps = list(dict.fromkeys(manual))
    if drops:
        steps.append(f"drop them with `data: {{drop: [{', '.join(drops)}]}}`")
    if repairs:
        steps.append(f"repair them with `data: {{repair: [{', '.join(repairs)}]}}`")
    if accepts:
        steps.append(f"if intended, write `data: {{accept: [{', '.join(accepts)}]}}`")
    if any(
        not finding.drop or finding.drop in harmful
        for finding in for_recipe
        if not (finding.repair or finding.accept or finding.advice)
    ):
        steps.append(_FIX_LABELS)
    for kind in sorted(harmful):
        gone = f"{removed[kind]:.0%} of the data"
        if kind in lost:
            gone = f"all images of {', '.join(lost[kind])}"
        steps.append(f"`drop: [{kind}]` would remove {gone}")
    return "; ".join(steps)
