"""Print what recipes and targets may name: built-in plug-ins and those of installed packages.

Run: python examples/list_plugins.py
"""

from __future__ import annotations

import edgetl

KINDS = {
    "task": edgetl.list_tasks,
    "data.layout": edgetl.list_layouts,
    "teacher.family, student.family": edgetl.list_families,
    "finetune.strategy": edgetl.list_strategies,
    "distill.method": edgetl.list_distillation_methods,
    "candidates of a target": edgetl.list_exporters,
    "device of a target": edgetl.list_devices,
}


def main() -> None:
    """Print one line for each plug-in, target and recipe."""
    for kind, list_plugins in KINDS.items():
        print(f"{kind}:")
        for plugin in list_plugins():
            source = "" if plugin.package == "edgetl" else f" (from {plugin.package})"
            print(f"  {plugin.name:<26} {plugin.summary}{source}")
    print("targets:", ", ".join(target.name for target in edgetl.list_targets()))
    print("recipes:", ", ".join(edgetl.list_recipes()))


if __name__ == "__main__":
    main()
