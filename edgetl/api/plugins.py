"""``edgetl.list_families`` and its like: the names that recipes, targets and options may use.

Each returns the plug-ins of one kind, built-in ones first, without importing any. Packages that are
installed beside edgetl add their own.
"""

from __future__ import annotations

from typing import Any

from edgetl.data.sources import SOURCES
from edgetl.devices import DEVICES
from edgetl.exporters import EXPORTERS
from edgetl.models import FAMILIES
from edgetl.plugins import ENGINES, PluginInfo, Slot
from edgetl.quantizers import QUANTIZERS
from edgetl.stages import STAGES
from edgetl.tasks import TASKS
from edgetl.train.distillation import METHODS
from edgetl.train.strategies import STRATEGIES


def list_devices() -> tuple[PluginInfo, ...]:
    """Return the ways to reach a device, which begin its address: ``ssh``."""
    return _all(DEVICES)


def list_distillation_methods() -> tuple[PluginInfo, ...]:
    """Return the distillation methods, ``distill.method`` of a recipe."""
    return _all(METHODS)


def list_engines() -> tuple[PluginInfo, ...]:
    """Return the inference engines by model format, a key of ``candidates`` of a target."""
    return _all(ENGINES)


def list_exporters() -> tuple[PluginInfo, ...]:
    """Return the exporters by model format, a key of ``candidates`` of a target."""
    return _all(EXPORTERS)


def list_families() -> tuple[PluginInfo, ...]:
    """Return the model families, ``teacher.family`` and ``student.family`` of a recipe."""
    return _all(FAMILIES)


def list_layouts() -> tuple[PluginInfo, ...]:
    """Return the data layouts, ``data.layout`` of a recipe."""
    return _all(SOURCES)


def list_quantizers() -> tuple[PluginInfo, ...]:
    """Return the quantizers."""
    return _all(QUANTIZERS)


def list_stages() -> tuple[PluginInfo, ...]:
    """Return the stages; those that take options are tables or ``refine`` entries of a recipe."""
    return _all(STAGES)


def list_strategies() -> tuple[PluginInfo, ...]:
    """Return the fine-tuning strategies, ``finetune.strategy`` of a recipe."""
    return _all(STRATEGIES)


def list_tasks() -> tuple[PluginInfo, ...]:
    """Return the tasks, ``task`` of a recipe."""
    return _all(TASKS)


def _all(slot: Slot[Any]) -> tuple[PluginInfo, ...]:
    return tuple(map(slot.describe, slot.names()))
