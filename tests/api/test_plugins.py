"""Lists of plug-ins: built-in ones and those of installed packages, without importing any."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import edgetl

Install = Callable[[str, Mapping[str, str], Mapping[str, Mapping[str, str]]], Path]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("list_devices", "ssh"),
        ("list_distillation_methods", "soft-targets"),
        ("list_engines", "onnx"),
        ("list_exporters", "tflite"),
        ("list_families", "mobilenet_v3_small"),
        ("list_layouts", "voc"),
        ("list_quantizers", "nncf"),
        ("list_stages", "finetune"),
        ("list_strategies", "probe-then-full"),
        ("list_tasks", "detection"),
    ],
)
def test_every_kind_of_plugin_is_listed_and_summarised(name: str, known: str) -> None:
    listed = getattr(edgetl, name)()
    by_name = {each.name: each for each in listed}
    assert known in by_name
    for each in listed:
        assert each.package == "edgetl"
        assert each.summary
        assert not each.summary.endswith(".")


def test_plugin_states_what_pip_installs_for_it() -> None:
    assert {each.name: each.requirement for each in edgetl.list_exporters()} == {
        "onnx": "edgetl[onnx]",
        "openvino": "edgetl[openvino]",
        "tflite": "edgetl[tflite]",
    }
    assert {each.requirement for each in edgetl.list_strategies()} == {""}


def test_plugin_of_an_installed_package_is_listed_without_importing_it(
    install_package: Install,
) -> None:
    folder = install_package(
        "acme-edge",
        {"acme_edge.py": "raise RuntimeError"},
        {"edgetl.families": {"acme_net": "acme_edge:FAMILY [train]"}},
    )
    (info,) = folder.glob("*.dist-info")
    with (info / "METADATA").open("a", encoding="utf-8") as metadata:
        metadata.write("Summary: Networks of Acme\n")
    listed = {each.name: each for each in edgetl.list_families()}
    assert listed["acme_net"] == edgetl.PluginInfo(
        name="acme_net",
        summary="Networks of Acme",
        package="acme-edge 0.3",
        requirement="acme-edge[train]",
    )
    assert "acme_edge" not in sys.modules


def test_lists_import_no_framework() -> None:
    script = (
        "import sys, edgetl\n"
        "for name in edgetl.__all__:\n"
        "    if name.startswith('list_'):\n"
        "        assert getattr(edgetl, name)(), name\n"
        "print([name for name in ('torch', 'onnx', 'numpy', 'PIL') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_files_that_are_known_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "mine.yaml").write_text("name: mine\n")
    assert edgetl.list_recipes() == ("detect-parts", "mine", "parts")
    names = [target.name for target in edgetl.list_targets()]
    assert names == sorted(names)
    assert {"host", "rpi4"} <= set(names)
    assert "balanced-256" in [each.name for each in edgetl.list_calibrations()]


def test_wrong_target_files_are_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "targets").mkdir()
    for name in ("one", "two"):
        (tmp_path / "targets" / f"{name}.yaml").write_text(f"name: {name}\nthreads: 0\n")
    with pytest.raises(edgetl.EdgetlError) as caught:
        edgetl.list_targets()
    assert "targets/one.yaml" in str(caught.value)
    assert "targets/two.yaml" in str(caught.value)
