"""Check a bundle on its device, and fail the job if a limit is missed.

Run: python examples/check_in_ci.py BUNDLE TARGET [ADDRESS], for example dist/rpi4 rpi4 ssh://pi@rpi4.
"""

from __future__ import annotations

import sys
from pathlib import Path

import edgetl


def main(bundle: str, target: str, address: str | None) -> int:
    """Write the files that a CI server reads; return 0 if the bundle may be released, else 1."""
    baseline = Path("baseline.json")
    checked = edgetl.check(
        bundle,
        target=target,
        device=address,
        baseline=baseline if baseline.is_file() else None,
        seconds=1.0,
    )
    Path("check.xml").write_text(checked.junit(), encoding="utf-8")
    Path("check.md").write_text(checked.markdown(), encoding="utf-8")
    for case in checked.cases:
        if case.status in {"failed", "unverified"}:
            print(f"{case.name}: {case.reason}")
    print(f"{bundle} on {target}: {checked.verdict}")
    return 0 if checked.passed else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None))
    except (edgetl.EdgetlError, edgetl.EdgetlRuntimeError) as error:
        sys.exit(f"{error.message}\n  {error.remedy}")
