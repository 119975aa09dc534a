"""The code that runs on the device; needs only numpy, Pillow and one engine.

``from edgetl.runtime import Predictor`` is the way in. Stays Python 3.9 compatible, because boards
are old; this file parses on Python 3.6, to tell those that are older.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetl.runtime.predictor import Predictor

__all__ = ["Predictor"]

if sys.version_info < (3, 9):  # noqa: UP036 - others would end in a syntax error
    _version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    _problem = f"Python 3.9 or newer is needed, and {sys.executable} is Python {_version}"
    _remedy = "run it with a newer one, for example python3.11"
    if sys.argv[:1] == ["-m"]:  # so it is while `python -m edgetl.runtime` imports this package
        sys.stderr.write(f"edgetl.runtime: {_problem}\n  {_remedy}\n")
        raise SystemExit(4)
    raise ImportError(f"edgetl.runtime: {_problem}; {_remedy}")

if not TYPE_CHECKING:  # else any name would pass for one of this package

    def __getattr__(name):  # noqa: ANN001, ANN202 - Python 3.6 cannot postpone annotations
        """Import what the package offers when it is used: the command's help needs no numpy."""
        if name not in __all__:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        from edgetl.runtime.predictor import Predictor

        return Predictor
