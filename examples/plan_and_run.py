"""Plan a recipe, run it, and look at what was chosen for each target.

Run: python examples/plan_and_run.py RECIPE [KEY=VALUE...], for example with the recipe `parts`.
"""

from __future__ import annotations

import sys

import edgetl


def main(recipe: str, settings: list[str]) -> int:
    """Return 0 if the limits of every target hold, else 1."""
    planned = edgetl.plan(recipe, set=settings)
    if planned.missing:
        print(planned.missing_line())
        return 1
    print(f"{len(planned.to_run)} of {len(planned.steps)} steps are to be run")

    result = edgetl.run(recipe, set=settings, progress=True)
    for name, target in result.targets.items():
        chosen = target.chosen
        if chosen is None:
            print(f"{name}: nothing fits, {target.why}")
        else:
            figures = f"{chosen.title} {chosen.value:.3f}, {chosen.size_bytes / 1e6:.2f} MB"
            print(f"{name}: {chosen.candidate.name} in {target.bundle}, {figures}")
    return 0 if result.held else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except edgetl.EdgetlError as error:
        sys.exit(f"{error.message}\n  {error.remedy}")
