"""What every engine must do, on a model whose answer is known: the mean of each colour."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgetl.exporters import EXPORTERS
from edgetl.runtime import Predictor, engines
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.engines import TensorInfo, open_session
from edgetl.runtime.engines._arrays import decoder, encoder
from edgetl.runtime.errors import BundleError, ContractError, EngineError
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import ModelFile
from edgetl.runtime.preprocess import Preprocess

_SHAPE = (1, 32, 32, 3)
_Quantization = tuple[float, int]


_Written = Callable[[str, Sequence[int], Path], Path]


@pytest.fixture(scope="session")
def write(tmp_path_factory: pytest.TempPathFactory) -> _Written:
    """Return what writes the model for images of a shape in a format, by the format's exporter."""
    folders: dict[tuple[str, tuple[int, ...]], Path] = {}

    def write(name: str, shape: Sequence[int], out: Path) -> Path:
        exporter, key = EXPORTERS.load(name), (name, tuple(shape))
        if any(find_spec(module) is None for module in exporter.requires):
            pytest.skip(f"edgetl[{EXPORTERS.extra_of(name)}] is not installed")
        if key not in folders:
            folder = tmp_path_factory.mktemp(f"mean-{name}")
            examples = {"image": torch.zeros(*shape)}
            exporter.export(_ColourMeans().eval(), examples, ("logits",), folder)
            folders[key] = folder
        shutil.copytree(folders[key], out, dirs_exist_ok=True)
        return out / exporter.file

    return write


class _ColourMeans(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.mean(dim=(1, 2))


@pytest.fixture(params=engines.formats())
def model(request: pytest.FixtureRequest, write: _Written, tmp_path: Path) -> tuple[str, Path]:
    """Return the format and the file."""
    return request.param, write(request.param, _SHAPE, tmp_path)


def test_input_and_output_are_what_the_file_says(model: tuple[str, Path]) -> None:
    session = open_session(*model, threads=1)
    assert session.inputs == (TensorInfo("image", _SHAPE, "float32", None, None),)
    assert session.outputs == (TensorInfo("logits", (1, 3), "float32", None, None),)


def test_raw_pixels_give_the_known_answer(model: tuple[str, Path]) -> None:
    pixels = np.zeros(_SHAPE, np.uint8)
    pixels[:, :16] = (200, 100, 255)
    outputs = open_session(*model, threads=1).run({"image": pixels})
    assert set(outputs) == {"logits"}
    assert outputs["logits"].dtype == np.float32
    assert outputs["logits"] == pytest.approx(np.array([[100.0, 50.0, 127.5]]), abs=1e-4)


def test_an_answer_stays_as_it_was_when_the_next_is_asked(model: tuple[str, Path]) -> None:
    session = open_session(*model, threads=1)
    first = session.run({"image": np.full(_SHAPE, 10, np.uint8)})["logits"]
    session.run({"image": np.full(_SHAPE, 99, np.uint8)})
    assert first == pytest.approx(np.full((1, 3), 10.0), abs=1e-4)


def test_two_threads_on_one_predictor_get_the_outputs_of_their_own_frames(
    model: tuple[str, Path],
) -> None:
    name, file = model
    contract = Contract(
        task="classification",
        labels=("red", "green", "blue"),
        format=name,
        files=(ModelFile(file.name, None, None),),
        precision="fp32",
        inputs=(ImageInput("image", "image", Preprocess(32, 32, "stretch", "bilinear", 0)),),
        outputs=(OutputSpec("logits", "logits", (1, 3), "logits"),),
    )
    predictor = Predictor(file.parent, contract, open_session(name, file, threads=1))
    frames = np.empty((5000, *_SHAPE[1:]), np.uint8)
    frames[:] = (np.arange(5000) % 256)[:, None, None, None]
    # One thread gets the frames in the reverse order, so that neighbours in time differ.
    orders = (frames, frames[::-1])
    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(lambda each: predictor.run({"image": each})["logits"], orders))
    for given, logits in zip(orders, outputs, strict=True):
        assert np.abs(logits - given[:, 0, 0, :1]).max() < 1e-3


def test_more_threads_give_the_same_answer(model: tuple[str, Path]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, _SHAPE, np.uint8)
    one, two = (open_session(*model, threads=threads).run({"image": pixels}) for threads in (1, 2))
    assert one["logits"] == pytest.approx(two["logits"], abs=1e-4)


def test_engine_says_its_version(model: tuple[str, Path]) -> None:
    name, version = open_session(*model, threads=1).engine.split()
    assert name == engines.package(model[0])
    assert version[0].isdigit()


def test_loading_prints_nothing(model: tuple[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    open_session(*model, threads=1).run({"image": np.zeros(_SHAPE, np.uint8)})
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kept", [0.0, 0.4, 0.95], ids=["empty", "half", "tail lost"])
def test_torn_file_is_refused_in_one_line(model: tuple[str, Path], kept: float) -> None:
    name, file = model
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(BundleError, match=r"cannot load .*model\.\w+: .+") as caught:
        open_session(name, file, threads=1)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 6


def test_missing_file_is_named(model: tuple[str, Path]) -> None:
    with pytest.raises(BundleError, match=r"none\.bin is missing"):
        open_session(model[0], model[1].with_name("none.bin"), threads=1)


def test_input_that_is_no_image_is_refused(
    model: tuple[str, Path], write: _Written, tmp_path: Path
) -> None:
    file = write(model[0], (1, 3, 32, 32), tmp_path / "other")
    with pytest.raises(ContractError, match=r"has shape \(1, 3, 32, 32\), not \(1, H, W, 3\)"):
        open_session(model[0], file, threads=1)


def test_missing_package_is_an_engine_error(
    model: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = set(engines.packages(model[0]))
    tops = {top for top, owners in packages_distributions().items() if wanted & set(owners)}
    # None in its place makes an import fail the way a missing package does.
    for module in {*tops, *(name for name in sys.modules if name.partition(".")[0] in tops)}:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineError, match=f"a model of format '{model[0]}' needs") as caught:
        open_session(*model, threads=1)
    assert caught.value.exit_code == 4
    assert caught.value.remedy.startswith("pip install ")


def test_unknown_format_is_refused() -> None:
    with pytest.raises(ContractError, match="no engine for format 'ncnn'"):
        engines.package("ncnn")


def test_every_engine_has_the_cpu_and_takes_it_for_granted(model: tuple[str, Path]) -> None:
    assert engines.providers(model[0])[0] == "cpu"
    assert engines.packages(model[0]) == engines.packages(model[0], "cpu")
    named = open_session(*model, threads=1, provider="cpu")
    assert named.engine == open_session(*model, threads=1).engine


def test_provider_that_an_engine_does_not_have_is_refused(model: tuple[str, Path]) -> None:
    known = ", ".join(engines.providers(model[0]))
    with pytest.raises(
        ContractError, match=f"'{model[0]}' has no provider 'npu'; known: {known}\n"
    ):
        open_session(*model, threads=1, provider="npu")


def test_int8_tflite_takes_pixels_minus_128_and_gives_real_numbers(tmp_path: Path) -> None:
    file = _write_tflite(tmp_path, _SHAPE, given=("INT8", (1.0, -128)), answer=(2.0, -128))
    session = open_session("tflite", file, threads=1)
    assert session.inputs == (TensorInfo("image", _SHAPE, "int8", 1.0, -128),)
    assert session.outputs == (TensorInfo("logits", (1, 3), "int8", 2.0, -128),)
    pixels = np.full(_SHAPE, (200, 0, 255), np.uint8)
    # In steps of 2: 100, 0, and 127.5 rounded to the even 128.
    assert session.run({"image": pixels})["logits"].tolist() == [[200.0, 0.0, 256.0]]


def test_uint8_tflite_takes_pixels_as_they_are(tmp_path: Path) -> None:
    scale = (1 / 128, 128)
    file = _write_tflite(tmp_path, _SHAPE, given=("UINT8", scale), answer=scale)
    pixels = np.full(_SHAPE, (192, 0, 255), np.uint8)
    outputs = open_session("tflite", file, threads=1).run({"image": pixels})
    # Each pixel less 128, divided by 128.
    assert outputs["logits"].tolist() == [[0.5, -1.0, 0.9921875]]


def test_tflite_without_signature_goes_by_tensor_names(tmp_path: Path) -> None:
    file = _write_tflite(tmp_path, _SHAPE, signature=False)
    session = open_session("tflite", file, threads=1)
    assert (session.inputs[0].name, session.outputs[0].name) == ("tensor_0", "tensor_1")


@pytest.mark.parametrize("scale", [0.37, 0.5, 0.8, 1.0, 2.0, 3.0])
def test_pixels_are_rounded_as_litert_rounds_them(tmp_path: Path, scale: float) -> None:
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    file = tmp_path / "quantize.tflite"
    tensors = [("FLOAT32", (1, 256), None), ("INT8", (1, 256), (scale, -128))]
    _write_graph(file, "QUANTIZE", schema.QuantizeOptionsT(), tensors, constants={})
    interpreter = Interpreter(str(file))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.arange(256, dtype=np.float32)[None])
    interpreter.invoke()
    pixels = np.arange(256, dtype=np.uint8)
    encode = encoder(TensorInfo("image", _SHAPE, "int8", scale, -128))
    assert encode(pixels).tolist() == interpreter.get_tensor(1)[0].tolist()


def test_16_bit_input_and_output_use_their_scale() -> None:
    encode = encoder(TensorInfo("image", _SHAPE, "int16", 0.0078125, 0))
    assert encode(np.array([0, 1, 255], np.uint8)).tolist() == [0, 128, 32640]
    decode = decoder(TensorInfo("logits", (1, 3), "int16", 0.5, 0))
    assert decode(np.array([-3, 0, 32767], np.int16)).tolist() == [-1.5, 0.0, 16383.5]


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        pytest.param("int8", "is int8 but states no scale", id="no scale"),
        pytest.param("float64", "is float64; known: float32, float16, int8", id="type"),
    ],
)
def test_input_that_cannot_hold_pixels_is_refused(dtype: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        encoder(TensorInfo("image", _SHAPE, dtype, None, None))


def _write_tflite(
    folder: Path,
    shape: Sequence[int],
    *,
    given: tuple[str, _Quantization | None] = ("FLOAT32", None),
    answer: _Quantization | None = None,
    signature: bool = True,
) -> Path:
    from ai_edge_litert import schema_py_generated as schema

    file = folder / "model.tflite"
    kind, scale = given
    tensors = [(kind, shape, scale), (kind, (1, shape[3]), answer), ("INT32", (2,), None)]
    axes = np.array([1, 2], np.int32)
    _write_graph(
        file, "MEAN", schema.ReducerOptionsT(), tensors, constants={2: axes}, signature=signature
    )
    return file


def _write_graph(
    file: Path,
    operator: str,
    options: object,
    tensors: Sequence[tuple[str, Sequence[int], _Quantization | None]],
    *,
    constants: Mapping[int, NDArray[np.int32]],
    signature: bool = False,
) -> None:
    """Write one operator from tensor 0 to tensor 1; further tensors are its constants."""
    import flatbuffers  # type: ignore[import-untyped] # it has no types
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors = []
    for position, (kind, shape, quantization) in enumerate(tensors):
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f"tensor_{position}", list(shape)
        tensor.type = getattr(schema.TensorType, kind)
        if position in constants:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(constants[position].tobytes(), np.uint8)
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
        if quantization is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [quantization[0]]
            tensor.quantization.zeroPoint = [quantization[1]]
        graph.tensors.append(tensor)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, operator)
    code.version = 2
    node = schema.OperatorT()
    node.opcodeIndex = 0
    node.inputs, node.outputs = [0, *constants], [1]
    node.builtinOptions = options
    node.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
    graph.operators, graph.inputs, graph.outputs = [node], [0], [1]
    model.operatorCodes, model.subgraphs = [code], [graph]
    if signature:
        model.signatureDefs = [_signature(schema)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    file.write_bytes(bytes(builder.Output()))


def _signature(schema: object) -> object:
    signature = schema.SignatureDefT()  # type: ignore[attr-defined] # a generated module without types
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs, signature.outputs = [], []
    for name, position, places in (
        ("image", 0, signature.inputs),
        ("logits", 1, signature.outputs),
    ):
        entry = schema.TensorMapT()  # type: ignore[attr-defined] # as above
        entry.name, entry.tensorIndex = name, position
        places.append(entry)
    return signature
