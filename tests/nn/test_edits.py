"""Structural edits: a saved model names them, every load repeats them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from edgetl.config.recipe import InputTable
from edgetl.errors import StoreError
from edgetl.models import FAMILIES, SPEC_FILE, ModelSpec, load_model, save_model
from edgetl.nn import edits
from edgetl.nn.edits import EDITS, SavedEdit

_DOUBLE = """
from edgetl.config.table import Table
from edgetl.nn.edits import Edit


class Options(Table):
    layer: str
    times: int


def _apply(module, options):
    from torch import nn

    linear = module.get_submodule(options.layer)
    width = linear.out_features
    wide = nn.Sequential(linear, *(nn.Linear(width, width) for _ in range(options.times)))
    module.set_submodule(options.layer, wide)
    return module


EDIT = Edit(version=3, options=Options, apply=_apply)
"""
_PROGRAM = """
import sys
from pathlib import Path

import torch

from edgetl.models import load_model
from edgetl.nn import edits

edits.__path__.append(sys.argv[1])
_, module = load_model(Path(sys.argv[2]))
with torch.inference_mode():
    outputs = module(torch.load(sys.argv[3]))
torch.save(outputs, sys.argv[4])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder of edits with `extend`, which puts linear layers behind one."""
    place = tmp_path / "edits"
    place.mkdir()
    (place / "extend.py").write_text(_DOUBLE)
    monkeypatch.setattr(edits, "__path__", [*edits.__path__, str(place)])
    yield place
    sys.modules.pop("edgetl.nn.edits.extend", None)


def extend(times: int) -> SavedEdit:
    return SavedEdit(kind="extend", version=3, options={"layer": "classifier.1", "times": times})


@pytest.fixture
def extended(folder: Path, tmp_path: Path) -> Path:
    """Return a saved model of two edits, the second inside what the first made."""
    del folder
    inner = SavedEdit(kind="extend", version=3, options={"layer": "classifier.1.1", "times": 1})
    plain = ModelSpec.of(
        "mobilenet_v2", width=0.25, classes=("nut", "bolt"), image_input=InputTable(size=32)
    )
    spec = plain.model_copy(update={"edits": (extend(2), inner)})
    module = FAMILIES.load("mobilenet_v2").build(width=0.25, num_classes=2, seed=4)
    for saved in spec.edits:
        edit = EDITS.load(saved.kind)
        module = edit.apply(module, edit.options.model_validate(saved.options))
    place = tmp_path / "model"
    place.mkdir()
    save_model(place, spec, module)
    return place


def test_edits_are_applied_in_order_before_the_weights_are_read(extended: Path) -> None:
    spec, module = load_model(extended)

    linears = [
        name
        for name, part in module.get_submodule("classifier").named_modules()
        if isinstance(part, nn.Linear)
    ]
    assert [edit.kind for edit in spec.edits] == ["extend", "extend"]
    assert linears == ["1.0", "1.1.0", "1.1.1", "1.2"]


def test_edited_model_gives_the_same_bits_in_a_fresh_process(
    folder: Path, extended: Path, tmp_path: Path
) -> None:
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.save(images, tmp_path / "images.pt")
    words = (folder, extended, tmp_path / "images.pt", tmp_path / "outputs.pt")

    subprocess.run([sys.executable, "-c", _PROGRAM, *map(str, words)], check=True)

    _, module = load_model(extended)
    with torch.inference_mode():
        assert torch.equal(torch.load(tmp_path / "outputs.pt"), module(images))


@pytest.fixture
def change(extended: Path) -> Callable[..., None]:
    """Return what changes fields of the first edit in the saved model."""

    def write(**fields: object) -> None:
        path = extended / SPEC_FILE
        spec = json.loads(path.read_text())
        spec["edits"][0] |= fields
        path.write_text(json.dumps(spec))

    return write


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"kind": "shrink"},
            "cannot be rebuilt here: unknown structural edit 'shrink'\n  install the package that",
        ),
        (
            {"version": 2},
            "saved with version 2 of structural edit 'extend', but version 3 is installed",
        ),
        (
            {"options": {"layer": "classifier.1"}},
            r"contains no readable model: model\.json: times: Field required",
        ),
        (
            {"options": {"layer": "classifier.1", "times": 1}},
            r"contains no readable model: Error.* in loading state_dict",
        ),
    ],
    ids=["kind", "version", "missing option", "other option"],
)
def test_edit_that_cannot_be_repeated_is_refused(
    extended: Path, change: Callable[..., None], fields: dict[str, object], message: str
) -> None:
    change(**fields)

    with pytest.raises(StoreError, match=message):
        load_model(extended)
