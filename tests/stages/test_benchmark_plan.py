from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgetl.config.calibration import Calibration
from edgetl.config.candidate import ModelFile
from edgetl.config.load import load_target
from edgetl.config.recipe import Recipe, models_of
from edgetl.config.target import Target
from edgetl.devices import DEVICES, open_device
from edgetl.devices.local import LocalDevice
from edgetl.errors import ConfigError, MissingPackageError
from edgetl.pipeline.job import roots_of
from edgetl.pipeline.planner import all_stages
from edgetl.stages import Job, Node, NoOptions, benchmark
from edgetl.stages._candidates import Timing, runtime_digest
from edgetl.stages.benchmark import STAGE, BenchmarkTable, Settings
from edgetl.types import Precision

_MADE = {
    "float": [
        Node("export", "export onnx", NoOptions(), key=ModelFile("teacher", "onnx", Precision.FP32))
    ],
    "quantized": [
        Node("quantize", "quantize", NoOptions(), key=ModelFile("teacher", "onnx", Precision.INT8))
    ],
}


def _target(name: str, device: str | None, threads: int, precisions: list[str]) -> Target:
    return Target.model_validate(
        {
            "name": name,
            "description": "a board",
            "device": device,
            "threads": threads,
            "candidates": {"onnx": precisions},
        }
    )


def _job(*targets: Target) -> Job:
    recipe = Recipe.model_validate(
        {
            "name": "parts",
            "task": "classification",
            "data": {"synthetic": {}},
            "teacher": {"family": "mobilenet_v2"},
        }
    )
    calibration = Calibration(name="few", split="train", count=1, sampling="random")
    return Job(
        recipe=recipe,
        tables={"benchmark": BenchmarkTable()},
        targets=targets,
        calibration=calibration,
        folder=Path(),
        roots=roots_of(models_of(recipe, {}), all_stages().values()),
        digest=lambda path: path.name,
    )


def test_candidates_of_targets_that_are_timed_alike_are_timed_together() -> None:
    nodes = STAGE.plan(
        _job(
            _target("one", "local", 1, ["fp32"]),
            _target("two", "local", 1, ["int8", "fp32"]),
            _target("four", "local", 4, ["fp32"]),
            _target("far", None, 1, ["fp32"]),
        ),
        _MADE,
    )
    assert [node.label for node in nodes] == ["benchmark local x1", "benchmark local x4"]
    assert [node.key for node in nodes] == [Timing("local", 1), Timing("local", 4)]
    assert [{name: each.label for name, each in node.inputs.items()} for node in nodes] == [
        {
            "file/teacher/onnx/fp32/cpu": "export onnx",
            "file/teacher/onnx/int8/cpu": "quantize",
        },
        {"file/teacher/onnx/fp32/cpu": "export onnx"},
    ]


def test_machine_and_runtime_are_part_of_the_settings() -> None:
    job = _job(_target("one", "local", 1, ["fp32"]))
    (node,) = STAGE.plan(job, _MADE)
    assert node.settings.model_dump(mode="json") == {
        "candidates": [
            {"model": "teacher", "format": "onnx", "precision": "fp32", "provider": "cpu"}
        ],
        "device": "local",
        "host": open_device("local").describe(),
        "runtime": runtime_digest(job, ["onnx"]),
        "threads": 1,
        "seconds": 0.1,
        "count": 10,
        "rounds": 8,
        "most_rounds": 24,
        "sustained": 0.0,
    }


def test_target_whose_device_is_another_machine_is_refused() -> None:
    target = load_target("rpi4").model_copy(update={"device": "local"})
    with pytest.raises(ConfigError, match=r"rpi4\.yaml: device 'local' is a different machine: b"):
        STAGE.plan(_job(target), _MADE)


def test_emulated_device_is_asked_for_few_times_because_they_mean_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emulated = dataclasses.replace(LocalDevice(), provenance="emulated")
    monkeypatch.setattr(benchmark, "open_device", lambda _: emulated)
    (node,) = STAGE.plan(_job(_target("one", "local", 1, ["fp32"])), _MADE)
    settings = node.settings.model_dump(mode="json")
    assert {key: settings[key] for key in ("seconds", "count", "rounds", "most_rounds")} == {
        "seconds": 0.0, "count": 10, "rounds": 1, "most_rounds": 1,
    }  # fmt: skip


def test_unknown_device_is_found_before_anything_runs() -> None:
    (problem,) = STAGE.check(_job(_target("one", "locl", 1, ["fp32"])))
    assert problem.where == "targets"
    known = ", ".join(DEVICES.names())
    assert problem.what == (
        f"target 'one': unknown device 'locl'; Did you mean 'local'? Known: {known}."
    )


def test_package_that_this_machine_lacks_is_found_before_anything_runs() -> None:
    target = _target("one", "local", 1, ["fp32"])
    on_gpu = target.model_copy(update={"candidates": {"onnx@cuda": (Precision.FP32,)}})
    error = MissingPackageError.of(list(STAGE.missing(_job(on_gpu))))
    assert str(error) == (
        "target 'one': a model of format 'onnx' on cuda needs the package 'onnxruntime-gpu', "
        "which is not installed\n  pip install onnxruntime-gpu"
    )
    assert list(STAGE.check(_job(on_gpu))) == []
    assert list(STAGE.missing(_job(on_gpu.model_copy(update={"device": None})))) == []


def test_providers_are_timed_in_turns_and_read_one_file() -> None:
    target = _target("one", "local", 1, ["fp32"])
    both = {"onnx": (Precision.FP32,), "onnx@cuda": (Precision.FP32,)}
    (node,) = STAGE.plan(_job(target.model_copy(update={"candidates": both})), _MADE)
    assert isinstance(node.settings, Settings)
    cpu, cuda = node.settings.candidates
    assert (cpu.provider, cuda.provider) == ("cpu", "cuda")
    assert set(node.inputs.values()) == {_MADE["float"][0]}
    # Building the program for the GPU takes its time, too.
    on_cpu = node.settings.model_copy(update={"candidates": (cpu, cpu)})
    assert benchmark._turns(node.settings).timeout_s == 1200 + benchmark._turns(on_cpu).timeout_s
