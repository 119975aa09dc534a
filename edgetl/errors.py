"""Expected errors: what a user can cause, in one paragraph, with the remedy and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What a process says when it ends; CI decides by it."""

    DONE = 0
    BUG = 1
    USAGE = 2
    CONFIG = 3
    MISSING_PACKAGE = 4
    LIMIT_MISSED = 5
    DAMAGED = 6
    DEVICE_UNREACHABLE = 7


class EdgetlError(Exception):
    """A failure that a user can cause and mend.

    Attributes:
        message: What failed, the value quoted, what is allowed.
        remedy: The command or the edit that helps.
        exit_code: What the process ends with.
    """

    exit_code = ExitCode.BUG

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the message, and the remedy on a line of its own."""
        return f"{self.message}\n  {self.remedy}"


class UsageError(EdgetlError):
    """A command was called with words that do not fit together."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in one place of a file."""

    where: str
    """Dotted key, or a file below the data folder."""
    what: str
    line: int | None = None


class ConfigError(EdgetlError):
    """A recipe, target or calibration file is wrong; all its problems at once."""

    exit_code = ExitCode.CONFIG

    def __init__(self, source: str, problems: Sequence[Problem], *, remedy: str = "") -> None:
        self.source = source
        self.problems = tuple(problems)
        lines = [
            f"{source}{f':{problem.line}' if problem.line else ''}: "
            f"{f'{problem.where}: ' if problem.where else ''}{problem.what}"
            for problem in self.problems
        ]
        super().__init__("\n".join(lines), remedy=remedy or f"edit {source} and run again")


class DataError(EdgetlError):
    """The labelled data cannot be used as they are."""

    exit_code = ExitCode.CONFIG


class MissingPackageError(EdgetlError):
    """A package that was asked for is not installed."""

    exit_code = ExitCode.MISSING_PACKAGE


class PluginError(EdgetlError):
    """An installed package offers a plug-in that cannot be used."""

    exit_code = ExitCode.CONFIG


class LimitMissedError(EdgetlError):
    """No candidate of a target is shown to hold its limits."""

    exit_code = ExitCode.LIMIT_MISSED


class StoreError(EdgetlError):
    """An artifact in the store, or a bundle, is not what its manifest says."""

    exit_code = ExitCode.DAMAGED


class DeviceError(EdgetlError):
    """A device cannot be reached, or what ran on it failed."""

    exit_code = ExitCode.DEVICE_UNREACHABLE
