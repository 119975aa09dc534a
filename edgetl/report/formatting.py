"""Formatting of figures, the same in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edgetl.config.limits import Judge
from edgetl.facts.model_files import RangeFacts
from edgetl.facts.package import CandidateRow
from edgetl.types import MIB

NOT_MEASURED: Final = "not measured"

_SIGNS = {
    "held": "\N{CHECK MARK}",
    "chosen": "\N{CHECK MARK}",
    "holds": "\N{CHECK MARK}",
    "missed": "\N{BALLOT X}",
    "rejected": "\N{BALLOT X}",
    "unverified": "?",
}
_JUDGED_BY = {
    Judge.POINT: "judged by the value of a figure",
    Judge.SHOWN: "judged by the worse end of the 95 % interval of a figure",
}
_OTHER_NAMES = {"ap": "AP", "ap50": "AP50"}


def share(value: float | None) -> str:
    """Return an accuracy: ``0.981``; a dash for None."""
    return "\N{EN DASH}" if value is None else f"{value:.3f}"


def percentage_points(value: float | None) -> str:
    """Return a difference of accuracies, never ``-0.0``."""
    return "\N{EN DASH}" if value is None else f"{round(value, 1) + 0.0:.1f}"


def milliseconds(value: float | None) -> str:
    """Return a time with three significant digits: ``0.614``, ``12.3``."""
    if value is None:
        return NOT_MEASURED
    for limit, digits in ((0.1, 4), (1, 3), (10, 2), (100, 1)):
        if value < limit:
            return f"{value:.{digits}f}"
    return f"{value:.0f}"


def mib(value: int | None) -> str:
    """Return bytes in MiB, without the unit."""
    if value is None:
        return NOT_MEASURED
    size = value / MIB
    for limit, digits in ((10, 2), (100, 1)):
        if size < limit:
            return f"{size:.{digits}f}"
    return f"{size:.0f}"


def reasons(row: CandidateRow) -> str:
    """Return why a candidate has its verdict, and further remarks."""
    return "; ".join(
        part
        for part in (
            row.reason,
            "" if row.breaks_at is None else f"parity breaks at {row.breaks_at}",
            "timing disturbed" if row.interfered else "",
        )
        if part
    )


def estimator(settings: RangeFacts) -> str:
    """Return how ranges were estimated: ``percentile 99.99``."""
    name = settings.estimator
    return f"{name} {settings.percentile:g}" if name == "percentile" else name


def bound(value: float, form: str) -> str:
    """Return one end of an interval in the form of its figure: `share`, `pp` or `ms`."""
    return FILTERS[form](value)


def sign(word: str) -> str:
    """Return a sign for a verdict, so that it is not shown by colour alone."""
    return _SIGNS.get(word, "")


def judged_by(judge: Judge) -> str:
    """Return by what a target judges figures, in words."""
    return _JUDGED_BY[judge]


def heading(key: str) -> str:
    """Return the column heading of a figure per class."""
    return _OTHER_NAMES.get(key, key.replace("_", " "))


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "share": share,
    "pp": percentage_points,
    "ms": milliseconds,
    "mib": mib,
    "reasons": reasons,
    "estimator": estimator,
    "fmt": bound,
    "sign": sign,
    "judge": judged_by,
    "heading": heading,
}
"""For templates, by name."""
