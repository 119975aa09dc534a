"""The field that changed is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgetl.config.table import Table
from edgetl.pipeline.execute import run, survey
from edgetl.pipeline.why import Change, Reason, explain
from edgetl.stages import Job, Node, Planned, Stage
from edgetl.store.store import Store

Stages = Mapping[str, Stage]


def _why(job: Job, stages: Stages, root: Path) -> tuple[Reason, ...]:
    store = Store(root)
    return explain(survey(job, store, stages).steps, store)


def test_before_the_first_run_no_stage_has_run(job: Job, stages: Stages, tmp_path: Path) -> None:
    assert [reason.text for reason in _why(job, stages, tmp_path)] == [
        "has never run",
        "depends on the result of: source",
        "depends on the result of: sum",
    ]


def test_changed_setting_is_named_with_both_values(
    job: Job, stages: Stages, numbers: dict[str, int], tmp_path: Path, recorder: Any
) -> None:
    run(job, Store(tmp_path), stages, recorder)
    numbers["add"] = 5
    source, total, parity = _why(job, stages, tmp_path)
    assert source.text == "reused"
    assert total.changes == (Change("settings.add", 1, 5),)
    assert total.text.startswith("differs from 'sum' made at ")
    assert parity.text == "depends on the result of: sum"


def test_only_sources_without_an_artifact_are_named(
    job: Job, stages: Stages, numbers: dict[str, int], tmp_path: Path, recorder: Any
) -> None:
    def plan(job: Job, made: Planned) -> list[Node]:
        del job
        inputs = {"number": made["sum"][0], "first": made["number"][0]}
        return [Node("parity", "parity", Table(), inputs)]

    both = {**stages, "parity": dataclasses.replace(stages["parity"], plan=plan)}
    assert _why(job, both, tmp_path)[2].text == "depends on the result of: source, sum"
    run(job, Store(tmp_path), both, recorder)
    numbers["add"] = 5
    assert _why(job, both, tmp_path)[2].text == "depends on the result of: sum"


def test_package_that_is_not_installed_is_said_of_the_stage_that_needs_it(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    run(job, Store(tmp_path), stages, recorder)
    lacking = dataclasses.replace(stages["sum"], tools=lambda _: ("package-that-is-nowhere",))
    assert [reason.text for reason in _why(job, {**stages, "sum": lacking}, tmp_path)] == [
        "reused",
        "needs a package that is not installed",
        "depends on the result of: sum",
    ]


def test_new_version_of_a_plugin_is_named(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    run(job, Store(tmp_path), stages, recorder)
    newer = dataclasses.replace(stages["sum"], plugins=lambda *_: {"adder plus": "2, acme 0.3"})
    total = _why(job, {**stages, "sum": newer}, tmp_path)[1]
    assert total.changes == (Change("plugins.adder plus", None, "2, acme 0.3"),)


def test_nearest_artifact_is_compared(
    job: Job, stages: Stages, numbers: dict[str, int], tmp_path: Path, recorder: Any
) -> None:
    for number, add in [(3, 1), (4, 6)]:
        numbers.update(number=number, add=add)
        run(job, Store(tmp_path), stages, recorder)
    numbers.update(number=4, add=7)
    assert _why(job, stages, tmp_path)[1].changes == (Change("settings.add", 6, 7),)
