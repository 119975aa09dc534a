"""The process that times one model in turns; see `edgetl.runtime.turns`, which starts it.

It reads requests from its standard input, one per line, and replies to each with one line of JSON.
It ends with its input, and so with its parent.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from edgetl.runtime import host
from edgetl.runtime.closed_loop import take_run
from edgetl.runtime.latency import run_as_json
from edgetl.runtime.measurement import OpenModel
from edgetl.runtime.timing_plan import TimingPlan

TURN = "turn"
SUSTAIN = "sustain"
"""Followed by the number of minutes."""

_WARM_UP_S = 1.0
"""Each model waits between its turns, so that none of them starts as in a long warm-up."""


def serve_requests(folder: Path, *, threads: int, turn: TimingPlan) -> None:
    """Open the model folder, reply with a `Latency` without runs, then reply to the requests.

    Raises:
        EdgetlRuntimeError: If the folder cannot be opened, or has no golden samples.
    """
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    # Engines print, too.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def reply(value: object) -> None:
        replies.write(json.dumps(value) + "\n")
        replies.flush()

    model = OpenModel(folder, threads, _WARM_UP_S)
    reply(model.latency(turn, (), host.peak_memory_bytes(), None).as_json())
    for line in sys.stdin:
        request, _, amount = line.strip().partition(" ")
        if request == TURN:
            # Other models had the caches since the last turn.
            model.work.model()
            model.work.end_to_end()
            reply(run_as_json(take_run(model.work, model.now, turn, model.observer)))
        elif request == SUSTAIN:
            reply(asdict(model.sustain(float(amount))))
        else:
            raise ValueError(f"unknown request {request!r}")
