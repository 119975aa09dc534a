"""Modules of installed packages that are copied to a device as files of the runtime."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from edgetl.runtime.errors import EdgetlRuntimeError
from edgetl.runtime.installed import IMPORT_FAILURES, InstalledPlugin, installed_plugins


@dataclass(frozen=True)
class InstalledModules:
    """The modules that installed packages add to one folder of the runtime."""

    group: str
    """Of entry points: ``edgetl.engines``."""
    folder: Path
    """Folder of the built-in modules, and on a device of all of them."""
    noun: str
    """Noun for such a module in messages, with its article: ``an engine``."""
    of: str
    """Precedes the name in messages: ``of format``."""
    error: type[EdgetlRuntimeError]

    def names(self) -> tuple[str, ...]:
        """Return the names of the modules, sorted, importing none."""
        return tuple(dict.fromkeys(plugin.name for plugin in installed_plugins(self.group)))

    def load(self, name: str) -> ModuleType:
        """Return the module of `name`, one of `names`.

        Raises:
            EdgetlRuntimeError: If its package cannot be imported, its entry point names an object,
                or several packages provide one.
        """
        return self._load(self._only(name))

    def files(self, name: str) -> dict[str, Path]:
        """Return the files of the module of `name`, by their names in the folder.

        These are the module itself, named `name`, and the modules that it lists in ``FILES``.

        Raises:
            EdgetlRuntimeError: Like `load`, or if a listed file is missing, or could be mistaken
                for another module or a file of the runtime.
        """
        plugin = self._only(name)
        module = self._load(plugin)
        source = Path(str(module.__file__))
        files = {f"{name}.py": source}
        for listed in getattr(module, "FILES", ()):
            path = source.with_name(listed)
            if not (listed.startswith("_") and listed.endswith(".py") and path.is_file()):
                raise self.error(
                    f"{self._called(plugin)} lists '{listed}', which is no module beside it whose "
                    "name starts with an underscore",
                    remedy=f"correct FILES in {source}",
                )
            if (self.folder / listed).exists():
                raise self.error(
                    f"{self._called(plugin)} lists '{listed}', a name that the runtime uses",
                    remedy=f"rename it in {source.parent}",
                )
            files[listed] = path
        return files

    def _only(self, name: str) -> InstalledPlugin:
        plugins = [plugin for plugin in installed_plugins(self.group) if plugin.name == name]
        if len(plugins) > 1:
            raise self.error(
                f"several packages bring {self.noun} {self.of} '{name}': "
                f"{', '.join(plugin.owner for plugin in plugins)}",
                remedy=f"remove all but one: pip uninstall {plugins[-1].distribution}",
            )
        return plugins[0]

    def _load(self, plugin: InstalledPlugin) -> ModuleType:
        if plugin.attribute:
            raise self.error(
                f"{self._called(plugin)} is the object '{plugin.attribute}' of a module, but "
                f"{self.noun} is a module",
                remedy=f"in the package, let the entry point '{plugin.name}' of {self.group} be "
                f"'{plugin.module}'",
            )
        try:
            return importlib.import_module(plugin.module)
        except IMPORT_FAILURES as error:
            raise self.error(
                f"{self._called(plugin)} cannot be imported: {error}",
                remedy=f"install what it needs, update it (pip install --upgrade "
                f"{plugin.distribution}), or remove it (pip uninstall {plugin.distribution})",
            ) from error

    def _called(self, plugin: InstalledPlugin) -> str:
        noun = self.noun.partition(" ")[2]
        return f"the {noun} {self.of} '{plugin.name}' of package '{plugin.owner}'"
