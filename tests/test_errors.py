"""Missing packages and unknown names: one command that installs them, one name that was meant."""

from __future__ import annotations

import pytest

from edgetl.errors import ExitCode, MissingPackage, MissingPackageError, closest, known_names

_ONNX = MissingPackage("exporter 'onnx'", "onnx", "edgetl[onnx]")
_TORCH = MissingPackage("training", "torch", "edgetl[train]")
_MODULE = MissingPackage("exporter 'tflite'", "litert_torch", "edgetl[tflite]")
_SAME = MissingPackage("a model of format 'tflite'", "litert-torch", "edgetl[tflite]")
_GPU = MissingPackage("'onnx' on cuda", "onnxruntime-gpu", "onnxruntime-gpu")


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        pytest.param(
            [_ONNX],
            "exporter 'onnx' needs the package 'onnx', which is not installed\n"
            "  pip install 'edgetl[onnx]'",
            id="one",
        ),
        pytest.param(
            [_GPU],
            "'onnx' on cuda needs the package 'onnxruntime-gpu', which is not installed\n"
            "  pip install onnxruntime-gpu",
            id="no extra",
        ),
        pytest.param(
            [_MODULE, _SAME],
            "exporter 'tflite' needs the package 'litert_torch', which is not installed\n"
            "  pip install 'edgetl[tflite]'",
            id="module and distribution",
        ),
        pytest.param(
            [_TORCH, _ONNX, _TORCH, _GPU],
            "these packages are not installed: 'torch' (edgetl[train]); 'onnx' (edgetl[onnx]); "
            "'onnxruntime-gpu' (onnxruntime-gpu)\n"
            "  pip install 'edgetl[train,onnx]' onnxruntime-gpu",
            id="several",
        ),
    ],
)
def test_missing_packages_come_with_one_command(
    missing: list[MissingPackage], expected: str
) -> None:
    error = MissingPackageError.of(missing)
    assert str(error) == expected
    assert error.exit_code == ExitCode.MISSING_PACKAGE


@pytest.mark.parametrize(
    ("name", "meant", "remedy"),
    [
        ("onx", "onnx", "Did you mean 'onnx'? Known: onnx, tflite."),
        ("keras", "", "Known: onnx, tflite."),
    ],
    ids=["like one", "like none"],
)
def test_unknown_name_is_answered_by_the_closest_and_all_known(
    name: str, meant: str, remedy: str
) -> None:
    assert closest(name, ("onnx", "tflite")) == meant
    assert known_names(name, ("onnx", "tflite")) == remedy
