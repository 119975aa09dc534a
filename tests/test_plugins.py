"""Plug-ins are found by file name and entry point; what is unknown or broken has a remedy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.errors import ExitCode, MissingPackageError, PluginError, UsageError
from edgetl.plugins import Slot

_GROUP = "edgetl.things_for_test"
_Install = Callable[..., Path]


@pytest.fixture
def slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slot[str]:
    folder = tmp_path / "plugin_folder_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "alpha.py").write_text("THING = 'alpha thing'\n")
    (folder / "beta.py").write_text("import package_that_is_nowhere\nEXTRA = 'greek'\n")
    (folder / "delta.py").write_text("import package_that_is_nowhere\n")
    (folder / "_shared.py").write_text("")
    (folder / "gamma.py").write_text(
        "class Gamma:\n    version = 3\nTHING = Gamma()\nVERSION = 8\nEXTRA = 'tau'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        monkeypatch.delitem(sys.modules, name)
    return Slot(folder.name, "THING", "thing", _GROUP)


def test_every_file_without_underscore_is_a_plugin(slot: Slot[str]) -> None:
    assert slot.names() == ("alpha", "beta", "delta", "gamma")


def test_load_returns_what_the_file_defines(slot: Slot[str]) -> None:
    assert slot.load("alpha") == "alpha thing"


def test_names_with_hyphens_are_those_of_files_with_underscores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hyphen_folder_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "two_words.py").write_text("THING = 'two'\nEXTRA = 'tau'\n")
    monkeypatch.syspath_prepend(tmp_path)
    slot: Slot[str] = Slot(folder.name, "THING", "thing", hyphens=True)

    assert slot.names() == ("two-words",)
    assert slot.load("two-words") == "two"
    assert slot.extra_of("two-words") == "tau"
    with pytest.raises(UsageError, match="unknown thing 'two_words'"):
        slot.load("two_words")


def test_unknown_name_is_refused_with_the_closest_one(slot: Slot[str]) -> None:
    with pytest.raises(UsageError, match="unknown thing 'alpa'") as caught:
        slot.load("alpa")
    assert caught.value.remedy == "Did you mean 'alpha'? Known: alpha, beta, delta, gamma."


def test_missing_package_names_the_extra_that_the_file_states(slot: Slot[str]) -> None:
    with pytest.raises(
        MissingPackageError, match="thing 'beta' needs the package 'package_that_is_nowhere'"
    ) as caught:
        slot.load("beta")
    assert caught.value.remedy == "pip install 'edgetl[greek]'"
    assert (slot.extra_of("gamma"), slot.extra_of("alpha")) == ("tau", "")


def test_missing_package_without_an_extra_is_named_itself(slot: Slot[str]) -> None:
    with pytest.raises(MissingPackageError, match="thing 'delta' needs") as caught:
        slot.load("delta")
    assert caught.value.remedy == "pip install package_that_is_nowhere"


def test_stamp_holds_the_version_of_the_object_or_of_the_module(slot: Slot[str]) -> None:
    assert slot.stamp("gamma") == {"thing gamma": "3"}
    modules: Slot[object] = Slot(slot.package, "", "module")
    assert modules.stamp("gamma") == {"module gamma": "8"}


def test_plugin_without_a_version_has_no_stamp(slot: Slot[str]) -> None:
    with pytest.raises(PluginError, match="thing 'alpha' states no version") as caught:
        slot.stamp("alpha")
    assert caught.value.remedy == (
        "let its THING state version 1, and raise it whenever results change"
    )


def test_installed_package_adds_a_plugin(slot: Slot[str], install_package: _Install) -> None:
    install_package(
        "acme-things",
        {"acme_things.py": "class A:\n    version = 2\nTHING, OTHER = A(), 'other'\n"},
        {_GROUP: {"zeta": "acme_things", "eta": "acme_things:OTHER"}},
    )
    assert slot.names() == ("alpha", "beta", "delta", "gamma", "eta", "zeta")
    assert "acme_things" not in sys.modules, "names are read without an import"
    assert slot.load("eta") == "other"
    assert slot.stamp("zeta") == {"thing zeta": "2, acme-things 0.3"}


def test_slot_without_a_group_takes_nothing_from_outside(
    slot: Slot[str], install_package: _Install
) -> None:
    install_package("acme-things", {"acme_things.py": ""}, {_GROUP: {"zeta": "acme_things"}})
    closed: Slot[str] = Slot(slot.package, "THING", "thing")
    assert closed.names() == ("alpha", "beta", "delta", "gamma")


def test_name_shared_with_a_built_in_is_refused_when_it_is_asked_for(
    slot: Slot[str], install_package: _Install
) -> None:
    install_package("acme-things", {"acme_things.py": ""}, {_GROUP: {"alpha": "acme_things"}})
    assert slot.names() == ("alpha", "beta", "delta", "gamma")
    slot.check("gamma")
    for ask in (slot.check, slot.load):
        with pytest.raises(
            PluginError, match=r"^thing 'alpha' is defined by edgetl and by acme-things 0\.3\n"
        ) as caught:
            ask("alpha")
        assert caught.value.exit_code is ExitCode.CONFIG
        assert caught.value.remedy == (
            "a name belongs to one package: run 'pip uninstall acme-things', or ask its authors "
            "for another name"
        )


def test_name_shared_by_two_packages_is_refused_with_both(
    slot: Slot[str], install_package: _Install
) -> None:
    for name in ("acme-things", "zenith-things"):
        install_package(name, {}, {_GROUP: {"zeta": "things"}})
    with pytest.raises(
        PluginError, match=r"'zeta' is defined by acme-things 0\.3 and by zenith-things 0\.3"
    ) as caught:
        slot.load("zeta")
    assert "'pip uninstall acme-things' or 'pip uninstall zenith-things'" in caught.value.remedy


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("THNG = 1", "AttributeError: module .* has no attribute 'THING'", id="object"),
        pytest.param("def", "SyntaxError: invalid syntax", id="syntax"),
        pytest.param("1 / 0", "ZeroDivisionError: division by zero", id="value"),
        pytest.param(
            "import edgetl.gone", "ModuleNotFoundError: No module named 'edgetl.gone'", id="edgetl"
        ),
        pytest.param(
            "import acme_things.gone", "ModuleNotFoundError: No module named 'acme_t", id="own"
        ),
    ],
)
def test_package_that_cannot_be_imported_is_named_with_the_reason(
    slot: Slot[str], install_package: _Install, source: str, reason: str
) -> None:
    install_package("acme-things", {"acme_things.py": source}, {_GROUP: {"zeta": "acme_things"}})
    assert slot.load("alpha") == "alpha thing", "others are not concerned"
    with pytest.raises(
        PluginError,
        match=rf"^thing 'zeta' of package 'acme-things 0\.3' cannot be imported: {reason}",
    ) as caught:
        slot.load("zeta")
    assert "\n" not in caught.value.message
    assert caught.value.exit_code is ExitCode.CONFIG
    assert caught.value.remedy == (
        "update it (pip install --upgrade acme-things), or remove it (pip uninstall acme-things)"
    )


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        pytest.param("acme_things", "pip install package_that_is_nowhere", id="no extra"),
        pytest.param("acme_things [fast]", "pip install 'acme-things[fast]'", id="extra"),
    ],
)
def test_package_that_lacks_another_one_says_how_to_install_it(
    slot: Slot[str], install_package: _Install, entry: str, remedy: str
) -> None:
    install_package(
        "acme-things",
        {"acme_things.py": "import package_that_is_nowhere.part\n"},
        {_GROUP: {"zeta": entry}},
    )
    with pytest.raises(
        MissingPackageError,
        match=r"thing 'zeta' of package 'acme-things 0\.3' needs the package "
        r"'package_that_is_nowhere'",
    ) as caught:
        slot.load("zeta")
    assert caught.value.remedy == remedy
    assert caught.value.exit_code is ExitCode.MISSING_PACKAGE


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(
            "import contextlib\n"
            "from edgetl.cli import main\n"
            "sys.argv = ['edgetl', '--help']\n"
            "with contextlib.redirect_stdout(None), contextlib.suppress(SystemExit):\n"
            "    main()\n",
            id="help",
        ),
        pytest.param(
            "from pathlib import Path\n"
            "from edgetl.runtime import engines\n"
            "from edgetl.runtime.errors import BundleError\n"
            "try:\n"
            "    engines.open_session('onnx', Path('nowhere.onnx'), 1)\n"
            "except BundleError:\n"
            "    pass\n",
            id="prediction",
        ),
    ],
)
def test_metadata_of_packages_are_not_read_for(program: str) -> None:
    counted = (
        f"import sys\n{program}\nfrom edgetl.runtime import installed\n"
        "print(installed._by_group.cache_info().misses)"
    )
    done = subprocess.run(
        [sys.executable, "-c", counted], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"
