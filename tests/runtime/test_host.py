from __future__ import annotations

import json
import subprocess
import sys

from edgetl.runtime.host import fingerprint, peak_memory_bytes


def test_fingerprint_is_plain_json_and_repeats() -> None:
    host = fingerprint()
    assert json.loads(json.dumps(host)) == host == fingerprint()
    assert set(host) == {"machine", "processor", "cores", "kernel", "governor"}


def test_peak_memory_is_that_of_the_process_and_not_of_its_parent() -> None:
    held = bytearray(200 << 20)
    code = "from edgetl.runtime.host import peak_memory_bytes; print(peak_memory_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = peak_memory_bytes()
    assert own is not None
    assert own > len(held)
    assert int(done.stdout) < 50 << 20
