"""Claim: `pip install edgetl` takes at most 150 MB, and `import edgetl` at most 0.15 s.

Prints the size of the files of edgetl and of everything that it requires without extras, as
installed here, without bytecode; then the time of the import in fresh processes.
Run: python benchmarks/core_size.py [EXTRA], for example with `ssh`.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

import edgetl

_MEGABYTE = 1_000_000
_REPEATS = 9


def main() -> None:
    """Print one line for each distribution, the sum, and the median time of the import."""
    extra = sys.argv[1] if len(sys.argv) > 1 else ""
    sizes = {"edgetl": _folder_bytes(Path(edgetl.__file__).parent)}
    for name in sorted(_required("edgetl", extra) - {"edgetl-runtime"}):
        files = (Path(str(file.locate())) for file in metadata.files(name) or [])
        sizes[name] = sum(each.stat().st_size for each in files if _counts(each))
    for name, size in sorted(sizes.items(), key=lambda pair: -pair[1]):
        print(f"{name:<20} {size / _MEGABYTE:>7.1f} MB")
    print(f"{'in all':<20} {sum(sizes.values()) / _MEGABYTE:>7.1f} MB")
    seconds = sorted(_import_seconds() for _ in range(_REPEATS))
    print(
        f"import edgetl: {statistics.median(seconds):.4f} s, {seconds[0]:.4f} to {seconds[-1]:.4f}"
    )


def _required(name: str, extra: str) -> set[str]:
    """Return what a distribution requires, with all that this requires in turn."""
    complete: set[str] = set()
    left = [(name, extra)]
    while left:
        parent, wanted = left.pop()
        for line in metadata.requires(parent) or []:
            required = Requirement(line)
            if required.marker is None or required.marker.evaluate({"extra": wanted}):
                child = re.sub(r"[-_.]+", "-", required.name).lower()
                if child not in complete:
                    complete.add(child)
                    left.append((child, ""))
    return complete


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if _counts(path))


def _counts(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc"


def _import_seconds() -> float:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import edgetl"],
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (each for each in done.stderr.splitlines() if each.endswith("| edgetl"))
    return int(line.split("|")[1]) / 1e6


if __name__ == "__main__":
    main()
