"""Claim: the command line starts at once, and a fully cached run needs no framework.

Prints the wall time of whole commands in fresh processes, and which frameworks they import.
Run: python benchmarks/start_up.py [RECIPE] in a folder where RECIPE (default: parts) has been run.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

_FRAMEWORKS = ("torch", "onnx", "onnxruntime", "openvino", "nncf", "litert_torch", "numpy")
_REPEATS = 9


def main() -> None:
    """Time each command `_REPEATS` times and print the median."""
    recipe = sys.argv[1] if len(sys.argv) > 1 else "parts"
    print(f"{'command':<28} {'median s':>9} {'min s':>7} {'max s':>7}  exit  frameworks imported")
    for words in (["--help"], ["plan", recipe], ["run", recipe]):
        seconds = []
        for _ in range(_REPEATS):
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "edgetl", *words],
                check=False,
                capture_output=True,
                text=True,
            )
            seconds.append(time.perf_counter() - started)
        if words[0] == "run" and "[reused]" not in done.stdout:
            raise SystemExit(f"run 'edgetl run {recipe}' here first; it ended with: {done.stderr}")
        print(
            f"{'edgetl ' + ' '.join(words):<28} {statistics.median(seconds):>9.3f} "
            f"{min(seconds):>7.3f} {max(seconds):>7.3f}  {done.returncode:>4}  {_imported(words)}"
        )


def _imported(words: list[str]) -> str:
    script = (
        f"import sys, io, contextlib; sys.argv = ['edgetl', *{words!r}]\n"
        "from edgetl.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main()\n"
        f"print(' '.join(name for name in {_FRAMEWORKS!r} if name in sys.modules) or 'none')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
