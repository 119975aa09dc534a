"""Run a foreign converter in a separate process.

Some converters print, set up logging, replace classes of other packages when imported, or exit the
process on unknown input. None of that may affect the pipeline.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from edgetl.errors import EdgetlError

_TAIL_LINES = 3
"""Characters of a failed worker's output that a message quotes."""


def run_worker(module: str, arguments: Sequence[str], *, failure: str, remedy: str) -> None:
    """Run ``python -m module arguments`` to its end, without output.

    Args:
        module: Dotted name of a module with a ``__main__`` part.
        arguments: Its command line.
        failure: Message of the error if the worker fails, for example ``litert_torch could not
            convert the model``.
        remedy: Remedy of the error.

    Raises:
        EdgetlError: If the worker ends with another status than 0; quotes its last lines.
    """
    # -P: a file in the working directory must not be imported instead of a package.
    command = [sys.executable, "-P", "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    if done.returncode == 0:
        return
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    output = " | ".join(lines[-_TAIL_LINES:]) or "no output"
    raise EdgetlError(f"{failure}; it ended with {done.returncode}: {output}", remedy=remedy)
