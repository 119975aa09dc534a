"""Record what a script in ``benchmarks/`` prints, for the page of measurements.

    python docs/recorded.py benchmarks/nms.py [ARGUMENT...]

The output becomes ``docs/measurements/nms.txt``. Its first line has the SHA-256 of the script, so
that a figure which is older than its script is noticed: the documentation is not built then. The
page shows each record below what the script's own first lines claim.
"""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def main(script: Path, arguments: Sequence[str]) -> int:
    """Run a script and record its output if it ends well; return its exit code."""
    opening = heading(script, arguments)
    done = subprocess.run(
        [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True, check=False
    )
    sys.stdout.write(done.stdout)
    if done.returncode == 0:
        place = _ROOT / "docs" / "measurements" / f"{script.stem}.txt"
        place.write_text(f"{opening}\n{done.stdout}", encoding="utf-8")
    return done.returncode


def heading(script: Path, arguments: Sequence[str]) -> str:
    """Return the first lines of a record: script, arguments and digest; date and machine.

    The load is what else the machine did: above zero, times are too long.
    """
    command = " ".join([f"benchmarks/{script.name}", *(Path(each).name for each in arguments)])
    today = datetime.now(tz=UTC).date()
    cores = len(os.sched_getaffinity(0))
    machine = f"{cores} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}"
    return f"{command}  sha256 {digest(script)}\n{today}, {machine}\n"


def digest(script: Path) -> str:
    """Return the SHA-256 of a script."""
    return hashlib.sha256(script.read_bytes()).hexdigest()


def problems(root: Path) -> Iterator[str]:
    """Yield why records are not those of the scripts below `root`, a sentence for each."""
    for record in sorted((root / "docs" / "measurements").glob("*.txt")):
        script = root / "benchmarks" / f"{record.stem}.py"
        name = f"docs/measurements/{record.name}"
        if not script.is_file():
            yield f"{name}: there is no benchmarks/{script.name}; remove the record"
            continue
        first = record.read_text(encoding="utf-8").partition("\n")[0]
        if first.rpartition(" ")[2] != digest(script):
            yield (
                f"{name} is older than its script; run "
                f"`python docs/recorded.py benchmarks/{script.name}`, with the arguments that its "
                "first lines describe"
            )


def sections(root: Path) -> str:
    """Return the part of the page that is made from records, then the scripts that have none."""
    lines: list[str] = []
    without: list[str] = []
    for script in sorted((root / "benchmarks").glob("*.py")):
        record = root / "docs" / "measurements" / f"{script.stem}.txt"
        if record.is_file():
            output = record.read_text(encoding="utf-8").rstrip()
            lines += [f"### {script.stem}", "", _claim(script), "", "```text", output, "```", ""]
        else:
            without.append(f"- `{script.name}`: {_claim(script)}")
    if without:
        lines += [
            "### Without a record",
            "",
            "There is no output of these scripts as they are now:",
            "",
            *without,
            "",
        ]
    return "\n".join(lines)


def _claim(script: Path) -> str:
    """Return the first paragraph of the docstring of a script, without the word in front."""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    claim = " ".join(text.partition("\n\n")[0].split()).removeprefix("Claim: ")
    return claim[:1].upper() + claim[1:]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
