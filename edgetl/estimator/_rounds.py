"""Time several model folders in turns: ``python rounds.py THREADS FOLDER...``, on the device.

Needs only ``edgetl.runtime``, on Python 3.9 or later. All networks are opened first. Then each is
timed briefly, in repeated rounds, so that other load on the machine, even if it is invisible inside
a virtual machine, disturbs a few rounds of many networks instead of all rounds of one.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

from edgetl.runtime import host
from edgetl.runtime.closed_loop import samples
from edgetl.runtime.interference import Watch
from edgetl.runtime.measurement import PredictorWork
from edgetl.runtime.predictor import Predictor
from edgetl.runtime.sensors import Sensors

_ROUNDS = 10
_MOST_ROUNDS = 20
"""Limit if some network was disturbed in every round so far."""
_SECONDS = 0.04
_COUNT = 3
_WARM_UP_S = 0.1


def main(threads: int, folders: list[str]) -> None:
    """Print the rounds of each folder as JSON: medians, and whether each round was disturbed."""
    now, sensors = time.perf_counter_ns, Sensors()
    predictors = {name: Predictor.open(Path(name), threads) for name in folders}
    works = {name: PredictorWork(each, now) for name, each in predictors.items()}
    for work in works.values():
        samples(work.model, now, seconds=_WARM_UP_S, count=_COUNT)
    medians_ns: dict[str, list[float]] = {name: [] for name in folders}
    disturbed: dict[str, list[bool]] = {name: [] for name in folders}
    for count in range(_MOST_ROUNDS):
        if count >= _ROUNDS and not any(all(rounds) for rounds in disturbed.values()):
            break
        for name, work in works.items():
            work.model()  # brings its weights back into the caches
            watch = Watch(sensors)
            times = samples(work.model, now, seconds=_SECONDS, count=_COUNT)
            disturbed[name].append(watch.read().interfered)
            medians_ns[name].append(statistics.median(times))
    result = {
        "engine": {name: each.session.engine for name, each in predictors.items()},
        "host": host.fingerprint(),
        "medians_ns": medians_ns,
        "disturbed": disturbed,
    }
    print(json.dumps(result))  # noqa: T201 - read by the caller


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
