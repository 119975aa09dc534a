"""TFLite files as others make them: several inputs, batches, open sizes, several graphs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.errors import ConfigError
from edgetl.graph_lint import lint
from edgetl.graph_lint.findings import Finding

pytest.importorskip("ai_edge_litert", reason="edgetl[tflite] is not installed")
flatbuffers = pytest.importorskip("flatbuffers", reason="edgetl[tflite] is not installed")

STEP = 300 / 255
UNITS = np.array([300, 300, 0.5], np.float32)


class Writer:
    """Collects tensors and operations of one graph, tensor 0 being the image."""

    def __init__(self, shape: Sequence[int], kind: str = "FLOAT32") -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.buffers = 3, [schema.BufferT()]
        self.model.operatorCodes, self.model.subgraphs = [], [self.graph]
        self.graph.tensors, self.graph.operators, self.graph.inputs = [], [], []
        self.input("image", shape, kind)

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        kind: str = "FLOAT32",
        *,
        scale: float | None = None,
        data: np.ndarray[Any, Any] | None = None,
    ) -> int:
        """Add a tensor; -1 in `shape` is an open size."""
        made = self.schema.TensorT()
        made.name, made.type = name, getattr(self.schema.TensorType, kind)
        made.shape = [max(size, 1) for size in shape]
        made.shapeSignature = list(shape) if -1 in shape else None
        if scale is not None:
            made.quantization = self.schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [0]
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def input(self, *words: Any, **more: Any) -> int:
        """Add a tensor that is an input."""
        made = self.tensor(*words, **more)
        self.graph.inputs.append(made)
        return made

    def operate(self, kind: str, read: list[int], made: int, options: str | None = None) -> int:
        """Add an operation."""
        code, operator = self.schema.OperatorCodeT(), self.schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(self.schema.BuiltinOperator, kind)
        code.version = 1 if kind == "RESHAPE" else 2
        operator.opcodeIndex = len(self.model.operatorCodes)
        self.model.operatorCodes.append(code)
        operator.inputs, operator.outputs = read, [made]
        if options is not None:
            operator.builtinOptions = getattr(self.schema, f"{options}T")()
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
        self.graph.operators.append(operator)
        return made

    def scaled(self, read: int, shape: Sequence[int]) -> int:
        """Multiply by 300, 300 and 0.5, colour by colour."""
        units = self.tensor("units", [3], data=UNITS)
        return self.operate("MUL", [read, units], self.tensor("scaled", shape), "MulOptions")

    def write(self, folder: Path, output: int) -> Path:
        """Write what there is, with one output."""
        self.graph.outputs = [output]
        builder = flatbuffers.Builder(0)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        (folder / "model.tflite").write_bytes(bytes(builder.Output()))
        return folder / "model.tflite"


def split(file: Path) -> Finding:
    (found,) = lint(file, pixels="0..1").findings
    assert found.what == "output 'out', axis 3"
    assert [part.name for part in found.parts] == ["columns 0 to 1", "column 2"]
    return found


@pytest.mark.parametrize("answer", ["integers", "real numbers", "moved real numbers"])
def test_scores_below_half_a_step_are_found_dead(answer: str, tmp_path: Path) -> None:
    shape = [1, 8, 8, 3]
    writer = Writer(shape)
    title = "out" if answer == "integers" else "rounded"
    rounded = writer.tensor(title, shape, "UINT8", scale=STEP)
    output = writer.operate("QUANTIZE", [writer.scaled(0, shape)], rounded)
    if answer != "integers":
        title = "out" if answer == "real numbers" else "real"
        output = writer.operate("DEQUANTIZE", [output], writer.tensor(title, shape))
    if answer == "moved real numbers":
        sizes = writer.tensor("sizes", [4], "INT32", data=np.array(shape, np.int32))
        output = writer.operate(
            "RESHAPE", [output, sizes], writer.tensor("out", shape), "ReshapeOptions"
        )

    found = split(writer.write(tmp_path, output))

    # Half of a colour of at most 1 is less than half of 1.18.
    assert (found.parts[1].lowest, found.parts[1].highest) == (0, 0)
    assert found.step == pytest.approx(STEP)
    assert found.ratio == pytest.approx(min(found.parts[0].reach, 300) / (STEP / 2), rel=0.1)


@pytest.mark.parametrize("batch", [3, -1], ids=["fixed", "open"])
def test_batch_is_filled_and_further_inputs_are_fed(batch: int, tmp_path: Path) -> None:
    shape = [batch, 8, 8, 3]
    writer = Writer(shape)
    gain = writer.input("gain", [-1], "INT8", scale=0.5)
    level = writer.operate("DEQUANTIZE", [gain], writer.tensor("level", [-1]))
    louder = writer.operate("MUL", [0, level], writer.tensor("louder", shape), "MulOptions")
    both = writer.operate(
        "CONCATENATION", [0, louder], writer.tensor("both", [batch, 16, 8, 3]),
        "ConcatenationOptions",
    )  # fmt: skip
    writer.graph.operators[-1].builtinOptions.axis = 1
    limit = writer.tensor("limit", [3], data=np.array([100, 100, 1], np.float32))
    out = writer.tensor("out", [batch, 16, 8, 3])
    writer.operate("MUL", [both, limit], out, "MulOptions")

    report = lint(writer.write(tmp_path, out))

    remedy = "if it needs something else, make it a constant in the file"
    assert report.fed == (
        (
            "every image was fed 3 times, the batch that the file fixes",
            f"input 'gain' was fed with ones; {remedy}",
        )
        if batch == 3
        else (f"input 'gain' was fed with 1; {remedy}",)
    )
    assert [each.what for each in report.findings] == ["output 'out', axis 3"]


def test_stand_in_of_an_integer_input_is_1_as_it_counts(tmp_path: Path) -> None:
    shape = [1, 8, 8, 3]
    writer = Writer(shape)
    gain = writer.input("gain", [1], "INT8", scale=0.01)
    level = writer.operate("DEQUANTIZE", [gain], writer.tensor("level", [1]))
    loud = writer.operate("MUL", [0, level], writer.tensor("loud", shape), "MulOptions")
    out = writer.operate(
        "CONCATENATION", [0, loud], writer.tensor("out", [1, 16, 8, 3]), "ConcatenationOptions"
    )
    writer.graph.operators[-1].builtinOptions.axis = 1

    # 1 is 100 steps of 0.01. A plain integer 1 would be 0.01, and the parts a hundredfold apart.
    assert lint(writer.write(tmp_path, out)).findings == ()


def test_joins_in_further_graphs_of_a_file_are_told(tmp_path: Path) -> None:
    shape = [1, 8, 8, 3]
    writer = Writer(shape)
    first = writer.graph
    output = writer.operate("RELU", [0], writer.tensor("out", shape))
    body = writer.graph = writer.schema.SubGraphT()
    body.name, body.tensors, body.operators, body.inputs = "body", [], [], []
    read = writer.input("a", shape)
    body.outputs = [
        writer.operate(
            "CONCATENATION", [read, read], writer.tensor("b", [1, 16, 8, 3]), "ConcatenationOptions"
        )
    ]
    body.operators[-1].builtinOptions.axis = 1
    writer.model.subgraphs.append(body)
    writer.graph = first

    (unseen,) = lint(writer.write(tmp_path, output)).unseen

    assert unseen.what == (
        "1 joining operation inside branches and loops, of which LiteRT shows no values: "
        "CONCATENATION '0' in body"
    )
    assert unseen.remedy.startswith("export the model without control flow")


def test_output_that_is_empty_on_every_image_is_told(tmp_path: Path) -> None:
    writer = Writer([1, 8, 8, 3])
    types = writer.schema.TensorType
    limit = writer.tensor("limit", [], data=np.array(1000, np.float32))
    above = writer.tensor("above", [1, 8, 8, 3], "BOOL")
    writer.operate("GREATER", [0, limit], above, "GreaterOptions")
    places = writer.tensor("places", [-1, 4], "INT64")
    writer.operate("WHERE", [above], places, "WhereOptions")
    output = writer.operate("CAST", [places], writer.tensor("out", [-1, 4]), "CastOptions")
    options = writer.graph.operators[-1].builtinOptions
    options.inDataType, options.outDataType = types.INT64, types.FLOAT32

    (unseen,) = lint(writer.write(tmp_path, output)).unseen

    assert unseen.what == "output 'out', which was empty on every image"
    assert unseen.remedy == "give images of what the model looks for: --image FILE"


def test_sizes_that_are_packed_are_no_finding(tmp_path: Path) -> None:
    shape = [1, 8, 8, 3]
    writer = Writer(shape)
    parts = [
        writer.tensor(f"size{i}", [], "INT32", data=np.array(size, np.int32))
        for i, size in enumerate((1, 192))
    ]
    sizes = writer.operate("PACK", parts, writer.tensor("sizes", [2], "INT32"), "PackOptions")
    writer.graph.operators[-1].builtinOptions.valuesCount = 2
    output = writer.operate("RESHAPE", [0, sizes], writer.tensor("out", [1, 192]), "ReshapeOptions")

    assert lint(writer.write(tmp_path, output)).findings == ()


def test_tensors_of_one_name_are_told_apart(tmp_path: Path) -> None:
    shape = [1, 8, 8, 3]
    writer = Writer(shape)
    rounded = writer.tensor("", shape, "UINT8", scale=STEP)
    writer.operate("QUANTIZE", [writer.scaled(0, shape)], rounded)
    real = writer.operate("DEQUANTIZE", [rounded], writer.tensor("", shape))
    same = writer.operate("RELU", [real], writer.tensor("", shape))

    (found,) = lint(writer.write(tmp_path, same), pixels="0..1").findings

    assert found.what == f"output ':{same}', axis 3"
    assert found.step == pytest.approx(STEP)


def test_file_without_an_image_is_refused(tmp_path: Path) -> None:
    writer = Writer([1, 10])
    output = writer.operate("RELU", [0], writer.tensor("out", [1, 10]))

    with pytest.raises(ConfigError, match=r"no input is an image, .+: 'image' \(1, 10\)"):
        lint(writer.write(tmp_path, output))


@pytest.mark.parametrize(
    ("kind", "custom", "version", "message"),
    [
        pytest.param(
            "CUSTOM", b"edgetpu-custom-op", 1,
            r"'edgetpu-custom-op', which LiteRT \S+ does not have\n  give the file from before the",
            id="Edge TPU",
        ),
        pytest.param(
            "CUSTOM", b"MyNMS", 1,
            r"'MyNMS', which LiteRT \S+ does not have\n  export the model without it; detectors",
            id="custom",
        ),
        pytest.param(
            "CUSTOM", b"FlexErf", 1, r"'FlexErf', .*\n  convert the model without `SELECT_TF_OPS`",
            id="TensorFlow",
        ),
        pytest.param(
            "RELU", None, 99,
            r"'RELU version 99', which LiteRT \S+ does not have\n  install a newer ai-edge-litert",
            id="newer",
        ),
    ],
)  # fmt: skip
def test_operation_that_litert_does_not_have_is_refused_with_its_remedy(
    tmp_path: Path, kind: str, custom: bytes | None, version: int, message: str
) -> None:
    shape = [1, 8, 8, 3]
    writer = Writer(shape)
    output = writer.operate(kind, [0], writer.tensor("out", shape))
    writer.model.operatorCodes[0].customCode = custom
    writer.model.operatorCodes[0].version = version

    with pytest.raises(
        ConfigError, match=rf"cannot be run by LiteRT: it uses the operation {message}"
    ):
        lint(writer.write(tmp_path, output))
