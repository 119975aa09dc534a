"""Progress of a call: nobody hears of it unless asked, then the terminal or a listener."""

from __future__ import annotations

import logging

import pytest

from edgetl.api.console import Console
from edgetl.api.progress import Reading, Silent, shown_reading, shown_run


def test_nothing_is_shown_by_default(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), shown_run(None) as listener:
        listener.step(1, 2, "half")
        listener.note("weights were loaded")
    assert capsys.readouterr() == ("", "")
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("INFO", "weights were loaded")
    ]
    assert isinstance(shown_reading(None), Silent)


def test_true_is_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_run(True) as listener:  # noqa: FBT003 - as users write it
        assert isinstance(listener, Console)
        listener.note("weights were loaded")
    assert capsys.readouterr() == ("", "  weights were loaded\n")
    assert isinstance(shown_reading(True), Reading)  # noqa: FBT003


def test_listener_is_used_as_it_is() -> None:
    mine = Silent()
    with shown_run(mine) as listener:
        assert listener is mine
    assert shown_reading(mine) is mine
