"""Engines of installed packages, which are copied to a device as files of this folder."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from edgetl.runtime.errors import EngineError
from edgetl.runtime.installed import IMPORT_FAILURES, InstalledPlugin, installed_plugins

_GROUP = "edgetl.engines"
_HERE = Path(__file__).resolve().parent


def installed_formats() -> tuple[str, ...]:
    """Return the formats of the engines of installed packages, sorted, importing none."""
    return tuple(dict.fromkeys(plugin.name for plugin in installed_plugins(_GROUP)))


def load_installed(name: str) -> ModuleType:
    """Return the engine of format `name`, one of `installed_formats`.

    Raises:
        EngineError: If its package cannot be imported, its entry point names an object, or several
            packages provide one.
    """
    return _load(_only(name))


def installed_files(name: str) -> dict[str, Path]:
    """Return the files of the engine of format `name`, by their names in this folder.

    These are the engine, named after its format, and the modules that it lists in ``FILES``.

    Raises:
        EngineError: Like `load_installed`, or if a listed file is missing, or could be mistaken
            for an engine or a file of the runtime.
    """
    plugin = _only(name)
    module = _load(plugin)
    source = Path(str(module.__file__))
    files = {f"{name}.py": source}
    for listed in getattr(module, "FILES", ()):
        path = source.with_name(listed)
        if not (listed.startswith("_") and listed.endswith(".py") and path.is_file()):
            raise EngineError(
                f"the engine of format '{name}' of package '{plugin.owner}' lists '{listed}', "
                "which is no module beside it whose name starts with an underscore",
                remedy=f"correct FILES in {source}",
            )
        if (_HERE / listed).exists():
            raise EngineError(
                f"the engine of format '{name}' of package '{plugin.owner}' lists '{listed}', a "
                "name that the runtime uses",
                remedy=f"rename it in {source.parent}",
            )
        files[listed] = path
    return files


def _only(name: str) -> InstalledPlugin:
    plugins = [plugin for plugin in installed_plugins(_GROUP) if plugin.name == name]
    if len(plugins) > 1:
        raise EngineError(
            f"several packages bring an engine of format '{name}': "
            f"{', '.join(plugin.owner for plugin in plugins)}",
            remedy=f"remove all but one: pip uninstall {plugins[-1].distribution}",
        )
    return plugins[0]


def _load(plugin: InstalledPlugin) -> ModuleType:
    if plugin.attribute:
        raise EngineError(
            f"the engine of format '{plugin.name}' of package '{plugin.owner}' is the object "
            f"'{plugin.attribute}' of a module, but an engine is a module",
            remedy=f"in the package, let the entry point '{plugin.name}' of {_GROUP} be "
            f"'{plugin.module}'",
        )
    try:
        return importlib.import_module(plugin.module)
    except IMPORT_FAILURES as error:
        raise EngineError(
            f"the engine of format '{plugin.name}' of package '{plugin.owner}' cannot be "
            f"imported: {error}",
            remedy=f"install what it needs, update it (pip install --upgrade "
            f"{plugin.distribution}), or remove it (pip uninstall {plugin.distribution})",
        ) from error
