"""``edgetl estimate`` ranks models and states the origin of its figures, without a verdict."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgetl.cli.estimate import command
from edgetl.config.target import Target
from edgetl.errors import ConfigError, ExitCode, MissingPackageError, UsageError
from edgetl.estimator import Estimate, instructions
from edgetl.estimator.cost import USUAL_NS
from edgetl.estimator.cost_profile import CostProfile, Fit, NetworkRow, save_profile
from edgetl.types import Precision

onnx = pytest.importorskip("onnx", reason="edgetl[onnx] is not installed")

_TARGET = """\
name: {name}
description: a board
device: null
threads: {threads}
candidates: {{onnx: [fp32]}}
limits: {{p95_ms: {limit}}}
"""


def sigmoids(path: Path, count: int) -> None:
    """Write a network of `count` sigmoids on 8 values."""
    helper = onnx.helper
    names = ["in", *(f"t{i}" for i in range(1, count)), "out"]
    nodes = [
        helper.make_node("Sigmoid", [before], [after])
        for before, after in itertools.pairwise(names)
    ]
    values = [helper.make_tensor_value_info(name, 1, [1, 8]) for name in ("in", "out")]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def custom_tflite(operation: str) -> bytes:
    """Return a file with one custom operation on 8 values."""
    import flatbuffers  # type: ignore[import-untyped] # has no stubs
    from ai_edge_litert import schema_py_generated as schema

    model, graph, code, node = (
        schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT(),
    )  # fmt: skip
    graph.tensors = [schema.TensorT(), schema.TensorT()]
    for tensor in graph.tensors:
        tensor.shape, tensor.type = [1, 8], schema.TensorType.FLOAT32
    graph.inputs, graph.outputs = [0], [1]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = operation
    node.inputs, node.outputs = [0], [1]
    graph.operators, model.operatorCodes, model.subgraphs = [node], [code], [graph]
    model.buffers, model.version = [schema.BufferT()], 3
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with two models, three targets, and profiles of 1 ms per operation."""
    monkeypatch.chdir(tmp_path)
    sigmoids(tmp_path / "long.onnx", 8)
    sigmoids(tmp_path / "short.onnx", 2)
    (tmp_path / "targets").mkdir()
    for name, threads, limit in (("board", 1, 4.0), ("far", 1, 9.0), ("busy", 2, 99.0)):
        text = _TARGET.format(name=name, threads=threads, limit=limit)
        (tmp_path / "targets" / f"{name}.yaml").write_text(text)
    row = NetworkRow(name="one", ms=1.0, fitted_ms=1.0, held_out_ms=1.0, disturbed=False)
    fit = Fit(
        format="onnx",
        precision=Precision.FP32,
        engine="onnxruntime 1.31.1",
        lane=1,
        ns={**dict.fromkeys(USUAL_NS, 0.0), "other calls": 1e6},
        band=2.0,
        coverage=0.9,
        largest={"activation": 8},
        networks=(row,) * 3,
    )
    profile = CostProfile(
        edgetl="1.0", device="local", host={"processor": "Core"}, threads=1, fits=(fit,)
    )
    for name in ("board", "busy"):
        save_profile(profile, tmp_path / "profiles" / f"{name}.json")
    return tmp_path


def estimate(*words: str) -> Result:
    return CliRunner().invoke(command, words)


def test_models_are_ranked_with_their_bands() -> None:
    done = estimate("long.onnx", "short.onnx", "--profile", "profiles/board.json")

    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "model       format     median ms  band           provenance",
        "short.onnx  onnx fp32  2.00       1.00 to 4.00   estimated (cost profile)",
        "long.onnx   onnx fp32  8.00       4.00 to 16.00  estimated (cost profile)",
        (
            "  by onnxruntime 1.31.1 on Core, 1 thread(s), fitted to 3 networks; the band "
            "contained 90% of them when each was predicted from the others"
        ),
    ]


def test_limit_within_the_band_is_a_warning_without_a_verdict() -> None:
    done = estimate("long.onnx", "short.onnx", "--target", "board")

    assert done.exit_code == 0, done.output
    warnings = [line for line in done.output.splitlines() if "warning" in line]
    end = (
        " the limit p95_ms 4 of board; only a measurement can decide: "
        "edgetl check BUNDLE --target board --device ssh://user@host"
    )
    assert warnings == [
        f"  short.onnx: warning: the band reaches{end}",
        f"  long.onnx: warning: the band reaches{end}",
    ]


def test_band_above_the_limit_is_a_warning(place: Path) -> None:
    sigmoids(place / "longest.onnx", 9)
    done = estimate("longest.onnx", "--target", "board")
    assert "longest.onnx: warning: the band lies above the limit p95_ms 4" in done.output


def test_other_number_of_threads_is_a_warning() -> None:
    done = estimate("short.onnx", "--target", "busy")
    assert "warning: the profile was made with 1 thread(s), but busy uses 2" in done.output


def test_json_states_the_provenance() -> None:
    done = estimate("short.onnx", "--target", "board", "--json")

    (row,) = json.loads(done.output)
    assert (row["model"], row["format"], row["precision"]) == ("short.onnx", "onnx", "fp32")
    assert (row["provenance"], row["method"]) == ("estimated", "cost profile")
    assert (row["ms"], row["low_ms"], row["high_ms"]) == (2.0, 1.0, 4.0)
    assert len(row["warnings"]) == 1


def test_target_without_profile_or_rate_is_refused_with_the_command_for_a_profile() -> None:
    done = estimate("short.onnx", "--target", "far")

    assert isinstance(done.exception, UsageError)
    assert "profiles/far.json does not exist, and instructions cannot replace it: " in str(
        done.exception
    )
    assert done.exception.remedy == "edgetl profile --target far --device ssh://user@host"


def test_missing_compiler_keeps_its_exit_code_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model: Path, target: Target) -> Estimate:
        raise MissingPackageError(f"{model} on {target.name}", remedy="apt-get install gcc")

    monkeypatch.setattr(instructions, "estimate_by_instructions", refuse)
    done = estimate("short.onnx", "--target", "far")

    assert isinstance(done.exception, MissingPackageError)
    assert done.exception.exit_code is ExitCode.MISSING_PACKAGE
    assert done.exception.remedy == "apt-get install gcc"


def test_error_for_an_unsupported_format_names_the_supported_ones(
    place: Path,
) -> None:
    file = place / "targets" / "board.yaml"
    file.write_text(file.read_text().replace("onnx:", "tflite:"))

    done = estimate("short.onnx", "--target", "board")

    assert isinstance(done.exception, UsageError)
    assert done.exception.message == (
        "short.onnx is for 'onnx', which target 'board' does not offer; it offers tflite"
    )
    assert done.exception.remedy == (
        "use a file of one of these formats, or add the format to `candidates` in "
        "targets/board.yaml"
    )


def test_target_with_an_invalid_address_is_refused_with_its_line(place: Path) -> None:
    file = place / "targets" / "board.yaml"
    file.write_text(file.read_text().replace("device: null", "device: pi@pi"))

    done = estimate("short.onnx", "--target", "board")

    assert isinstance(done.exception, ConfigError)
    assert done.exception.message.startswith(
        "targets/board.yaml:3: device: unknown device 'pi@pi'; Did you mean 'ssh://pi@pi'? "
    )


def test_file_that_no_engine_runs_has_no_estimate(place: Path) -> None:
    model = onnx.load(place / "short.onnx")
    model.graph.node[1].op_type = "EfficientNMS"
    model.graph.node[1].domain = "TRT"
    model.opset_import.append(onnx.helper.make_opsetid("TRT", 1))
    onnx.save(model, place / "custom.onnx")

    done = estimate("short.onnx", "custom.onnx", "--target", "board")

    assert isinstance(done.exception, ConfigError)
    assert done.exception.message.startswith(
        "custom.onnx: cannot be run by ONNX Runtime: it uses the operation 'TRT:EfficientNMS', "
    )
    assert done.exception.remedy.startswith("export the model without it")
    assert "median ms" not in done.output


def test_tflite_file_that_no_engine_runs_has_no_estimate(place: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="edgetl[tflite] is not installed")
    (place / "custom.tflite").write_bytes(custom_tflite("Magic"))

    done = estimate("custom.tflite", "--profile", "profiles/board.json")

    assert isinstance(done.exception, ConfigError)
    assert "custom.tflite: cannot be run by LiteRT: it uses the operation 'Magic'" in str(
        done.exception
    )


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("short.onnx",), UsageError, "neither a target nor a profile"),
        (("short.onnx", "--target", "mars"), ConfigError, "targets/mars.yaml: no such file"),
        (("short.onnx", "--profile", "no.json"), ConfigError, "no.json: no such file\n  edgetl pr"),
        (("no.onnx", "--target", "board"), ConfigError, "no.onnx: no such file"),
        (("targets", "--target", "board"), ConfigError, "targets: has no contract.json"),
    ],
    ids=["nothing", "target", "profile", "model", "folder"],
)
def test_invalid_input_is_refused(
    words: tuple[str, ...], error: type[Exception], message: str
) -> None:
    done = estimate(*words)
    assert isinstance(done.exception, error)
    assert message in str(done.exception)


def test_model_is_required() -> None:
    done = estimate("--target", "board")
    assert done.exit_code == 2
    assert "Missing argument 'MODEL...'" in done.output
