"""Expected failures on the device, each with its remedy and the exit code of the process."""

from __future__ import annotations


class RuntimeFault(Exception):  # noqa: N818 - one fault among several that end a process with a reason
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


class UsageFault(RuntimeFault):
    """What was asked for cannot be done with this model or in this place."""

    exit_code = 2


class PhotoError(RuntimeFault):
    """A photo cannot be decoded."""

    exit_code = 3


class ContractError(RuntimeFault):
    """A contract file is not what this version reads."""

    exit_code = 6


class BundleError(RuntimeFault):
    """A bundle is damaged."""

    exit_code = 6


class EngineError(RuntimeFault):
    """An inference engine is not installed, or would not run a model where it was asked to."""

    exit_code = 4
