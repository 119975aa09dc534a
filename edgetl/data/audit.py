"""What is wrong with labelled data, in one report, and which split each usable photo is in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edgetl.config.recipe import Leave
from edgetl.data.sources import Listing, Sample
from edgetl.data.splits import SplitRule, divide
from edgetl.errors import DataError
from edgetl.types import Split

_MAX_EXAMPLES = 10
_MIN_CLASSES = 2
_PROTECTED = (Split.TRAIN, Split.VAL, Split.TEST)
"""Of two copies the one in the later split is kept: a test photo is dearer than one to train on."""


@dataclass(frozen=True, slots=True)
class Omission:
    """A photo or class that is left out, and why."""

    name: str
    kind: Leave
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of problem with everything that shows it."""

    title: str
    examples: tuple[str, ...]
    leave: Leave | None
    """What the recipe can say to leave these out; None if they can only be mended."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What came out of the examination of labelled data."""

    classes: tuple[str, ...]
    placed: Mapping[Split, tuple[Sample, ...]]
    """Photos to use, by split, each sorted by name."""
    omissions: tuple[Omission, ...]
    num_repeated: int
    """Photos that are used although another one in the same split is equal."""
    findings: tuple[Finding, ...]
    """Problems that forbid using the data."""

    def refuse_if_wrong(self, called: str) -> None:
        """Raise all findings as one error.

        Args:
            called: What messages call the data.

        Raises:
            DataError: If there is a finding.
        """
        if not self.findings:
            return
        lines = [f"the data in '{called}' cannot be used as they are:"]
        for finding in self.findings:
            lines.append(f"  {len(finding.examples):,} x {finding.title}:")
            lines.extend(f"    {example}" for example in finding.examples[:_MAX_EXAMPLES])
            if len(finding.examples) > _MAX_EXAMPLES:
                lines.append(f"    and {len(finding.examples) - _MAX_EXAMPLES:,} more")
        raise DataError("\n".join(lines), remedy=_remedy(self.findings))


def examine(
    listing: Listing,
    contents: Mapping[str, str],
    unreadable: Mapping[str, str],
    *,
    rule: SplitRule,
    seed: int,
    leave_out: Collection[Leave],
) -> Audit:
    """Place every usable photo and find everything that is wrong.

    Args:
        listing: Photos and classes by name.
        contents: Photo name to content digest, for all but those in `unreadable`.
        unreadable: Photo name to the reason.
        rule: How splits are made.
        seed: Of the division.
        leave_out: Kinds of problems that lead to omissions instead of findings.
    """
    omissions = [
        Omission(name, Leave.UNREADABLE, reason) for name, reason in sorted(unreadable.items())
    ]
    findings = _check_names(listing)
    if unreadable and Leave.UNREADABLE not in leave_out:
        findings.append(
            Finding(
                "unreadable photo",
                tuple(unreadable[name] for name in sorted(unreadable)),
                Leave.UNREADABLE,
            )
        )
    samples = [sample for sample in listing.samples if sample.name not in unreadable]
    copies = _copies(samples, contents)
    omitted, across, conflicts = _compare(copies, rule)
    if Leave.DUPLICATES in leave_out:
        omissions.extend(omitted)
        gone = {omission.name for omission in omitted}
        samples = [sample for sample in samples if sample.name not in gone]
    else:
        findings.extend(
            Finding(title, examples, Leave.DUPLICATES)
            for title, examples in (
                ("group of equal photos in several splits", across),
                ("group of equal photos with different labels", conflicts),
            )
            if examples
        )
    placed = _place(samples, contents, rule, seed)
    empty, incomplete = _missing(listing.classes, placed)
    classes = listing.classes
    if empty and Leave.EMPTY_CLASSES in leave_out:
        omissions.extend(Omission(name, Leave.EMPTY_CLASSES, "no photos") for name in empty)
        classes = tuple(name for name in classes if name not in empty)
    elif empty:
        findings.append(Finding("class without photos", empty, Leave.EMPTY_CLASSES))
    if incomplete:
        findings.append(Finding("class that a split lacks", incomplete, None))
    if len(classes) < _MIN_CLASSES:
        findings.append(Finding("class, but at least two are needed", classes, None))
    used = [contents[sample.name] for split in placed.values() for sample in split]
    return Audit(classes, placed, tuple(omissions), len(used) - len(set(used)), tuple(findings))


def _check_names(listing: Listing) -> list[Finding]:
    """Return what is wrong by names alone."""
    findings = []
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in listing.classes:
        spellings[name.casefold()].append(name)
    clashes = tuple(" and ".join(names) for names in spellings.values() if len(names) > 1)
    if clashes:
        findings.append(Finding("class names that differ only in case", clashes, None))
    # A line break would make two labels of one, and bytes that are no text cannot be written.
    odd = tuple(repr(name) for name in listing.classes if not name.isprintable())
    if odd:
        findings.append(Finding("class name with characters that cannot be printed", odd, None))
    if listing.unlabelled:
        findings.append(Finding("photo outside of any class folder", listing.unlabelled, None))
    return findings


def _copies(samples: Sequence[Sample], contents: Mapping[str, str]) -> list[list[Sample]]:
    """Return groups of two and more photos with equal content."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[contents[sample.name]].append(sample)
    return [group for group in groups.values() if len(group) > 1]


def _compare(
    copies: Sequence[Sequence[Sample]], rule: SplitRule
) -> tuple[list[Omission], tuple[str, ...], tuple[str, ...]]:
    """Return what leaving out duplicates would omit, and the groups that forbid keeping them.

    One copy stays, the one in the most protected split. Of copies with different labels none stays:
    nobody knows which label is right.
    """
    omitted: list[Omission] = []
    across: list[str] = []
    conflicts: list[str] = []
    for group in copies:
        names = " = ".join(sample.name for sample in group)
        if len({sample.label for sample in group}) > 1:
            conflicts.append(names)
            reason = f"equal photos have different labels: {names}"
            omitted.extend(Omission(sample.name, Leave.DUPLICATES, reason) for sample in group)
            continue
        if len({rule.place(sample.split) for sample in group}) > 1:
            across.append(names)
        kept = max(group, key=lambda sample: _PROTECTED.index(rule.place(sample.split)))
        omitted.extend(
            Omission(sample.name, Leave.DUPLICATES, f"equal to {kept.name}")
            for sample in group
            if sample is not kept
        )
    return omitted, tuple(across), tuple(conflicts)


def _place(
    samples: Sequence[Sample], contents: Mapping[str, str], rule: SplitRule, seed: int
) -> dict[Split, tuple[Sample, ...]]:
    placed: dict[Split, list[Sample]] = {split: [] for split in Split}
    undivided: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        split = rule.place(sample.split)
        if split is Split.TRAIN and rule.drawn_off:
            undivided[sample.label][contents[sample.name]].append(sample)
        else:
            placed[split].append(sample)
    for groups in undivided.values():
        sizes = [(content, len(group)) for content, group in groups.items()]
        for content, split in divide(sizes, rule.drawn_off, seed).items():
            placed[split].extend(groups[content])
    return {
        split: tuple(sorted(found, key=lambda sample: sample.name))
        for split, found in placed.items()
    }


def _missing(
    classes: Sequence[str], placed: Mapping[Split, Sequence[Sample]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return classes without any photo, and descriptions of those that some split lacks."""
    present = {split: {sample.label for sample in found} for split, found in placed.items()}
    empty: list[str] = []
    incomplete: list[str] = []
    for name in classes:
        lacking = [split.value for split in Split if name not in present[split]]
        if len(lacking) == len(Split):
            empty.append(name)
        elif lacking:
            total = sum(sample.label == name for found in placed.values() for sample in found)
            incomplete.append(f"{name} ({total:,} photos): none in {', '.join(lacking)}")
    return tuple(empty), tuple(incomplete)


def _remedy(findings: Sequence[Finding]) -> str:
    leaves = sorted({finding.leave.value for finding in findings if finding.leave})
    steps = []
    if leaves:
        steps.append(f"leave them out with `data: {{leave_out: [{', '.join(leaves)}]}}`")
    if any(finding.leave is None for finding in findings):
        steps.append("mend the folders, or name files in `data: {exclude: [...]}`")
    return "; ".join(steps)
