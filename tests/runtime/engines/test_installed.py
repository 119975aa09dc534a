"""Engines of installed packages: what cannot be used is an error with the package's name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.runtime.engines import formats, installed_files, packages
from edgetl.runtime.errors import EngineError
from edgetl.runtime.installed import IMPORT_FAILURES

_ENGINE = "VERSION = 1\nPROVIDERS = {'cpu': ('acme-npz',)}\n"
_Install = Callable[..., Path]


def _install(install_package: _Install, source: str, entry: str = "acme_npz") -> None:
    install_package("acme-npz", {"acme_npz.py": source}, {"edgetl.engines": {"npz": entry}})


def test_engine_of_a_package_is_the_module_of_its_entry_point(install_package: _Install) -> None:
    _install(install_package, _ENGINE)
    assert "npz" in formats()
    assert packages("npz") == ("acme-npz",)
    assert {name: file.name for name, file in installed_files("npz").items()} == {
        "npz.py": "acme_npz.py"
    }


def test_engine_that_is_an_object_is_refused_without_an_import(install_package: _Install) -> None:
    _install(install_package, _ENGINE, "acme_npz:Engine")
    for ask in (packages, installed_files):
        with pytest.raises(EngineError, match="but an engine is a module") as caught:
            ask("npz")
        assert caught.value.message == (
            "the engine of format 'npz' of package 'acme-npz 0.3' is the object 'Engine' of a "
            "module, but an engine is a module"
        )
        assert caught.value.remedy == (
            "in the package, let the entry point 'npz' of edgetl.engines be 'acme_npz'"
        )
    assert "acme_npz" not in sys.modules


@pytest.mark.parametrize("failure", IMPORT_FAILURES, ids=lambda failure: failure.__name__)
def test_engine_whose_import_fails_is_an_error_with_the_reason(
    install_package: _Install, failure: type[Exception]
) -> None:
    _install(install_package, f"raise {failure.__name__}('made for another edgetl')\n")
    with pytest.raises(
        EngineError,
        match=r"^the engine of format 'npz' of package 'acme-npz 0\.3' cannot be imported: "
        r"made for another edgetl\n",
    ) as caught:
        packages("npz")
    assert isinstance(caught.value.__cause__, failure)
    assert caught.value.remedy == (
        "install what it needs, update it (pip install --upgrade acme-npz), or remove it "
        "(pip uninstall acme-npz)"
    )
