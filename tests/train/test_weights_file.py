"""Checkpoints as trainers write them give their tensors; whatever else has the name is named."""

from __future__ import annotations

import argparse
import gzip
import pickle
import sys
import zipfile
from collections import OrderedDict
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path, PosixPath
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgetl.train.weights_file import WeightsError, read_weights

_TENSORS = {"stem.weight": torch.ones(2, 3), "head.bias": torch.zeros(2)}


def _saved(folder: Path, content: object, name: str = "weights.pth", **options: Any) -> Path:
    path = folder / name
    torch.save(content, path, **options)
    return path


def _equal(read: dict[str, Tensor]) -> bool:
    return read.keys() == _TENSORS.keys() and all(
        torch.equal(read[name], value) for name, value in _TENSORS.items()
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"state_dict": _TENSORS}, id="state_dict"),
        pytest.param({"model": _TENSORS, "epoch": 3}, id="model"),
        pytest.param({"model_state_dict": _TENSORS, "loss": torch.tensor(0.5)}, id="with loss"),
        pytest.param({"net": _TENSORS, "acc": 91.2}, id="net"),
        pytest.param({"ema": {"decay": 0.9, "module": _TENSORS}}, id="ema in a wrapper"),
        pytest.param(
            {"ema": {"x.weight": torch.ones(9)}, "model": _TENSORS}, id="ema beside model"
        ),
        pytest.param({"checkpoint": {"state_dict": _TENSORS}}, id="wrapper in a wrapper"),
        pytest.param({"weights": _TENSORS, "epoch": 3}, id="wrapper of another name"),
        pytest.param({**_TENSORS, "epoch": 3}, id="figures among the tensors"),
        pytest.param(OrderedDict(_TENSORS), id="no wrapper"),
        pytest.param(
            {
                "optimizer": {"state": {0: {"exp_avg": torch.ones(9)}}, "param_groups": []},
                "callbacks": {"checkpoint": {"best_score": torch.tensor(0.9)}},
                "network": _TENSORS,
            },
            id="beside an optimizer and callbacks",
        ),
    ],
)
def test_tensors_are_found_in_wrappers(tmp_path: Path, content: object) -> None:
    assert _equal(read_weights(_saved(tmp_path, content)))


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.ckpt", "a.pth.tar", "a.bin", "A.PTH"])
def test_checkpoints_are_read_under_every_name_of_theirs(tmp_path: Path, name: str) -> None:
    assert _equal(read_weights(_saved(tmp_path, _TENSORS, name)))


def test_old_format_is_read(tmp_path: Path) -> None:
    path = _saved(tmp_path, {"state_dict": _TENSORS}, _use_new_zipfile_serialization=False)

    assert _equal(read_weights(path))


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "old format"])
def test_figures_and_options_of_the_training_are_passed_over(
    tmp_path: Path, *, is_zip: bool
) -> None:
    content = {
        "model": _TENSORS,
        "best_ap": np.float64(0.25),
        "epoch": np.int32(3),
        "per_class": np.array([0.5, 0.75]),
        "args": argparse.Namespace(lr=0.1, output_dir=PosixPath("out"), sizes=[1, 2]),
    }
    path = _saved(tmp_path, content, _use_new_zipfile_serialization=is_zip)

    assert _equal(read_weights(path))


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_figures_are_passed_over_whichever_numpy_wrote_them(tmp_path: Path, module: str) -> None:
    path = _saved(
        tmp_path, {"m": _TENSORS, "ap": np.float32(0.5)}, _use_new_zipfile_serialization=False
    )
    content = path.read_bytes()
    for written in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        content = content.replace(b"c" + written + b"\n", b"c" + module.encode() + b"\n")
    path.write_bytes(content)
    assert b"c" + module.encode() + b"\n" in path.read_bytes()

    assert _equal(read_weights(path))


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."],
)
def test_what_torch_puts_before_names_is_taken_off(tmp_path: Path, prefix: str) -> None:
    content = {f"{prefix}{name}": value for name, value in _TENSORS.items()}

    assert _equal(read_weights(_saved(tmp_path, content)))


def test_what_torch_puts_into_names_is_taken_off(tmp_path: Path) -> None:
    content = {
        "stem._orig_mod.weight": _TENSORS["stem.weight"],
        "head._checkpoint_wrapped_module.bias": _TENSORS["head.bias"],
        "not_orig_mod.weight": torch.ones(2),
    }

    assert set(read_weights(_saved(tmp_path, content))) == {*_TENSORS, "not_orig_mod.weight"}


class _Touches:
    """A pickle that leaves a file behind when its code is run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._path,)


def test_other_objects_are_refused_by_name_and_nothing_of_them_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    path = _saved(tmp_path, {"model": _TENSORS, "x": _Touches(trace)})

    with pytest.raises(
        WeightsError, match=r"contains Python objects, such as \S+, which could run"
    ):
        read_weights(path)

    assert not trace.exists()
    with pytest.raises(
        WeightsError,
        match=r"^contains Python objects, such as fractions\.Fraction, which could run any "
        r"code when they are read\n  save the tensors alone: "
        r"torch\.save\(model\.state_dict\(\), FILE\)$",
    ):
        read_weights(_saved(tmp_path, {"model": _TENSORS, "share": Fraction(1, 3)}))


def test_several_sets_of_tensors_are_refused_by_name(tmp_path: Path) -> None:
    path = _saved(tmp_path, {"generator": _TENSORS, "critic": _TENSORS})

    with pytest.raises(
        WeightsError,
        match=r"^holds tensors by name under 'generator' and 'critic'\n  save those of the network "
        r"alone: torch\.save\(torch\.load\(FILE\)\['generator'\], NEW_FILE\)$",
    ):
        read_weights(path)


def test_checkpoint_without_tensors_is_refused_with_its_keys(tmp_path: Path) -> None:
    path = _saved(tmp_path, {"epoch": 3, "best": torch.tensor(0.5)})

    with pytest.raises(
        WeightsError,
        match=r"^holds a dict, not tensors by name, also not under model, state_dict, "
        r"model_state_dict, net, ema; its keys are epoch, best\n  save the tensors alone",
    ):
        read_weights(path)
    with pytest.raises(WeightsError, match=r"^holds a Python object, not tensors by name"):
        read_weights(_saved(tmp_path, argparse.Namespace()))


def test_table_that_contains_itself_is_refused(tmp_path: Path) -> None:
    content: dict[str, object] = {"epoch": 3}
    content["parent"] = content

    with pytest.raises(WeightsError, match="holds a dict, not tensors by name"):
        read_weights(_saved(tmp_path, content))


@pytest.mark.filterwarnings("ignore:.torch.jit.*is deprecated:FutureWarning")
def test_torchscript_is_named_with_the_way_to_its_tensors(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), path)

    with pytest.raises(
        WeightsError,
        match=r"^is a TorchScript program, not a checkpoint\n  take its tensors out: torch\.save\("
        r"torch\.jit\.load\('w\.pt'\)\.state_dict\(\), 'weights\.pth'\)$",
    ):
        read_weights(path)

    torch.save(torch.jit.load(path).state_dict(), tmp_path / "weights.pth")
    assert set(read_weights(tmp_path / "weights.pth")) == {"weight", "bias"}


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            r"^is a Git LFS pointer, not the file itself\n  run `git lfs pull`",
        ),
        ("<!DOCTYPE html><html>", r"^is a web page, not the file itself\n  download the file"),
        ("404: Not Found\n", r"^cannot be read as weights: it is text, which begins with '404: "),
    ],
    ids=["lfs pointer", "web page", "text"],
)
def test_what_was_saved_in_place_of_a_checkpoint_is_named(
    tmp_path: Path, suffix: str, content: str, message: str
) -> None:
    path = tmp_path / f"weights.{suffix}"
    path.write_text(content)

    with pytest.raises(WeightsError, match=message):
        read_weights(path)


def test_protocol_that_cannot_be_read_safely_is_named_without_a_warning(tmp_path: Path) -> None:
    path = _saved(tmp_path, _TENSORS, pickle_protocol=pickle.HIGHEST_PROTOCOL)

    with pytest.raises(
        WeightsError,
        match=r"^is pickled with protocol 5, of which only torch\.save's own, 2, is read without "
        r"running code\n  save it again without `pickle_protocol`$",
    ):
        read_weights(path)


@pytest.mark.parametrize("kind", ["quantized", "sparse"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch calls quantized tensors deprecated
def test_tensors_of_another_kind_are_refused(tmp_path: Path, kind: str) -> None:
    tensor = torch.ones(2, 3)
    other = tensor.to_sparse()
    if kind == "quantized":
        other = torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)
    path = _saved(tmp_path, {"stem.weight": other})
    with pytest.raises(WeightsError, match=f"holds {kind} tensors, such as 'stem.weight'"):
        read_weights(path)


def test_options_of_lightning_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pytorch_lightning.utilities.parsing"
    module = ModuleType(name)
    table = type("AttributeDict", (dict,), {"__module__": name})
    module.AttributeDict = table  # type: ignore[attr-defined]  # made here
    for part in ("pytorch_lightning", "pytorch_lightning.utilities", name):
        monkeypatch.setitem(sys.modules, part, module)
    content = {
        "state_dict": _TENSORS,
        "hyper_parameters": table(lr=0.1, nested={"a": [1]}),
        "saved": datetime(2024, 5, 1, tzinfo=UTC),
        "config": SimpleNamespace(epochs=3),
    }
    path = _saved(tmp_path, content, "last.ckpt")
    monkeypatch.undo()
    assert _equal(read_weights(path))


def test_cut_zip_is_named_as_such(tmp_path: Path) -> None:
    path = _saved(tmp_path, _TENSORS)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(
        WeightsError, match="cannot be read as weights: it is cut short, as its end is missing"
    ) as caught:
        read_weights(path)
    assert caught.value.remedy.startswith("get the file again")


def test_packed_checkpoint_is_to_be_unpacked(tmp_path: Path) -> None:
    content = _saved(tmp_path, _TENSORS, "inside.pth").read_bytes()
    (tmp_path / "gz.pth").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("run/best.pth", content)
    for name, what in (
        ("gz", "is compressed with gzip"),
        ("zip", "is a zip around other files, such as 'run/best.pth'"),
    ):
        with pytest.raises(WeightsError, match=what):
            read_weights(tmp_path / f"{name}.pth")
