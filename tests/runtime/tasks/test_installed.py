"""Tasks of installed packages: found by name, sent to a device, refused with the package's name."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.runtime import tasks
from edgetl.runtime.bundle import runtime_files
from edgetl.runtime.contract import Contract, OutputSpec
from edgetl.runtime.errors import ContractError, TaskError
from edgetl.runtime.inputs import TokensInput
from edgetl.runtime.model_files import ModelFile

_Install = Callable[..., Path]
_GRADING = """\
from . import _scale
FILES = ("_scale.py",)

def problems(contract):
    if contract.labels != _scale.GRADES:
        yield "labels", "must be low, high"
"""
_CONTRACT = Contract(
    task="grading",
    labels=("low", "high"),
    format="onnx",
    files=(ModelFile("model.onnx", 1, "0" * 64),),
    precision="fp32",
    inputs=(TokensInput("tokens", "tokens", 4),),
    outputs=(OutputSpec("grade", "grade", (1, 1), "grade"),),
)


def _install(
    install_package: _Install, *, source: str = _GRADING, entry: str = "acme_grades.device"
) -> Path:
    files = {
        "acme_grades/__init__.py": "",
        "acme_grades/device.py": source,
        "acme_grades/_scale.py": "GRADES = ('low', 'high')\n",
    }
    return install_package("acme-grades", files, {"edgetl.runtime_tasks": {"grading": entry}})


def test_device_half_of_a_package_is_known_behind_the_built_in_ones(
    install_package: _Install,
) -> None:
    _install(install_package)
    assert tasks.names() == ("classification", "detection", "grading")
    assert "acme_grades" not in sys.modules, "names are read without an import"
    assert tasks.load("grading").__name__ == "acme_grades.device"  # type: ignore[attr-defined] # it is a module


def test_contract_names_a_task_of_a_package(install_package: _Install, tmp_path: Path) -> None:
    _install(install_package)
    _CONTRACT.save(tmp_path)
    assert Contract.load(tmp_path).task == "grading"
    dataclasses.replace(_CONTRACT, labels=("a",)).save(tmp_path)
    with pytest.raises(ContractError, match="labels: must be low, high"):
        Contract.load(tmp_path)
    _CONTRACT.save(tmp_path)
    table = json.loads((tmp_path / "contract.json").read_text())
    (tmp_path / "contract.json").write_text(json.dumps({**table, "task": "gradin"}))
    with pytest.raises(
        ContractError,
        match=r"task: is 'gradin'; did you mean 'grading'\? this runtime knows classification, "
        "detection, grading",
    ):
        Contract.load(tmp_path)


def test_device_half_travels_with_the_modules_that_it_lists(install_package: _Install) -> None:
    folder = _install(install_package) / "acme_grades"
    added = {
        name: path
        for name, path in runtime_files((), ["grading"]).items()
        if folder in path.parents
    }
    assert added == {
        "edgetl/runtime/tasks/grading.py": folder / "device.py",
        "edgetl/runtime/tasks/_scale.py": folder / "_scale.py",
    }
    assert runtime_files((), ["detection"]) == runtime_files()


@pytest.mark.parametrize(
    ("source", "entry", "message"),
    [
        pytest.param(
            "raise ImportError('made for another edgetl')\n",
            "acme_grades.device",
            "the device half of task 'grading' of package 'acme-grades 0.3' cannot be imported: "
            "made for another edgetl",
            id="broken",
        ),
        pytest.param(
            _GRADING,
            "acme_grades.device:TASK",
            "the device half of task 'grading' of package 'acme-grades 0.3' is the object 'TASK' "
            "of a module, but a device half is a module",
            id="object",
        ),
        pytest.param(
            "FILES = ('scale.py',)\n",
            "acme_grades.device",
            "the device half of task 'grading' of package 'acme-grades 0.3' lists 'scale.py', "
            "which is no module beside it whose name starts with an underscore",
            id="public",
        ),
        pytest.param(
            "FILES = ('_gone.py',)\n",
            "acme_grades.device",
            "the device half of task 'grading' of package 'acme-grades 0.3' lists '_gone.py', "
            "which is no module beside it whose name starts with an underscore",
            id="gone",
        ),
    ],
)
def test_device_half_that_cannot_travel_is_an_error_with_its_package(
    install_package: _Install, source: str, entry: str, message: str
) -> None:
    _install(install_package, source=source, entry=entry)
    with pytest.raises(TaskError, match="of task 'grading'") as caught:
        runtime_files((), ["grading"])
    assert caught.value.message == message
    assert caught.value.exit_code == 4
    assert runtime_files((), ["classification"]), "others are not concerned"


def test_file_that_the_runtime_has_itself_is_not_overwritten(install_package: _Install) -> None:
    folder = _install(install_package, source="FILES = ('_installed.py',)\n")
    (folder / "acme_grades" / "_installed.py").write_text("")
    with pytest.raises(TaskError, match=r"lists '_installed\.py', a name that the runtime uses"):
        runtime_files((), ["grading"])


def test_task_of_two_packages_is_refused_with_both(install_package: _Install) -> None:
    for name in ("acme-grades", "zenith-grades"):
        install_package(name, {}, {"edgetl.runtime_tasks": {"grading": "grades"}})
    with pytest.raises(
        TaskError,
        match=r"several packages bring a device half of task 'grading': acme-grades 0\.3, "
        r"zenith-grades 0\.3\n  remove all but one: pip uninstall zenith-grades",
    ):
        tasks.load("grading")


def test_task_without_a_device_half_is_refused() -> None:
    with pytest.raises(
        TaskError,
        match=r"there is no device half of task 'grading'; known: classification, detection\n"
        r"  use a newer edgetl\.runtime, or install the package that provides the task",
    ):
        runtime_files((), ["grading"])
