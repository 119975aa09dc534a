"""Run a foreign converter in a process of its own.

Some converters print, set up logging, replace classes of other packages when imported, or end the
process on what they do not know. None of that may reach the pipeline.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from edgetl.errors import EdgetlError

_TAIL_LINES = 3
"""How much of a failed worker's output a message quotes."""


def run_worker(module: str, arguments: Sequence[str], *, failure: str, remedy: str) -> None:
    """Run ``python -m module arguments`` to its end, silently.

    Args:
        module: Dotted name of a module with a ``__main__`` part.
        arguments: Its command line.
        failure: What the error says if the worker fails, for example ``litert_torch could not
            convert the model``.
        remedy: What then helps.

    Raises:
        EdgetlError: If the worker ends with another status than 0; quotes its last lines.
    """
    # -P: a file in the working directory must not be imported in the place of a package.
    command = [sys.executable, "-P", "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    if done.returncode == 0:
        return
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    output = " | ".join(lines[-_TAIL_LINES:]) or "no output"
    raise EdgetlError(f"{failure}; it ended with {done.returncode}: {output}", remedy=remedy)
