"""Expected failures on the device, each with a remedy and an exit code."""

from __future__ import annotations

COPY_AGAIN = "copy the whole folder again from where it was made"
"""The remedy for a folder that is not what it was when edgetl wrote it."""

SAVE_AGAIN = "save it again as an 8-bit JPEG or PNG, or exclude it"
"""The remedy for an image of a kind that is not read."""


CHECK_ACCESS = "check the path, and the owner and mode of file and folders"
"""The remedy for a file that the system refuses."""


class EdgetlRuntimeError(Exception):
    """A failure that a user can cause and fix.

    Attributes:
        message: What failed, the value quoted, what is allowed.
        remedy: The command or edit that fixes it.
        exit_code: Exit code of the process.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the message, with the remedy on its own line."""
        return f"{self.message}\n  {self.remedy}"


class EdgetlUsageError(EdgetlRuntimeError):
    """The request is not possible with this model or on this machine."""

    exit_code = 2


class ImageError(EdgetlRuntimeError):
    """An image cannot be decoded."""

    exit_code = 3


class ContractError(EdgetlRuntimeError):
    """A contract file is damaged or not supported by this version."""

    exit_code = 6


class BundleError(EdgetlRuntimeError):
    """A bundle is damaged."""

    exit_code = 6


class TaskError(EdgetlRuntimeError):
    """The device half of a task is not installed or cannot be used."""

    exit_code = 4


class PackageError(EdgetlRuntimeError, ImportError):
    """A package is installed in a version that the runtime, or an engine, cannot use.

    Raised on import, hence an `ImportError` too.
    """

    exit_code = 4


class EngineError(EdgetlRuntimeError):
    """An inference engine is not installed or cannot run the model on the requested provider."""

    exit_code = 4
