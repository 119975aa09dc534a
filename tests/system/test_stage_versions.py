"""A stage that makes something else than before, of the same inputs, has another version.

What stages make of fixed inputs is in `stage_record/record.json`; docs/architecture.md says how it
is recorded again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgetl.stages import STAGES
from edgetl.types import Fact, Facts
from tests.system.stage_record import record
from tests.system.stage_record.condense import SOURCE, array, condensed
from tests.system.stage_record.fingerprint import predictions
from tests.system.stage_record.judge import COMMAND, Entry, differences, problems
from tests.system.stage_record.recipes import RECIPES

_CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
_MADE: Facts = {
    "stage": "export",
    "version": 7,
    "plugins": {"exporter onnx": "1"},
    "settings": {"format": "onnx"},
    "facts": {"size_bytes": 100, "output_span": 2.5},
    "files": {"labels.txt": {"array": "uint8 12", "digest": "ab"}},
}


def _entry(*, label: str = "export onnx", reads: tuple[str, ...] = (), **changes: Fact) -> Entry:
    return Entry(label=label, stage="export", content={**_MADE, **changes}, reads=reads)


@pytest.mark.parametrize("recipe", RECIPES)
def test_stages_make_what_is_recorded_for_their_versions(recipe: str, tmp_path: Path) -> None:
    known = record.read()
    others = [
        f"{package} {installed or 'missing'} instead of {recorded}"
        for package, recorded in known["packages"].items()
        if (installed := record.installed_version(package)) != recorded
    ]
    if others:
        pytest.skip(f"recorded with other packages: {', '.join(others)}")
    recorded = known["recipes"][recipe]
    differing = problems(record.entries(record.make(tmp_path, recipe, recorded)), recorded)
    assert not differing, "\n\n".join(["", *differing])


def test_every_stage_is_recorded_but_for_measured_ones() -> None:
    stages = [STAGES.load(name) for name in STAGES.built_in()]
    rows = [row for rows in record.read()["recipes"].values() for row in rows.values()]
    measured = {stage.name for stage in stages if stage.measured}
    missing = {stage.name for stage in stages} - measured - {row["stage"] for row in rows}
    assert not missing, (
        f"no recipe in tests/system/stage_record/recipes.py runs {', '.join(sorted(missing))}; let "
        f"one run it, then record again: {COMMAND}"
    )
    assert {row["stage"] for row in rows if "measured" in row} <= measured


def test_record_was_made_with_the_packages_that_are_tested_together() -> None:
    pins = dict(
        line.split("==") for line in _CONSTRAINTS.read_text("utf-8").split() if "==" in line
    )
    recorded = record.read()["packages"]
    assert {"numpy", "onnxruntime", "torch"} <= recorded.keys()
    assert recorded == {name: pins[name] for name in recorded}, f"record again: {COMMAND}"


def test_other_result_of_the_same_version_asks_for_another_version() -> None:
    facts = {"size_bytes": 101, "output_span": 2.5}
    files = {"labels.txt": {"array": "uint8 13", "digest": "cd"}, "golden.npz": {}}
    (problem,) = problems([_entry(facts=facts, files=files)], {"export onnx": _MADE})
    assert problem == (
        "stage `export`, node 'export onnx': the result differs from the record, but version 7, "
        "settings and plug-ins are the same, so a store would give what was made before the "
        "change\n"
        "    facts.size_bytes: 100 -> 101\n"
        "    files.labels.txt.array: uint8 12 -> uint8 13\n"
        "    files.labels.txt.digest: ab -> cd\n"
        "    files.golden.npz: new\n"
        "  raise `Stage.version` of 'export', or the version of the plug-in that changed (exporter "
        "onnx), then record again: python -m tests.system.stage_record; if it comes from a "
        "package or what this test gives the stage, only record again"
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        pytest.param({"version": 8}, "version: 7 -> 8", id="version"),
        pytest.param(
            {"plugins": {"exporter onnx": "2"}}, "plugins.exporter onnx: 1 -> 2", id="plug-in"
        ),
        pytest.param(
            {"settings": {"format": "tflite"}}, "settings.format: onnx -> tflite", id="settings"
        ),
    ],
)
@pytest.mark.parametrize("facts", [_MADE["facts"], {}], ids=["same-result", "other-result"])
def test_other_key_asks_for_another_record_only(
    changes: dict[str, Fact], line: str, facts: Fact
) -> None:
    (problem,) = problems([_entry(**changes, facts=facts)], {"export onnx": _MADE})
    assert problem == (
        "stage `export`, node 'export onnx': the record has another key than this node, so no "
        f"store mixes the two up; record again: {COMMAND}\n    {line}"
    )


def test_other_key_of_the_same_result_leaves_later_nodes_compared() -> None:
    entries = [
        _entry(label="export onnx", version=8),
        _entry(label="verify onnx fp32", reads=("export onnx",), facts={}),
    ]
    first, second = problems(entries, {entry.label: _MADE for entry in entries})
    assert "the record has another key" in first
    assert "node 'verify onnx fp32': the result differs" in second


def test_only_the_first_nodes_that_differ_are_named() -> None:
    entries = [
        _entry(label="export onnx", facts={}),
        _entry(label="quantize onnx int8", reads=("view", "export onnx"), facts={}),
        _entry(label="verify onnx int8", reads=("quantize onnx int8",)),
        _entry(label="export tflite", reads=("view",), facts={}),
    ]
    first, second, rest = problems(entries, {entry.label: _MADE for entry in entries})
    assert first.startswith("stage `export`, node 'export onnx': the result differs")
    assert second.startswith("stage `export`, node 'export tflite': the result differs")
    assert rest == "not compared, as they read these: quantize onnx int8, verify onnx int8"


def test_new_and_vanished_nodes_ask_for_another_record() -> None:
    assert problems([_entry()], {"export openvino": _MADE}) == [
        f"stage `export`, node 'export onnx' is not in the record; record again: {COMMAND}",
        f"node 'export openvino' is in the record but no longer planned; record again: {COMMAND}",
    ]


def test_measured_facts_that_no_longer_fit_ask_for_another_record() -> None:
    measured: Facts = {"stage": "benchmark", "measured": {"count": 20}}
    entry = Entry(label="benchmark", stage="benchmark", content=measured, reads=())
    assert problems([entry], {"benchmark": measured}) == []
    (problem,) = problems([entry], {"benchmark": {**measured, "measured": {"number": 20}}})
    assert problem == (
        "stage `benchmark`, node 'benchmark': the facts in the record no longer fit; record "
        f"again: {COMMAND}"
    )


@pytest.mark.parametrize(
    ("recorded", "made", "differ"),
    [
        pytest.param(2.5, 2.502, False, id="rounding"),
        pytest.param(2.5, 2.503, True, id="more than rounding"),
        pytest.param(0.0, 9e-7, False, id="rounding of nothing"),
        pytest.param(1000, 1001, True, id="integers"),
        pytest.param(1, 1.0, True, id="another type"),
        pytest.param([1, 2], [1, 2, 3], True, id="length"),
        pytest.param({"floats": [2.0, 0.1]}, {"floats": [2.0, 0.1019]}, False, id="array"),
        pytest.param({"floats": [2.0, 0.1]}, {"floats": [2.0, 0.1021]}, True, id="other array"),
        pytest.param({"floats": []}, {"floats": [2.0, 0.1]}, True, id="no array"),
    ],
)
def test_floats_are_compared_by_their_size(recorded: Fact, made: Fact, *, differ: bool) -> None:
    assert bool(list(differences({"figure": recorded}, {"figure": made}))) is differ


@pytest.mark.parametrize(
    ("change", "differ"),
    [
        pytest.param(lambda values: values * np.float32(1.00001), False, id="rounding"),
        pytest.param(lambda values: values * np.float32(1.002), True, id="scale"),
        pytest.param(lambda values: values + np.float32(0.01), True, id="shift"),
        pytest.param(lambda values: values[::-1], True, id="order"),
        pytest.param(lambda values: values.reshape(40, 25), True, id="shape"),
        pytest.param(lambda values: values.astype(np.float64), True, id="type"),
    ],
)
def test_figures_of_floats_tell_arrays_apart(
    change: Callable[[NDArray[np.float32]], NDArray[np.generic]], *, differ: bool
) -> None:
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert bool(list(differences(array(values), array(change(values))))) is differ


def test_boxes_of_an_image_may_change_places(tmp_path: Path) -> None:
    boxes = np.array([[5, 1, 9, 9], [0, 2, 3, 4], [0, 1, 3, 4], [8, 8, 9, 9]], np.float32)
    labels = np.array([0, 1, 2, 3])
    offsets = np.array([0, 3, 4])

    def kept(*order: int) -> Facts:
        path = tmp_path / "predictions.npz"
        rows = list(order)
        np.savez(path, boxes=boxes[rows], labels=labels[rows], offsets=offsets)
        return predictions(path)

    assert kept(1, 0, 2, 3) == kept(0, 1, 2, 3)
    assert kept(0, 1, 3, 2) != kept(0, 1, 2, 3)  # another image has it


def test_integers_are_compared_bit_by_bit() -> None:
    values = np.arange(100, dtype=np.uint8)
    changed = values.copy()
    changed[50] += 1
    assert list(differences(array(values), array(changed)))


def test_long_lists_are_condensed_and_digests_get_their_names() -> None:
    names = {"ab12": "digest of view"}
    value: Fact = {"input": "ab12", "names": ["x"] * 9, "max_box_error": 2e-7, "snr_db": 131.5}
    assert condensed(value, names) == {
        "input": "digest of view",
        "names": {"count": 9, "digest": condensed({"names": ["x"] * 9}, {})["names"]["digest"]},
        "max_box_error": "rounding",
        "snr_db": "rounding",
    }
    assert condensed(["ab12"] * 9, names) == condensed(["digest of view"] * 9, {})
    assert condensed(["ab12"] * 9, {}) != condensed(["digest of view"] * 9, {})
    assert condensed({"runtime.py": "ab12"}, {"ab12": SOURCE}) == {}
    assert condensed({"max_error": 0.25, "snr_db": 12.5}, {}) == {"max_error": 0.25, "snr_db": 12.5}
