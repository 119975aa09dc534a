"""Expected errors: what a user can cause, in one paragraph, with the remedy and an exit code."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code of a process, for CI."""

    DONE = 0
    BUG = 1
    USAGE = 2
    CONFIG = 3
    MISSING_PACKAGE = 4
    LIMIT_MISSED = 5
    DAMAGED = 6
    DEVICE_UNREACHABLE = 7


class EdgetlError(Exception):
    """A failure that a user can cause and fix.

    Attributes:
        message: What failed, the value quoted, what is allowed.
        remedy: The command or edit that fixes it.
        exit_code: Exit code of the process.
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
    """A command was called with arguments that do not fit together."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem at one place of a file."""

    where: str
    """Dotted key, or a file below the data folder."""
    what: str
    line: int | None = None
    source: str = ""
    """The file, if an error is about several; empty for the file of the error."""


class ConfigError(EdgetlError):
    """A recipe, target or calibration file is wrong; all its problems at once."""

    exit_code = ExitCode.CONFIG

    def __init__(self, source: str, problems: Sequence[Problem], *, remedy: str = "") -> None:
        self.source = source
        self.problems = tuple(problems)
        lines = [
            f"{problem.source or source}{f':{problem.line}' if problem.line else ''}: "
            f"{f'{problem.where}: ' if problem.where else ''}{problem.what}"
            for problem in self.problems
        ]
        super().__init__("\n".join(lines), remedy=remedy or f"edit {source} and run again")


def join_errors(errors: Sequence[ConfigError]) -> ConfigError:
    """Return one error with the problems and the remedies of `errors`, at least one."""
    if len(errors) == 1:
        return errors[0]
    problems = [
        replace(problem, source=problem.source or error.source)
        for error in errors
        for problem in error.problems
    ]
    remedies = dict.fromkeys(error.remedy for error in errors)
    return ConfigError(errors[0].source, problems, remedy="\n  ".join(remedies))


class DataError(EdgetlError):
    """The labelled data cannot be used as they are."""

    exit_code = ExitCode.CONFIG


@dataclass(frozen=True, slots=True)
class MissingPackage:
    """A package that something needs and that is not installed."""

    needed_by: str
    """Begins a message, for example ``exporter 'onnx'``."""
    package: str
    """Name of the distribution, or of the module if only that is known."""
    requirement: str
    """What pip installs to provide it, for example ``edgetl[onnx]``."""


class MissingPackageError(EdgetlError):
    """A package that a command needs is not installed."""

    exit_code = ExitCode.MISSING_PACKAGE

    @classmethod
    def of(cls, missing: Sequence[MissingPackage]) -> MissingPackageError:
        """Return the error for all `missing` packages, with one command that installs them."""
        first, by_requirement = missing[0], _by_requirement(missing)
        names = [name for group in by_requirement.values() for name in group]
        if len(names) == 1:
            message = f"{first.needed_by} needs the package {names[0]}, which is not installed"
        else:
            groups = (f"{', '.join(group)} ({name})" for name, group in by_requirement.items())
            message = f"these packages are not installed: {'; '.join(groups)}"
        return cls(message, remedy=f"pip install {' '.join(_joined(by_requirement))}")


def _by_requirement(missing: Sequence[MissingPackage]) -> dict[str, list[str]]:
    """Return the quoted names of packages by requirement, each package once."""
    groups: dict[str, list[str]] = {}
    seen: set[str] = set()
    for each in missing:
        key = each.package.replace("_", "-")  # a module and its distribution may both be named
        if key not in seen:
            seen.add(key)
            groups.setdefault(each.requirement, []).append(f"'{each.package}'")
    return groups


def _joined(requirements: Iterable[str]) -> list[str]:
    """Return `requirements` for a shell, with the extras of one distribution joined."""
    extras: dict[str, list[str]] = {}
    for requirement in requirements:
        name, _, extra = requirement.removesuffix("]").partition("[")
        extras.setdefault(name, []).extend([extra] if extra else [])
    return [f"'{name}[{','.join(known)}]'" if known else name for name, known in extras.items()]


class PluginError(EdgetlError):
    """An installed package offers a plug-in that cannot be used."""

    exit_code = ExitCode.CONFIG


class StoreError(EdgetlError):
    """An artifact in the store, or a bundle, does not match its manifest."""

    exit_code = ExitCode.DAMAGED


class DeviceError(EdgetlError):
    """A device cannot be reached, or what ran on it failed."""

    exit_code = ExitCode.DEVICE_UNREACHABLE


def closest(name: str, known: Iterable[str]) -> str:
    """Return the one of `known` that was probably meant by `name`; empty if none is like it."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def first_of(names: Sequence[str], most: int) -> str:
    """Return the first `most` names, and how many there are beyond: ``a, b and 1,234 more``."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def known_names(name: str, known: Collection[str]) -> str:
    """Return ``Did you mean 'onnx'? Known: onnx, tflite.``, the remedy for an unknown name."""
    meant = closest(name, known)
    hint = f"Did you mean '{meant}'? " if meant else ""
    return f"{hint}Known: {', '.join(known)}."
