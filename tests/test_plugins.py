"""Plug-ins are found by file name; what is unknown or missing is said with the remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgetl.errors import MissingPackageError, UsageError
from edgetl.plugins import Slot


@pytest.fixture
def slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slot[str]:
    folder = tmp_path / "plugin_folder_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "alpha.py").write_text("THING = 'alpha thing'\n")
    (folder / "beta.py").write_text("import package_that_is_nowhere\n")
    (folder / "_shared.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        monkeypatch.delitem(sys.modules, name)
    return Slot(folder.name, "THING", "thing", {"beta": "greek"})


def test_every_file_without_underscore_is_a_plugin(slot: Slot[str]) -> None:
    assert slot.names() == ("alpha", "beta")


def test_load_returns_what_the_file_defines(slot: Slot[str]) -> None:
    assert slot.load("alpha") == "alpha thing"


def test_unknown_name_is_refused_with_the_closest_one(slot: Slot[str]) -> None:
    with pytest.raises(UsageError, match="unknown thing 'alpa'") as caught:
        slot.load("alpa")
    assert caught.value.remedy == "Did you mean 'alpha'? Known: alpha, beta."


def test_missing_package_names_the_extra(slot: Slot[str]) -> None:
    with pytest.raises(
        MissingPackageError, match="thing 'beta' needs the package 'package_that_is_nowhere'"
    ) as caught:
        slot.load("beta")
    assert caught.value.remedy == "pip install 'edgetl[greek]'"
