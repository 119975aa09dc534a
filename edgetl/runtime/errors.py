"""Expected failures on the device, each with its remedy and the exit code of the process."""

from __future__ import annotations


class EdgetlRuntimeError(Exception):
    """A failure that a user can cause and mend.

    Attributes:
        message: What failed, the value quoted, what is allowed.
        remedy: The command or the edit that helps.
        exit_code: What the process ends with.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the message, and the remedy on a line of its own."""
        return f"{self.message}\n  {self.remedy}"


class EdgetlUsageError(EdgetlRuntimeError):
    """What was asked for cannot be done with this model or in this place."""

    exit_code = 2


class ImageError(EdgetlRuntimeError):
    """An image cannot be decoded."""

    exit_code = 3


class ContractError(EdgetlRuntimeError):
    """A contract file is not what this version reads."""

    exit_code = 6


class BundleError(EdgetlRuntimeError):
    """A bundle is damaged."""

    exit_code = 6


class EngineError(EdgetlRuntimeError):
    """An inference engine is not installed, or would not run a model where it was asked to."""

    exit_code = 4
