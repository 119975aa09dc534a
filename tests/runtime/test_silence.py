from __future__ import annotations

import os
import sys

import pytest

from edgetl.runtime.silence import silenced


def test_what_compiled_code_writes_to_the_descriptor_is_dropped_and_only_that(
    capfd: pytest.CaptureFixture[str],
) -> None:
    sys.stderr.write("before\n")
    with silenced():
        os.write(2, b"INFO: noise\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_descriptor_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="reason"), silenced():
        raise ValueError("reason")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
