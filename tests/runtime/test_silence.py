from __future__ import annotations

import os
import sys

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
