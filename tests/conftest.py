"""Settings for all tests: few threads, so that parallel workers do not fight over the cores."""

from __future__ import annotations

import os
import signal

# Read by OpenMP and by edgetl's child processes; must be set before a framework is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: the programs that
# tests stop by it would not hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
