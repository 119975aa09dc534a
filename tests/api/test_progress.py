"""Progress of a call: nobody hears of it unless asked, then the terminal or a listener."""

from __future__ import annotations

import logging

import pytest

from edgetl.api.console import Console
from edgetl.api.progress import Reading, Silent, SilentReading, shown_reading, shown_run
from edgetl.config.table import Table
from edgetl.stages import Node

_NODE = Node("finetune", "finetune", Table())


def test_nothing_is_shown_by_default(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), shown_run(None) as listener:
        listener.step(_NODE, 1, 2, "half")
        listener.note(_NODE, "weights were loaded")
    assert capsys.readouterr() == ("", "")
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("INFO", "finetune: weights were loaded")
    ]
    assert isinstance(shown_reading(None), SilentReading)


def test_true_is_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_run(True) as listener:  # noqa: FBT003 - as users write it
        assert isinstance(listener, Console)
        listener.note(_NODE, "weights were loaded")
    assert capsys.readouterr() == ("", "  finetune: weights were loaded\n")
    assert isinstance(shown_reading(True), Reading)  # noqa: FBT003


def test_listener_is_used_as_it_is() -> None:
    mine = Silent()
    with shown_run(mine) as listener:
        assert listener is mine
    reading = SilentReading()
    assert shown_reading(reading) is reading
