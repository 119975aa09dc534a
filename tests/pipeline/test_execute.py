"""What is there is reused, what is not is made, and a failure leaves everything before it."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgetl.errors import DataError, MissingPackage, MissingPackageError, StoreError
from edgetl.facts import NoFacts
from edgetl.pipeline import executors
from edgetl.pipeline.execute import run, survey
from edgetl.stages import Job, Node, Planned, Stage, Workspace
from edgetl.store.store import Artifact, Store
from edgetl.types import Facts

Stages = Mapping[str, Stage]


def _run(job: Job, stages: Stages, root: Path, recorder: Any) -> dict[str, Artifact]:
    recorder.events.clear()
    return run(job, Store(root), stages, recorder)


def test_first_run_makes_everything_and_the_second_nothing(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    made = _run(job, stages, tmp_path, recorder)
    assert recorder.events == [
        "begins source", "made source 3", "begins sum", "made sum 4", "begins parity",
        "made parity 0",
    ]  # fmt: skip
    again = _run(job, stages, tmp_path, recorder)
    assert recorder.events == ["reused source 3", "reused sum 4", "reused parity 0"]
    assert again == made


def test_change_reruns_what_depends_on_it_and_no_more(
    job: Job, stages: Stages, numbers: dict[str, int], tmp_path: Path, recorder: Any
) -> None:
    _run(job, stages, tmp_path, recorder)
    numbers["add"] = 2
    _run(job, stages, tmp_path, recorder)
    assert recorder.events == [
        "reused source 3", "begins sum", "made sum 5", "begins parity", "made parity 1",
    ]  # fmt: skip


def test_equal_result_stops_the_rerun(
    job: Job, stages: Stages, numbers: dict[str, int], tmp_path: Path, recorder: Any
) -> None:
    _run(job, stages, tmp_path, recorder)
    numbers.update(number=2, add=2)  # the sum is 4 again
    _run(job, stages, tmp_path, recorder)
    assert recorder.events[-1] == "reused parity 0"


def test_failure_is_not_cached_and_keeps_what_was_made(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    def fails(_settings: object, _inputs: object, work: Workspace) -> Facts:
        (work.out / "half.txt").write_text("half")
        raise DataError("no", remedy="do")

    broken = {**stages, "sum": dataclasses.replace(stages["sum"], run=fails)}
    with pytest.raises(DataError, match="no"):
        _run(job, broken, tmp_path, recorder)
    _run(job, stages, tmp_path, recorder)
    assert recorder.events[:3] == ["reused source 3", "begins sum", "made sum 4"]


def test_what_is_to_be_made_is_prepared_before_anything_is_made(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    prepared: list[int] = []

    def unreachable(_settings: object) -> None:
        prepared.append(len(recorder.events))
        if len(prepared) == 1:
            raise DataError("no route to host", remedy="try again")

    late = {**stages, "parity": dataclasses.replace(stages["parity"], prepare=unreachable)}
    with pytest.raises(DataError, match="no route to host"):
        _run(job, late, tmp_path, recorder)
    assert recorder.events == []
    _run(job, late, tmp_path, recorder)
    _run(job, late, tmp_path, recorder)
    assert prepared == [0, 0]  # not for what is there


def test_survey_says_what_would_run_and_makes_nothing(
    job: Job, stages: Stages, numbers: dict[str, int], tmp_path: Path, recorder: Any
) -> None:
    steps = survey(job, Store(tmp_path), stages).steps
    assert [(step.node.label, step.artifact) for step in steps] == [
        ("source", None), ("sum", None), ("parity", None),
    ]  # fmt: skip
    assert [step.request is None for step in steps] == [False, True, True]
    assert not (tmp_path / "artifacts").exists()
    _run(job, stages, tmp_path, recorder)
    numbers["add"] = 9
    steps = survey(job, Store(tmp_path), stages).steps
    assert [step.artifact is not None for step in steps] == [True, False, False]


def test_new_version_of_a_stage_runs_again(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    _run(job, stages, tmp_path, recorder)
    newer = {**stages, "sum": dataclasses.replace(stages["sum"], version=2)}
    _run(job, newer, tmp_path, recorder)
    assert "made sum 4" in recorder.events
    assert recorder.events[-1] == "reused parity 0"


def test_new_version_of_a_plugin_remakes_the_nodes_that_load_it_and_no_others(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    def adding(version: str) -> Stages:
        def plugins(settings: Any, inputs: Mapping[str, Artifact]) -> dict[str, str]:
            assert settings.add == 1
            assert inputs["number"].manifest.facts == {"value": 3}
            return {"adder plus": version}

        return {**stages, "sum": dataclasses.replace(stages["sum"], plugins=plugins)}

    made = _run(job, adding("1"), tmp_path, recorder)
    assert made["sum"].manifest.plugins == {"adder plus": "1"}
    assert made["source"].manifest.plugins == {}
    _run(job, adding("2"), tmp_path, recorder)
    assert recorder.events == [
        "reused source 3", "begins sum", "made sum 4", "reused parity 0",
    ]  # fmt: skip


def test_damaged_input_is_refused_before_it_is_read(
    job: Job, stages: Stages, numbers: dict[str, int], tmp_path: Path, recorder: Any
) -> None:
    made = _run(job, stages, tmp_path, recorder)
    (made["source"].folder / "value.txt").write_text("8")
    numbers["add"] = 7
    with pytest.raises(StoreError, match=r"artifact 'source' .* is damaged: 'value\.txt'"):
        _run(job, stages, tmp_path, recorder)


def test_full_disk_is_named_with_the_remedy(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    def fills(_settings: object, _inputs: object, work: Workspace) -> Facts:
        raise OSError(errno.ENOSPC, "No space left on device", str(work.out))

    full = {**stages, "sum": dataclasses.replace(stages["sum"], run=fills)}
    with pytest.raises(StoreError, match="no space left on the disk of") as caught:
        _run(job, full, tmp_path, recorder)
    assert "edgetl prune" in caught.value.remedy
    assert caught.value.exit_code == 6


def test_other_system_errors_stay_what_they_are(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    def fails(_settings: object, _inputs: object, work: Workspace) -> Facts:
        raise PermissionError(errno.EACCES, "Permission denied", str(work.out))

    broken = {**stages, "sum": dataclasses.replace(stages["sum"], run=fails)}
    with pytest.raises(PermissionError):
        _run(job, broken, tmp_path, recorder)


def test_stage_that_returns_other_facts_than_it_states_is_a_bug(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    def returns_nothing(*_: object) -> NoFacts:
        return NoFacts()

    broken = {**stages, "source": dataclasses.replace(stages["source"], run=returns_nothing)}
    with pytest.raises(TypeError, match="stage source returned NoFacts, not ValueFacts"):
        _run(job, broken, tmp_path, recorder)
    assert not list(tmp_path.glob("artifacts/*/*"))


def test_run_without_a_package_that_a_stage_needs_is_refused_before_anything_is_made(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    missing = MissingPackage("adding", "adder", "edgetl[add]")
    lacking = {
        **stages,
        "sum": dataclasses.replace(
            stages["sum"], missing=lambda _: iter([missing]), tools=lambda _: ("no-such-package",)
        ),
    }
    with pytest.raises(MissingPackageError, match="adding needs the package 'adder'"):
        _run(job, lacking, tmp_path, recorder)
    assert recorder.events == []
    _run(job, stages, tmp_path, recorder)
    seen = survey(job, Store(tmp_path), lacking)
    assert seen.missing == (missing,)
    # What is there is found up to the stage whose package has no version to compare.
    assert [step.artifact is not None for step in seen.steps] == [True, False, False]
    assert survey(job, Store(tmp_path), stages).missing == ()


def test_executor_for_one_core_is_serial_and_for_more_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executors, "usable_cores", lambda: 1)
    assert executors.default_executor() == "serial"
    monkeypatch.setattr(executors, "usable_cores", lambda: 2)
    assert executors.default_executor() == "processes"


def test_stage_that_cannot_use_an_input_fails_before_what_comes_between(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any
) -> None:
    """The parity reads the source as well, which is there before the sum is made."""
    seen: list[tuple[str, ...]] = []
    plan_parity = stages["parity"].plan

    def plan(job: Job, made: Planned) -> list[Node]:
        (node,) = plan_parity(job, made)
        return [dataclasses.replace(node, inputs={**node.inputs, "source": made["number"][0]})]

    def foresee(settings: object, inputs: Mapping[str, Artifact]) -> None:
        del settings
        seen.append(tuple(inputs))
        if inputs["source"].file("value.txt").read_text() == "3":
            raise DataError("three is too few", remedy="add one")

    parity = dataclasses.replace(
        stages["parity"], needs=("number", "sum"), plan=plan, foresee=foresee
    )
    with pytest.raises(DataError, match="three is too few"):
        _run(job, {**stages, "parity": parity}, tmp_path, recorder)
    assert seen == [("source",)]
    assert recorder.events == ["begins source", "made source 3"]


def test_stage_looks_only_at_the_inputs_of_what_is_to_be_made(
    job: Job, stages: Stages, tmp_path: Path, recorder: Any, numbers: dict[str, int]
) -> None:
    seen: list[tuple[str, ...]] = []
    summing = dataclasses.replace(
        stages["sum"], foresee=lambda _, inputs: seen.append(tuple(inputs))
    )
    _run(job, {**stages, "sum": summing}, tmp_path, recorder)
    _run(job, {**stages, "sum": summing}, tmp_path, recorder)
    assert seen == [("number",)]
    numbers["number"] = 4
    _run(job, {**stages, "sum": summing}, tmp_path, recorder)
    assert seen == [("number",), ("number",)]
