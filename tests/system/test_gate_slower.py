"""A file that the pipeline made, rebuilt to be slow: exactly that case of a check is red."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

Edgetl = Callable[..., Any]
Change = Callable[[onnx.GraphProto], None]

_NO_OPS = 60


@pytest.fixture
def classifier(finished: Path, edgetl: Edgetl, quieten: Callable[[Path], None]) -> Path:
    """Return a folder with the bundle of a classifier in float."""
    target = finished / "targets" / "host.yaml"
    target.write_text(target.read_text().replace("onnx: [fp32, int8]", "onnx: [fp32]"))
    done = edgetl(finished, "run", "recipe.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    quieten(finished / "dist" / "host")
    return finished


def _slower(graph: onnx.GraphProto) -> None:
    """Convolve the pixels with an identity again and again, which changes no answer."""
    place, first = next((i, node) for i, node in enumerate(graph.node) if node.op_type == "Conv")
    same = np.zeros((3, 3, 3, 3), np.float32)
    same[range(3), range(3), 1, 1] = 1.0
    graph.initializer.append(numpy_helper.from_array(same, "same"))
    for i in range(_NO_OPS):
        words = [first.input[0], "same"], [f"same {i}"]
        graph.node.insert(place + i, helper.make_node("Conv", *words, pads=[1] * 4))
        first.input[0] = f"same {i}"


def _checked(edgetl: Edgetl, folder: Path, bundle: str, *words: str) -> tuple[int, dict[str, Any]]:
    done = edgetl(
        folder, "check", bundle, "--target", "host", "--seconds", "0.05", "--json", *words
    )
    facts = json.loads(done.stdout)
    return done.returncode, {case["name"]: case for case in facts["cases"]}


def _red(cases: dict[str, Any]) -> list[str]:
    return [name for name, case in cases.items() if case["status"] == "failed"]


def test_slower_file_fails_the_comparison_of_latency_alone(
    classifier: Path, edgetl: Edgetl, rebuild: Callable[[Path, Change], str]
) -> None:
    done = edgetl(
        classifier, "baseline", "update", "dist/host", "--device", "local", "--seconds", "0.05",
        "--out", "b.json",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    words = ("--baseline", "b.json", "--max-ratio", "2")
    code, cases = _checked(edgetl, classifier, "dist/host", *words)
    assert (code, _red(cases)) == (0, [])
    code, cases = _checked(edgetl, classifier, rebuild(classifier, _slower), *words)
    assert (code, _red(cases)) == (5, ["latency against baseline"])
    assert cases["latency against baseline"]["figures"]["low"] > 2.0
    assert cases["golden samples"]["status"] == "passed"
