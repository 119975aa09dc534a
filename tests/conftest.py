"""Settings for all tests: few threads, so that parallel workers do not fight over the cores."""

from __future__ import annotations

import os

# Read by OpenMP and by edgetl's child processes; must be set before a framework is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
