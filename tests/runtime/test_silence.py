from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgetl.runtime.silence import silenced


def test_only_writes_inside_the_block_are_discarded(
    capfd: pytest.CaptureFixture[str],
) -> None:
    sys.stderr.write("before\n")
    with silenced():
        os.write(2, b"INFO: noise\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_descriptor_is_restored_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="reason"), silenced():
        raise ValueError("reason")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_descriptor_is_restored_after_two_threads(capfd: pytest.CaptureFixture[str]) -> None:
    def mute(delay_s: float) -> None:
        time.sleep(delay_s)
        with silenced():
            time.sleep(0.2)

    # The second begins while the first is inside, and ends after it.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(mute, (0.0, 0.1)))
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
