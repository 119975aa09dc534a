"""Packages that are too old, or do not fit each other, end in one sentence before they fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgetl.runtime import packages
from edgetl.runtime.bundle import digest_file
from edgetl.runtime.errors import EdgetlRuntimeError, PackageError
from edgetl.runtime.packages import check_built_for_numpy, check_numpy_and_pillow, parse_version

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("3.11.2", (3, 11, 2)), ("2.36-9+rpt2", (2, 36)), ("2.3.0rc1", (2, 3, 0)), ("", ())],
)
def test_version_is_compared_by_its_leading_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_version(text) == numbers


def test_version_numbers_are_compared_as_numbers() -> None:
    assert parse_version("3.10") > parse_version("3.9.18")


@pytest.mark.parametrize(
    ("numpy", "pillow", "message", "remedy"),
    [
        pytest.param(
            "1.19.5",
            "8.1.2",
            "this Python has numpy 1.19.5 and pillow 8.1.2, but edgetl.runtime needs numpy 1.21 "
            "and pillow 9.1 or newer",
            "pip install 'numpy>=1.21,<2' 'pillow>=9.1'",
            id="bullseye",
        ),
        pytest.param(
            "1.20.3",
            "9.1.0",
            "this Python has numpy 1.20.3, but edgetl.runtime needs numpy 1.21 or newer",
            "pip install 'numpy>=1.21,<2'",
            id="numpy",
        ),
        pytest.param(
            "2.4.6",
            "9.0.1",
            "this Python has pillow 9.0.1, but edgetl.runtime needs pillow 9.1 or newer",
            "pip install 'pillow>=9.1'",
            id="pillow",
        ),
    ],
)
def test_old_version_is_refused_with_the_command_that_helps(
    monkeypatch: pytest.MonkeyPatch, numpy: str, pillow: str, message: str, remedy: str
) -> None:
    monkeypatch.setattr("numpy.__version__", numpy)
    monkeypatch.setattr("PIL.__version__", pillow)
    with pytest.raises(PackageError, match=r"^this Python has ") as caught:
        check_numpy_and_pillow()
    assert (caught.value.message, caught.value.remedy) == (message, remedy)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("numpy", "pillow"), [("1.21.0", "9.1.0"), ("1.24.2", "9.4.0"), ("unknown", "13.0.0")]
)
def test_other_versions_are_accepted(
    monkeypatch: pytest.MonkeyPatch, numpy: str, pillow: str
) -> None:
    monkeypatch.setattr("numpy.__version__", numpy)
    monkeypatch.setattr("PIL.__version__", pillow)
    check_numpy_and_pillow()


@pytest.mark.parametrize("command", ["predict", "check", "bench"])
def test_old_pillow_is_a_sentence_of_every_command(model_folder: Path, command: str) -> None:
    # As in Pillow 9.0, which has no enumerations.
    code = (
        "import sys, PIL.Image\n"
        "PIL.__version__ = '9.0.1'\n"
        "del PIL.Image.Resampling, PIL.Image.Transpose\n"
        "from edgetl.runtime.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    files = {path.name: digest_file(path) for path in model_folder.iterdir()}
    (model_folder / "manifest.json").write_text(json.dumps({"schema": 1, "files": files}))
    words = [command, str(model_folder), *(["a.png"] if command == "predict" else [])]
    done = _python("-c", code, *words)
    assert done.returncode == 4
    assert done.stderr == (
        "edgetl.runtime: this Python has pillow 9.0.1, but edgetl.runtime needs pillow 9.1 or "
        "newer\n  pip install 'pillow>=9.1'\n"
    )


def test_old_numpy_is_an_import_error_in_a_program() -> None:
    code = (
        "import numpy\n"
        "numpy.__version__ = '1.20.3'\n"
        "try:\n    from edgetl.runtime import Predictor\n"
        "except ImportError as error:\n    print(error)"
    )
    done = _python("-c", code)
    assert done.stdout == (
        "this Python has numpy 1.20.3, but edgetl.runtime needs numpy 1.21 or newer\n"
        "  pip install 'numpy>=1.21,<2'\n"
    )


@pytest.mark.parametrize(
    ("model", "info", "message", "remedy"),
    [
        pytest.param(
            "onnx",
            "onnxruntime-1.18.1.dist-info",
            "onnxruntime 1.18.1 was built for numpy 1",
            "pip install 'numpy>=1.21,<2', or pip install 'onnxruntime>=1.19'",
            id="onnxruntime",
        ),
        pytest.param(
            "onnx",
            "onnxruntime_gpu-1.16.0.dist-info",
            "onnxruntime-gpu 1.16.0 was built for numpy 1",
            "pip install 'numpy>=1.21,<2', or pip install 'onnxruntime-gpu>=1.19'",
            id="on a GPU",
        ),
        pytest.param(
            "tflite",
            "ai_edge_litert-1.0.1.dist-info",
            "ai-edge-litert 1.0.1 was built for numpy 1",
            "pip install 'numpy>=1.21,<2', or pip install 'ai-edge-litert>=1.1'",
            id="LiteRT",
        ),
    ],
)
def test_engine_built_for_numpy_1_is_not_imported_with_numpy_2(
    tmp_path: Path, model: str, info: str, message: str, remedy: str
) -> None:
    module = {"onnx": "onnxruntime", "tflite": "ai_edge_litert"}[model]
    _deadly(tmp_path / "site", module, info)
    done = _open(tmp_path, model)
    assert done.returncode == 4
    assert done.stderr == (
        f"edgetl.runtime: {message}, but this Python has numpy {np.__version__}\n  {remedy}\n"
    )


@pytest.mark.parametrize("info", ["tflite_runtime-2.14.0.dist-info", "other-1.0.dist-info"])
def test_tflite_runtime_of_any_version_was_built_for_numpy_1(tmp_path: Path, info: str) -> None:
    _deadly(tmp_path / "site", "tflite_runtime", info)
    (tmp_path / "site" / "ai_edge_litert").mkdir()
    (tmp_path / "site" / "ai_edge_litert" / "__init__.py").write_text("raise ImportError")
    done = _open(tmp_path, "tflite")
    assert done.returncode == 4
    assert " was built for numpy 1, but this Python has numpy " in done.stderr
    assert done.stderr.endswith("\n  pip install 'numpy>=1.21,<2'\n")


@pytest.mark.parametrize(
    ("numpy", "info"),
    [
        ("1.26.4", "onnxruntime-1.16.3.dist-info"),
        ("2.0.0", "onnxruntime-1.19.0.dist-info"),
        ("2.0.0", "onnxruntime-100.0.dist-info"),
        ("2.0.0", "other-1.0.dist-info"),
    ],
    ids=["numpy 1", "first", "much newer", "unknown version"],
)
def test_engine_that_fits_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numpy: str, info: str
) -> None:
    _deadly(tmp_path, "some_engine", info)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("numpy.__version__", numpy)
    first = {"onnxruntime": "1.19", "onnxruntime-gpu": "1.19"}
    check_built_for_numpy("some_engine", first)


def test_missing_engine_is_left_to_its_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numpy.__version__", "2.0.0")
    check_built_for_numpy("no_such_engine", {"no-such-engine": None})


def test_usual_cases_cost_no_look_at_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(site: Path) -> dict[str, str]:
        raise AssertionError(site)

    monkeypatch.setattr(packages, "_versions_in", look)
    monkeypatch.setattr("numpy.__version__", "1.26.4")
    check_built_for_numpy("_pytest", {"pytest": "1.19"})
    # Nor does a module that has been imported.
    monkeypatch.setattr("numpy.__version__", "2.0.0")
    check_built_for_numpy("pytest", {"pytest": "1000"})


@pytest.mark.parametrize(
    ("model", "name", "version", "least"),
    [
        # Loads int8 files and gives other outputs.
        pytest.param("tflite", "tflite-runtime", "2.9.1", "2.10", id="tflite-runtime"),
        # Has no `Core`, `Type` or version in its top-level module.
        pytest.param("openvino", "openvino", "2023.0.0", "2023.1", id="openvino"),
    ],
)
def test_engine_that_is_too_old_is_refused_before_it_loads_a_model(
    tmp_path: Path, model: str, name: str, version: str, least: str
) -> None:
    module = name.replace("-", "_")
    _release(tmp_path / "site", module, version)
    if model == "tflite":
        (tmp_path / "site" / module / "interpreter.py").write_text("Interpreter = None")
        (tmp_path / "site" / "ai_edge_litert").mkdir()
        (tmp_path / "site" / "ai_edge_litert" / "__init__.py").write_text("raise ImportError")
    done = _open(tmp_path, model, numpy="1.24.2")
    assert done.returncode == 4, done.stderr
    assert done.stderr == (
        f"edgetl.runtime: this Python has {name} {version}, but edgetl.runtime needs {least} or "
        f"newer\n  pip install '{name}>={least}'\n"
    )


@pytest.mark.parametrize("version", ["2.10", "2.14.0", "local"])
def test_engine_that_is_new_enough_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    _release(tmp_path, "tflite_runtime", version)
    monkeypatch.syspath_prepend(tmp_path)
    packages.check_engine("tflite-runtime", "2.10")
    packages.check_engine("no-such-engine", "2.10")


def test_error_is_one_of_the_runtime_and_of_imports() -> None:
    assert issubclass(PackageError, EdgetlRuntimeError)
    assert issubclass(PackageError, ImportError)


def _deadly(site: Path, module: str, info: str) -> None:
    """Write a package that ends the process when it is imported."""
    (site / module).mkdir(parents=True)
    (site / module / "__init__.py").write_text("import os; os.abort()")
    (site / info).mkdir()


def _release(site: Path, module: str, version: str) -> None:
    """Write an empty package with the metadata of a release."""
    (site / module).mkdir(parents=True)
    (site / module / "__init__.py").touch()
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {module.replace('_', '-')}\nVersion: {version}\n")


def _open(
    folder: Path, model: str, *, numpy: str = np.__version__
) -> subprocess.CompletedProcess[str]:
    """Open a model file of a format with the packages of ``site`` before all others."""
    (folder / "model").write_bytes(b"a model")
    code = (
        "import sys, pathlib, numpy\n"
        f"numpy.__version__ = '{numpy}'\n"
        "from edgetl.runtime.engines import open_session\n"
        "from edgetl.runtime.errors import PackageError\n"
        "try:\n    open_session(sys.argv[1], pathlib.Path(sys.argv[2]), 1)\n"
        "except PackageError as error:\n"
        "    print(f'edgetl.runtime: {error}', file=sys.stderr)\n    sys.exit(error.exit_code)"
    )
    return _python("-c", code, model, str(folder / "model"), path=folder / "site")


def _python(*words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    places = [str(_ROOT)] if path is None else [str(path), str(_ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    return subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, check=False
    )
