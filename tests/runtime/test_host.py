from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from edgetl.runtime.host import Disturbance, Watch, fingerprint, peak_memory_bytes


def test_fingerprint_is_plain_json_and_repeats() -> None:
    found = fingerprint()
    assert json.loads(json.dumps(found)) == found == fingerprint()
    assert set(found) == {"machine", "processor", "cores", "kernel", "governor"}


def test_peak_memory_is_that_of_the_process_and_not_of_its_parent() -> None:
    held = bytearray(200 << 20)
    code = "from edgetl.runtime.host import peak_memory_bytes; print(peak_memory_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = peak_memory_bytes()
    assert own is not None
    assert own > len(held)
    assert int(done.stdout) < 50 << 20


def test_watch_measures_its_time() -> None:
    watch = Watch()
    time.sleep(0.02)
    found = watch.read()
    assert found.seconds >= 0.02
    assert found.steal_share >= 0.0
    assert found.involuntary_switches >= 0


@pytest.mark.parametrize(
    ("seconds", "steal_share", "switches", "interfered"),
    [
        pytest.param(2.0, 0.0, 0, False, id="alone"),
        pytest.param(2.0, 0.0, 80, False, id="40 a second"),
        pytest.param(2.0, 0.0, 81, True, id="more"),
        pytest.param(0.1, 0.0, 40, False, id="a short time counts as a second"),
        pytest.param(2.0, 0.021, 0, True, id="stolen"),
    ],
)
def test_disturbance_is_named(
    seconds: float, steal_share: float, switches: int, *, interfered: bool
) -> None:
    assert Disturbance(seconds, steal_share, switches).interfered is interfered
