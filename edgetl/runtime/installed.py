"""Plug-ins of installed packages: entry points in groups whose names begin with ``edgetl.``.

A package adds an engine, for example, with these lines in its ``pyproject.toml``::

    [project.entry-points."edgetl.engines"]
    npz = "acme_npz.engine"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

IMPORT_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""Exceptions of foreign modules that are broken or made for another version of edgetl."""

_PREFIX = "edgetl."


@dataclass(frozen=True)
class InstalledPlugin:
    """One entry point; nothing of its package is imported yet."""

    name: str
    module: str
    """Dotted name of the module that holds the plug-in."""
    attribute: str
    """The object in the module; empty if the entry point names the module alone."""
    extras: tuple[str, ...]
    """Extras of the distribution that install what the plug-in imports."""
    distribution: str
    version: str
    """Of the distribution."""

    @property
    def owner(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.distribution} {self.version}"


def installed_plugins(group: str) -> tuple[InstalledPlugin, ...]:
    """Return the plug-ins of `group`, sorted by name, without importing any of them."""
    return _by_group().get(group, ())


@cache
def _by_group() -> Mapping[str, tuple[InstalledPlugin, ...]]:
    """Read the metadata of all installed packages, once in a process."""
    # Here, because it takes longer than a cold prediction, which uses built-in engines only.
    from importlib import metadata

    groups: dict[str, list[InstalledPlugin]] = {}
    seen: set[str] = set()
    for distribution in metadata.distributions():
        entries = [each for each in distribution.entry_points if each.group.startswith(_PREFIX)]
        if not entries:
            continue
        name = distribution.metadata["Name"]
        if name in seen:  # the first on the path is the one that is imported
            continue
        seen.add(name)
        for each in entries:
            module, _, attribute = each.value.partition("[")[0].strip().partition(":")
            plugin = InstalledPlugin(
                name=each.name,
                module=module.strip(),
                attribute=attribute.strip(),
                extras=tuple(each.extras),
                distribution=name,
                version=distribution.version,
            )
            groups.setdefault(each.group, []).append(plugin)
    return {
        group: tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution)))
        for group, plugins in groups.items()
    }
