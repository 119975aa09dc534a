"""What ends a replay on a device, and what is the model's own failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.boards.remote_runtime import replay_golden
from edgetl.devices.local import LocalDevice
from edgetl.errors import DeviceError
from edgetl.runtime.bundle import runtime_files
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.inputs import ImageInput
from edgetl.runtime.model_files import describe_files
from edgetl.runtime.preprocess import Preprocess


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The runtime, and a model folder whose file is no model."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"no model")
    Contract(
        task="classification",
        labels=("a", "b"),
        format="onnx",
        files=describe_files(folder, ("model.onnx",)),
        precision="fp32",
        inputs=(ImageInput("image", "image", Preprocess(8, 8, "stretch", "bilinear", 0)),),
        outputs=(OutputSpec("logits", "logits", (1, 2), "logits"),),
    ).save(folder)
    return {**runtime_files(), **{f"model/{path.name}": path for path in folder.iterdir()}}


def test_engine_that_does_not_fit_numpy_is_an_error_of_the_device(
    files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "abort.py").write_text("import os; os.abort()")
    files["onnxruntime/__init__.py"] = tmp_path / "abort.py"
    files["onnxruntime-1.16.3.dist-info/METADATA"] = tmp_path / "abort.py"
    with LocalDevice().connect() as connection:
        connection.put(files)
        with pytest.raises(DeviceError, match=r"onnxruntime 1\.16\.3 was built for numpy 1"):
            replay_golden(connection, "local", "model", threads=1, timeout_s=60)


def test_damaged_model_is_an_error_of_the_model(files: dict[str, Path]) -> None:
    with LocalDevice().connect() as connection:
        connection.put(files)
        result = replay_golden(connection, "local", "model", threads=1, timeout_s=60)
    assert "cannot load model/model.onnx" in result.error
    assert result.rows == ()
