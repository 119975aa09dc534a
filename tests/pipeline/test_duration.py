"""Expected durations come from what the store has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edgetl.pipeline.duration import expected_seconds
from edgetl.pipeline.execute import run, survey
from edgetl.stages import Job, Stage
from edgetl.store.store import Request, Store

Stages = Mapping[str, Stage]


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., None]:
    """Return what puts an artifact that took some seconds into the store."""
    count = iter(range(99))

    def put(stage: str, label: str, seconds: float) -> None:
        store = Store(tmp_path)
        request = Request(stage, 1, {"earlier": next(count)}, {}, {}, {})
        store.folders(request)
        store.commit(request, kind=stage, label=label, facts={"value": 1}, seconds=seconds)

    return put


def _expected(job: Job, stages: Stages, root: Path) -> dict[str, float]:
    store = Store(root)
    expected = expected_seconds(survey(job, store, stages).steps, store)
    return {node.label: seconds for node, seconds in expected.items()}


def test_nothing_is_known_in_an_empty_store(job: Job, stages: Stages, tmp_path: Path) -> None:
    assert _expected(job, stages, tmp_path) == {}


def test_step_takes_as_long_as_the_last_one_of_its_name(
    job: Job,
    stages: Stages,
    tmp_path: Path,
    keep: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from edgetl.store import store

    class Clock:
        hour = 0

        @classmethod
        def now(cls, zone: Any) -> Any:
            cls.hour += 1
            return datetime(2026, 1, 1, cls.hour, tzinfo=zone)

    from datetime import datetime

    monkeypatch.setattr(store, "datetime", Clock)
    keep("sum", "sum", 7.0)
    keep("sum", "sum", 3.0)
    keep("sum", "sum of others", 90.0)
    assert _expected(job, stages, tmp_path) == {"sum": 3.0}


def test_step_of_another_name_takes_as_long_as_the_stages_median(
    job: Job, stages: Stages, tmp_path: Path, keep: Callable[..., None]
) -> None:
    for seconds in (1.0, 5.0, 60.0):
        keep("source", f"source {seconds}", seconds)
    assert _expected(job, stages, tmp_path) == {"source": 5.0}


def test_what_exists_takes_no_time(job: Job, stages: Stages, tmp_path: Path, recorder: Any) -> None:
    run(job, Store(tmp_path), stages, recorder)
    assert _expected(job, stages, tmp_path) == {}
    other = {**stages, "sum": dataclasses.replace(stages["sum"], version=2)}
    assert set(_expected(job, other, tmp_path)) == {"sum", "parity"}
