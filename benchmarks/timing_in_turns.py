"""Choose among models while another program takes the processor at random.

Three models of known cost, 1 : 1.2 : 1.5, are timed while as many busy loops as there are cores are
switched on and off at random times. They are timed in turns, as a run does, and one after the other
for about as long, ranked by their 95th percentiles. Counts how often each way finds the fastest.

    python benchmarks/timing_in_turns.py --repeats 20
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgetl.runtime import golden
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.cores import usable_cores
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.paired import ratio
from edgetl.runtime.preprocess import Preprocess
from edgetl.runtime.timing_plan import TimingPlan, TurnsPlan
from edgetl.runtime.turns import rounds_of, time_in_turns

_SIZE = 32
_WIDTH = 256
_COSTS = {"1.5": 60, "1.2": 48, "1.0": 40}
"""Number of matrix products; the fastest is not the first, so ties do not help it."""


def main() -> None:
    """Print how often each way of timing chooses the fastest model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    repeats: int = parser.parse_args().repeats
    in_turns, alone, significant = 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folders = [_model(Path(name) / cost, count) for cost, count in _COSTS.items()]
        for seed in range(repeats):
            with _Hog(seed):
                latencies = time_in_turns(
                    folders, threads=1, plan=TurnsPlan(TimingPlan(0.1, 10, 8), most_rounds=24)
                )
                rounds = [rounds_of(latency) for latency in latencies]
                fastest = min(range(len(rounds)), key=lambda i: rounds[i].typical)
                in_turns += folders[fastest].name == "1.0"
                significant += all(
                    ratio(each, rounds[fastest]).significant
                    for i, each in enumerate(rounds)
                    if i != fastest
                )
                # As long as the turns took, five runs of each model and path.
                seconds = sum(len(each.runs) for each in latencies) * 0.1 / len(folders) / 5
                p95 = {folder.name: _p95_ms(folder, seconds) for folder in folders}
                alone += min(p95, key=lambda cost: p95[cost]) == "1.0"
    print(f"{'timed':<22} fastest found  all others significantly slower")
    print(f"{'in turns':<22} {in_turns:>6} of {repeats:<4} {significant:>10} of {repeats}")
    print(f"{'one after the other':<22} {alone:>6} of {repeats:<4}")


def _p95_ms(folder: Path, seconds: float) -> float:
    command = [sys.executable, "-m", "edgetl.runtime", "bench", str(folder), "--json"]
    command += ["--seconds", f"{seconds:.3f}", "--count", "15"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    data = json.loads(printed)
    value: float = data["summary"]["model_ms"]["p95"]["value"]
    return value


class _Hog:
    """Busy loops on every core, on and off at random times."""

    def __init__(self, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._processes = [
            context.Process(target=_burn, args=(seed * 100 + i,), daemon=True)
            for i in range(usable_cores())
        ]

    def __enter__(self) -> None:
        for process in self._processes:
            process.start()

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()


def _burn(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a simulation
    while True:
        until = time.monotonic() + rng.uniform(0.05, 2.0)
        while time.monotonic() < until:
            pass
        time.sleep(rng.uniform(0.05, 2.0))


def _model(folder: Path, count: int) -> Path:
    """Write a model folder whose model multiplies matrices `count` times."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(_WIDTH, _WIDTH)).astype(np.float32) / _WIDTH**0.5,
        "rows": np.array([-1, _WIDTH]),
        "start": np.array([0]),
        "end": np.array([3]),
        "axis": np.array([1]),
    }
    nodes = [helper.make_node("Reshape", ["image", "rows"], ["x0"])]
    for i in range(count):
        nodes.append(helper.make_node("MatMul", [f"x{i}", "w"], [f"y{i}"]))
        nodes.append(helper.make_node("Tanh", [f"y{i}"], [f"x{i + 1}"]))
    nodes.append(helper.make_node("ReduceMean", [f"x{count}"], ["mean"], axes=[0], keepdims=1))
    nodes.append(helper.make_node("Slice", ["mean", "start", "end", "axis"], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "cost",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, _SIZE, _SIZE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "model.onnx")
    Contract(
        task="classification",
        labels=("a", "b", "c"),
        format="onnx",
        files=describe_files(folder, ("model.onnx",)),
        precision="fp32",
        inputs=(ImageInput("image", "image", Preprocess(_SIZE, _SIZE, "stretch", "bilinear", 0)),),
        outputs=(OutputSpec("logits", "logits", (1, 3), "logits"),),
    ).save(folder)
    pixels = np.zeros((1, _SIZE, _SIZE, 3), np.uint8)
    golden.record(folder, {"image": pixels}, {"logits": np.zeros((1, 3), np.float32)}, [pixels[0]])
    return folder


if __name__ == "__main__":
    main()
