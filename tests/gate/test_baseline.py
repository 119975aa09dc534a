"""A baseline holds what a later check needs, and says when it belongs to something else."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgetl.config.candidate import Candidate
from edgetl.errors import ConfigError
from edgetl.gate.baseline import baseline_predictions, make_baseline, read_baseline, write_baseline
from edgetl.gate.bundle import Bundle, Images, find_images, open_bundle
from edgetl.gate.measure import Measurements, Times
from edgetl.hashing import digest_value
from edgetl.types import Precision, Split

_TIMED: dict[str, object] = {
    "model_ms": {"p50": {"value": 1.0, "low": 0.9, "high": 1.1}},
    "threads": 1,
    "host": {"processor": "A72"},
}


@pytest.fixture
def bundle(backend: Any) -> Bundle:
    return open_bundle(backend.bundle(), "board")


@pytest.fixture
def file(backend: Any, bundle: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "kept" / "baseline.json"
    write_baseline(make_baseline(bundle, find_images(bundle, backend.store), None), path)
    return path


def test_written_baseline_is_read_again_and_small(bundle: Bundle, file: Path) -> None:
    baseline = read_baseline(file, bundle)
    assert (baseline.name, baseline.target) == ("colours", "board")
    assert baseline.candidate == Candidate("student", "onnx", Precision.FP32, "cpu")
    assert baseline.labels == ("red", "green", "blue")
    assert baseline.accuracy.value == 0.9
    assert baseline.size_bytes == (bundle.folder / "model.onnx").stat().st_size
    assert list(baseline.model) == ["model.onnx"]
    assert file.stat().st_size < 2000


def test_same_figures_give_equal_bytes(backend: Any, bundle: Bundle, file: Path) -> None:
    before = file.read_bytes()
    write_baseline(make_baseline(bundle, find_images(bundle, backend.store), None), file)
    assert file.read_bytes() == before


def test_manifest_gives_its_measured_undisturbed_times(bundle: Bundle, examples: Any) -> None:
    path = bundle.folder / "manifest.json"
    data = json.loads(path.read_text())
    for changes, there in (
        ({}, True),
        ({"interfered": True}, False),
        ({"provenance": "emulated"}, False),
    ):
        facts = examples.latency(**(_TIMED | changes)).model_dump(mode="json")
        path.write_text(json.dumps(data | {"latency": facts}))
        latency = make_baseline(open_bundle(bundle.folder, ""), None, None).latency
        assert (latency is not None) is there
        assert latency is None or latency.engine == "onnxruntime 1.31"


def test_times_of_a_device_replace_those_of_the_manifest(bundle: Bundle, examples: Any) -> None:
    timing = examples.timing(3.0, engine="onnxruntime 1.31.1", interfered=False)
    measured = Measurements(
        "local", "measured", (), "", Times(timing, {"machine": "riscv64"}), None
    )
    latency = make_baseline(bundle, None, measured).latency
    assert latency is not None
    assert latency.model_ms == timing.model_ms
    assert (latency.threads, latency.host, latency.engine) == (
        1,
        {"machine": "riscv64"},
        "onnxruntime 1.31.1",
    )
    disturbed = Times(timing.model_copy(update={"interfered": True}), {})
    for times in (disturbed, None):
        without = dataclasses.replace(measured, times=times)
        assert make_baseline(bundle, None, without).latency is None


def test_images_of_another_store_are_not_at_hand(bundle: Bundle, tmp_path: Path) -> None:
    from edgetl.store.store import Store

    assert find_images(bundle, Store(tmp_path / "elsewhere")) is None
    assert make_baseline(bundle, None, None).accuracy.predictions is None


def test_images_are_known_by_classes_content_order_and_labels(backend: Any, bundle: Bundle) -> None:
    images = find_images(bundle, backend.store)
    assert images is not None
    items = images.dataset.items(Split.TEST)
    # Files that were written before stay comparable as long as this is the digest.
    assert images.digest == digest_value(
        {
            "classes": ["red", "green", "blue"],
            "images": [[item.sha256, item.label] for item in items],
        }
    )


def test_missing_file_is_said_with_the_command_that_writes_it(
    bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.json: no such file") as error:
        read_baseline(tmp_path / "nothing.json", bundle)
    assert error.value.remedy == (
        f"edgetl baseline update {bundle.folder} --out {tmp_path / 'nothing.json'}"
    )


def test_baseline_of_another_model_and_target_is_refused(bundle: Bundle, file: Path) -> None:
    data = json.loads(file.read_text())
    file.write_text(json.dumps(data | {"name": "parts", "target": "rpi4"}))
    with pytest.raises(
        ConfigError, match="name: is 'parts', but the bundle's is 'colours'"
    ) as error:
        read_baseline(file, bundle)
    assert "target: is 'rpi4', but the bundle's is 'board'" in error.value.message
    assert error.value.remedy.startswith("give the baseline of this model, or write it again: ")


def _restored(file: Path) -> str:
    return (
        f"restore it, for example with: git checkout -- {file}; written from this bundle, it would "
        "hide what has become worse"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            '{\n<<<<<<< HEAD\n  "version": 1\n=======\n  "version": 2\n>>>>>>> main\n}\n',
            r"has conflicts of a merge that are not resolved\n  take the file of one side: git "
            r"checkout --ours \S+/baseline\.json, or git checkout --theirs \S+/baseline\.json$",
            id="conflict",
        ),
        pytest.param(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            r"is a Git LFS pointer, not the file itself\n  run `git lfs pull`",
            id="lfs pointer",
        ),
    ],
)
def test_file_that_git_has_not_completed_is_refused_with_its_command(
    bundle: Bundle, file: Path, content: str, message: str
) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError, match=rf"baseline\.json: {message}"):
        read_baseline(file, bundle)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("[]", ["is not a baseline", "input should be an object"], id="a list"),
        pytest.param(
            None,
            ["is not a baseline", "target: input should be a valid string", "", "", "and "],
            id="a manifest",
        ),
    ],
)
def test_file_that_is_no_baseline_is_refused_in_five_lines_at_most(
    bundle: Bundle, file: Path, text: str | None, lines: list[str]
) -> None:
    file.write_text(text or (bundle.folder / "manifest.json").read_text())
    with pytest.raises(ConfigError, match="is not a baseline\n") as error:
        read_baseline(file, bundle)
    said = error.value.message.splitlines()
    assert len(said) == len(lines)
    for line, start in zip(said, lines, strict=True):
        assert line.startswith(f"{file}: {start}")
    # Nothing is advised that would write over what the file is.
    assert error.value.remedy == (f"give a file written by: edgetl baseline update {bundle.folder}")


def test_torn_baseline_is_refused(bundle: Bundle, file: Path) -> None:
    file.write_text(file.read_text()[:100])
    with pytest.raises(ConfigError, match=r"baseline\.json: invalid json: eof while") as error:
        read_baseline(file, bundle)
    assert error.value.remedy == _restored(file)


def _edit(file: Path, place: str, value: object) -> None:
    """Put `value` where the dotted `place` is; None takes it out."""
    data = table = json.loads(file.read_text())
    *folders, last = place.split(".")
    for name in folders:
        table = table[name]
    if value is None:
        del table[last]
    else:
        table[last] = value
    file.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (
            "latency.model_ms.p50",
            {"value": 0, "low": 0, "high": 0},
            "latency.model_ms.p50.value: input should be greater than 0",
        ),
        (
            "latency.model_ms.p50",
            {"value": 5.0, "low": 1.0, "high": 2.0},
            "latency.model_ms.p50: value 5 is not between low 1 and high 2",
        ),
        (
            "latency.model_ms.p50.value",
            float("inf"),
            "latency.model_ms.p50.value: input should be a finite number",
        ),
        ("latency.threads", 0, "latency.threads: input should be greater than or equal to 1"),
        ("size_bytes", 0, "size_bytes: input should be greater than 0"),
        ("accuracy.value", 1.5, "accuracy.value: input should be less than or equal to 1"),
        ("accuracy.split", None, "accuracy.split: field required"),
        (
            "accuracy.predictions",
            {},
            "accuracy.predictions: has nothing; the predictions of this model are",
        ),
        ("version", 2, "version: input should be 1"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_edited_baseline_is_refused(
    backend: Any, bundle: Bundle, file: Path, *, place: str, value: object, message: str
) -> None:
    _edit(file, "latency", _TIMED)
    _edit(file, place, value)
    with pytest.raises(ConfigError, match=re.escape(f"{file}: {message}")) as error:
        baseline_predictions(
            read_baseline(file, bundle), bundle, find_images(bundle, backend.store), file
        )
    assert error.value.remedy == _restored(file)


def test_three_problems_of_a_baseline_are_shown_and_the_others_counted(
    bundle: Bundle, file: Path
) -> None:
    for place in ("version", "size_bytes", "accuracy.value", "accuracy.low", "accuracy.images"):
        _edit(file, place, -1)
    with pytest.raises(ConfigError, match=r": and 2 more\n") as error:
        read_baseline(file, bundle)
    assert len(error.value.message.splitlines()) == 4


def test_answers_without_the_images_that_they_belong_to_are_refused(
    bundle: Bundle, file: Path
) -> None:
    data = json.loads(file.read_text())
    data["accuracy"]["split"] = None
    file.write_text(json.dumps(data))
    with pytest.raises(ConfigError, match="accuracy: split and predictions belong together"):
        read_baseline(file, bundle)


def test_baseline_of_other_test_images_is_refused(backend: Any, bundle: Bundle, file: Path) -> None:
    other = find_images(open_bundle(backend.bundle("other", seed=1), "board"), backend.store)
    assert isinstance(other, Images)
    with pytest.raises(
        ConfigError,
        match=r"baseline\.json: accuracy\.split: its 60 test images or their labels are not those",
    ) as error:
        baseline_predictions(read_baseline(file, bundle), bundle, other, file)
    assert error.value.remedy == (
        "check with the old test images, or update the baseline to the new ones: "
        f"edgetl baseline update {bundle.folder} --out {file}"
    )
