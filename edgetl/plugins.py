"""Plug-ins: find one by name, suggest the closest name, name the extra that it needs.

A plug-in folder is a package whose ``__init__`` defines the contract. Every other file in it whose
name does not start with an underscore is a plug-in and defines one object, whose name the folder
sets (`Slot.attribute`). A file whose imports come with an extra states it: ``EXTRA = "onnx"``.

Installed packages add plug-ins through entry points in the folder's group (`Slot.group`); their
values are ``module`` or ``module:object``, with the package's extra in brackets if it needs one.
Names are read without importing a plug-in, and a package that cannot be used is an error only if
its plug-in is requested.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar, cast

from edgetl.errors import (
    MissingPackage,
    MissingPackageError,
    PluginError,
    UsageError,
    known_names,
)
from edgetl.runtime.installed import IMPORT_FAILURES, InstalledPlugin, installed_plugins

Contract = TypeVar("Contract")


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What is known about a plug-in without importing it."""

    name: str
    """As recipes, targets and options spell it."""
    summary: str
    """First line of its file; of an installed plug-in, the summary of its package."""
    package: str
    """``edgetl``, or distribution and version of the package that adds it."""
    requirement: str
    """What pip installs for it, such as ``edgetl[onnx]``; empty if its package suffices."""


@dataclass(frozen=True, slots=True)
class Slot(Generic[Contract]):
    """One plug-in folder, typed by the contract of what its files define.

    Attributes:
        package: Dotted name of the folder, for example ``edgetl.exporters``.
        attribute: The object that each file defines, for example ``EXPORTER``; empty if the module
            itself is the plug-in.
        noun: Name of a plug-in in messages, for example ``exporter``.
        group: Group of entry points, for example ``edgetl.exporters``; empty if installed packages
            cannot add to the folder.
        hyphens: Whether the names of built-in plug-ins have hyphens, as in recipes, where their
            files have underscores.
    """

    package: str
    attribute: str
    noun: str
    group: str = ""
    hyphens: bool = False

    def names(self) -> tuple[str, ...]:
        """Return the names of all plug-ins without importing any: built-in ones first, sorted."""
        installed = (plugin.name for plugin in installed_plugins(self.group))
        return tuple(dict.fromkeys((*self.built_in(), *installed)))

    def built_in(self) -> tuple[str, ...]:
        """Return the names of the plug-ins that are files of the folder, sorted."""
        path = importlib.import_module(self.package).__path__
        modules = (module.name for module in pkgutil.iter_modules(path))
        names = (name for name in modules if name[0] != "_")
        return tuple(sorted(name.replace("_", "-") if self.hyphens else name for name in names))

    def check(self, name: str) -> None:
        """Raise the error that `load` would raise for a name that is unknown or taken twice.

        Raises:
            UsageError: If there is no such plug-in; names the closest one and all known.
            PluginError: If an installed package shares the name with a built-in or another one.
        """
        self._find(name)

    def load(self, name: str) -> Contract:
        """Import the plug-in `name` and return the object that it defines.

        Raises:
            UsageError: If there is no such plug-in.
            PluginError: If its package shares the name with another, or cannot be imported.
            MissingPackageError: If it imports a package that is not installed.
        """
        plugin = self._find(name)
        if plugin is not None:
            return self._load_installed(plugin)
        try:
            module = importlib.import_module(self._module(name))
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "edgetl":
                raise
            raise MissingPackageError.of([self.missing(name, error.name)]) from error
        return self._defined(module, self.attribute)

    def stamp(self, name: str) -> dict[str, str]:
        """Return the plug-in's kind and name with its version, for the key of nodes that load it.

        For example ``{"exporter onnx": "1"}``, or ``{"exporter npz": "2, acme-npz 0.3"}`` if it is
        part of a package.

        Raises:
            PluginError: If the plug-in states no version.
            EdgetlError: Like `load`.
        """
        plugin, loaded = self._find(name), self.load(name)
        version = getattr(loaded, "version" if self.attribute else "VERSION", None)
        if not isinstance(version, int):
            where = "the module" if not self.attribute else f"its {self.attribute}"
            raise PluginError(
                f"{self.noun} '{name}'{_of(plugin)} states no version",
                remedy=f"let {where} state version 1, and raise it whenever results change",
            )
        return {f"{self.noun} {name}": f"{version}, {plugin.owner}" if plugin else str(version)}

    def extra_of(self, name: str) -> str:
        """Return the extra that installs what the plug-in imports, without importing it.

        Empty if it needs none.
        """
        plugin = self._find(name)
        if plugin is not None:
            return next(iter(plugin.extras), "")
        spec = importlib.util.find_spec(self._module(name))
        return _constant(Path(spec.origin), "EXTRA") if spec and spec.origin else ""

    def describe(self, name: str) -> PluginInfo:
        """Return what is known about the plug-in `name` without importing it.

        Raises:
            UsageError: If there is no such plug-in.
            PluginError: If its package shares the name with another.
        """
        plugin, extra = self._find(name), self.extra_of(name)
        if plugin is not None:
            summary = metadata.metadata(plugin.distribution)["Summary"] or ""
            package, owner = plugin.distribution, plugin.owner
        else:
            spec = importlib.util.find_spec(self._module(name))
            summary = _first_line(Path(spec.origin)) if spec and spec.origin else ""
            package = owner = "edgetl"
        return PluginInfo(name, summary, owner, f"{package}[{extra}]" if extra else "")

    def missing(self, name: str, module: str) -> MissingPackage:
        """Return the `module` that the plug-in `name` cannot import, and the extra that has it."""
        plugin, extra = self._find(name), self.extra_of(name)
        distribution = plugin.distribution if plugin else "edgetl"
        return MissingPackage(
            f"{self.noun} '{name}'{_of(plugin)}",
            module,
            f"{distribution}[{extra}]" if extra else module,
        )

    def _module(self, name: str) -> str:
        """Return the dotted name of a built-in plug-in's file."""
        return f"{self.package}.{name.replace('-', '_') if self.hyphens else name}"

    def _find(self, name: str) -> InstalledPlugin | None:
        """Return the entry point called `name`; None if the plug-in is built in.

        Raises:
            UsageError: If there is no such plug-in.
            PluginError: If there are several.
        """
        plugins = [plugin for plugin in installed_plugins(self.group) if plugin.name == name]
        built_in = name in self.built_in()
        if len(plugins) + built_in > 1:
            raise self._shared(name, plugins, built_in=built_in)
        if plugins:
            return plugins[0]
        if not built_in:
            raise self._unknown(name)
        return None

    def _load_installed(self, plugin: InstalledPlugin) -> Contract:
        try:
            module = importlib.import_module(plugin.module)
            return self._defined(module, plugin.attribute or self.attribute)
        except IMPORT_FAILURES as error:
            if isinstance(error, ModuleNotFoundError) and error.name is not None:
                top = error.name.partition(".")[0]
                if top not in {"edgetl", plugin.module.partition(".")[0]}:
                    missing = self.missing(plugin.name, error.name)
                    raise MissingPackageError.of([missing]) from error
            name, reason = plugin.distribution, " ".join(str(error).split())
            raise PluginError(
                f"{self.noun} '{plugin.name}'{_of(plugin)} cannot be imported: "
                f"{type(error).__name__}: {reason}",
                remedy=f"update it (pip install --upgrade {name}), "
                f"or remove it (pip uninstall {name})",
            ) from error

    def _defined(self, module: ModuleType, attribute: str) -> Contract:
        return cast("Contract", getattr(module, attribute) if attribute else module)

    def _unknown(self, name: str) -> UsageError:
        return UsageError(f"unknown {self.noun} '{name}'", remedy=known_names(name, self.names()))

    def _shared(self, name: str, plugins: list[InstalledPlugin], *, built_in: bool) -> PluginError:
        owners = [plugin.owner for plugin in plugins]
        removable = " or ".join(f"'pip uninstall {plugin.distribution}'" for plugin in plugins)
        return PluginError(
            f"{self.noun} '{name}' is defined by {' and by '.join(['edgetl'] * built_in + owners)}",
            remedy=f"a name belongs to one package: run {removable}, or ask its authors for "
            "another name",
        )


ENGINES: Slot[ModuleType] = Slot("edgetl.runtime.engines", "", "engine", "edgetl.engines")
"""The engines of the runtime, which finds them itself; here for their names and versions."""


DEVICE_HALVES: Slot[ModuleType] = Slot(
    "edgetl.runtime.tasks", "", "device half of task", "edgetl.runtime_tasks"
)
"""The tasks of the runtime, which finds them by itself; here for their names."""


def _of(plugin: InstalledPlugin | None) -> str:
    return f" of package '{plugin.owner}'" if plugin else ""


def _first_line(file: Path) -> str:
    """Return the first line of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].removesuffix(".")


def _constant(file: Path, name: str) -> str:
    """Return the string that a module assigns to `name` at its top level; empty if it does not."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Constant(value=str(value))):
                if target == name:
                    return value
    return ""
