"""A plug-in is a file: find it by name, say what was meant, say which extra it needs.

A plug-in folder is a package whose ``__init__`` holds the contract. Every other file in it whose
name does not start with an underscore is a plug-in and defines one object, named by the folder
(`Slot.attribute`).
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from edgetl.errors import MissingPackage, MissingPackageError, UsageError

Contract = TypeVar("Contract")


@dataclass(frozen=True, slots=True)
class Slot(Generic[Contract]):
    """One plug-in folder, typed by the contract of what its files define.

    Attributes:
        package: Dotted name of the folder, for example ``edgetl.exporters``.
        attribute: The object that each file defines, for example ``EXPORTER``.
        noun: What a plug-in is called in messages, for example ``exporter``.
        extras: Plug-in name to the edgetl extra that brings what it imports.
    """

    package: str
    attribute: str
    noun: str
    extras: dict[str, str]

    def names(self) -> tuple[str, ...]:
        """Return the names of all plug-ins, sorted, without importing any of them."""
        path = importlib.import_module(self.package).__path__
        return tuple(
            sorted(found.name for found in pkgutil.iter_modules(path) if found.name[0] != "_")
        )

    def check(self, name: str) -> None:
        """Raise the error that `load` would raise for an unknown name.

        Raises:
            UsageError: If there is no such file; names the closest one and all known.
        """
        known = self.names()
        if name in known:
            return
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"Did you mean '{close[0]}'? " if close else ""
        raise UsageError(
            f"unknown {self.noun} '{name}'", remedy=f"{meant}Known: {', '.join(known)}."
        )

    def load(self, name: str) -> Contract:
        """Import the plug-in `name` and return what it defines.

        Raises:
            UsageError: If there is no such file.
            MissingPackageError: If it imports a package that is not installed.
        """
        self.check(name)
        try:
            module = importlib.import_module(f"{self.package}.{name}")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "edgetl":
                raise
            raise MissingPackageError.of([self.missing(name, error.name)]) from error
        return cast("Contract", getattr(module, self.attribute))

    def missing(self, name: str, module: str) -> MissingPackage:
        """Return the `module` that the plug-in `name` cannot import, and the extra that has it."""
        extra = self.extras.get(name)
        return MissingPackage(
            f"{self.noun} '{name}'", module, f"edgetl[{extra}]" if extra else module
        )
