"""Arguments of the Python API: a wrong one is one sentence that names it, with a remedy."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgetl
from edgetl.api.arguments import as_overrides, as_paths
from edgetl.config.yaml_file import parse_override
from edgetl.errors import UsageError
from edgetl.runtime.errors import EdgetlUsageError


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param(40, 40, id="integer"),
        pytest.param(1e-05, 1e-05, id="float that YAML would take for a text"),
        pytest.param(True, True, id="flag"),
        pytest.param(None, None, id="null"),
        pytest.param("off", "off", id="text that YAML would take for a flag"),
        pytest.param("3", "3", id="text of digits"),
        pytest.param("a: b # \N{GRINNING FACE}\n", "a: b # \N{GRINNING FACE}\n", id="text"),
        pytest.param(Path("a/b"), "a/b", id="path"),
        pytest.param(("host", "rpi4"), ["host", "rpi4"], id="tuple"),
        pytest.param({"crack": {"low": 0.5}}, {"crack": {"low": 0.5}}, id="table"),
        pytest.param("word " * 60, "word " * 60, id="long"),
    ],
)
def test_value_of_a_setting_arrives_as_it_is(value: object, read: object) -> None:
    (text,) = as_overrides({"distill.some_key": value})
    assert parse_override(text) == (("distill", "some_key"), read)


def test_texts_of_the_option_are_settings_too() -> None:
    assert as_overrides(["a=1", "b.c=x"]) == ("a=1", "b.c=x")
    assert as_overrides(None) == ()


def test_one_path_or_several() -> None:
    assert as_paths("models", "a.onnx") == (Path("a.onnx"),)
    assert as_paths("models", [Path("a"), "b"]) == (Path("a"), Path("b"))


def _run(**arguments: Any) -> Callable[[], object]:
    return lambda: edgetl.run(**{"recipe": "parts", **arguments})


def _check(**arguments: Any) -> Callable[[], object]:
    return lambda: edgetl.check(**{"bundle": "dist/host", "target": "host", **arguments})


def _estimate(*models: Any, **arguments: Any) -> Callable[[], object]:
    return lambda: edgetl.estimate(*models, **arguments)


def _call(function: Callable[..., object], *words: Any, **named: Any) -> Callable[[], object]:
    return lambda: function(*words, **named)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(
            _run(recipe=3),
            "`recipe` is int 3\n  it must be a path, as text or pathlib.Path",
            id="recipe",
        ),
        pytest.param(
            _run(recipe={"name": "a"}),
            "`recipe` is a table, but edgetl reads recipes from files\n  name a YAML file",
            id="recipe as a table",
        ),
        pytest.param(
            _run(recipe=""), "`recipe` is an empty path\n  '.' is the working", id="empty"
        ),
        pytest.param(_run(store=3.5), "`store` is float 3.5\n  it must be a path", id="store"),
        pytest.param(_run(dist=b"dist"), "`dist` is bytes b'dist'\n  it must be a", id="dist"),
        pytest.param(
            _run(set="epochs=3"),
            "`set` must map keys of the recipe to values, not be str 'epochs=3'\n  for example",
            id="set as one text",
        ),
        pytest.param(_run(executor=3), "`executor` is int 3\n  it must be a text", id="executor"),
        pytest.param(_run(executor=""), "unknown executor ''", id="empty executor"),
        pytest.param(_run(set=[3]), "`set` is int 3\n  it must be a text", id="set of numbers"),
        pytest.param(
            _run(set={3: 4}),
            "`set` has the key 3, which is not the name of a setting\n  for example set={",
            id="key of a setting",
        ),
        pytest.param(
            _run(set={"finetune.epochs": np.float32(3)}),
            r"`set` gives 'finetune.epochs' the value float32 .*, which a recipe cannot hold",
            id="value of a setting",
        ),
        pytest.param(
            _run(quick=1), "`quick` is int 1\n  it must be True or False", id="number for a flag"
        ),
        pytest.param(
            _run(progress=print),
            "`progress` is builtin_function_or_method without begins, ends, step, note\n"
            "  use progress=True for the terminal, or an object with the methods begins, ends",
            id="progress",
        ),
        pytest.param(
            _call(edgetl.plan, "parts", progress=False),
            "`progress` is bool without step, note\n  use progress=True",
            id="progress of a plan",
        ),
        pytest.param(
            _call(edgetl.why, "parts", 3), "`label` is int 3\n  it must be a text", id="label"
        ),
        pytest.param(
            _check(target=None), "`target` is NoneType None\n  it must be a text", id="target"
        ),
        pytest.param(
            _check(require="estimated"),
            "`require` is 'estimated'\n  use one of: 'measured', 'emulated'",
            id="require",
        ),
        pytest.param(
            _check(max_drop_pp=True),
            "`max_drop_pp` is bool True\n  it must be a number, 0 to 100",
            id="flag for a number",
        ),
        pytest.param(
            _check(max_ratio=0.5),
            "`max_ratio` is float 0.5\n  it must be a number, 1 or more",
            id="too small",
        ),
        pytest.param(
            _check(max_drop_pp=math.nan),
            "`max_drop_pp` is float nan\n  it must be a number, 0 to 100",
            id="not a number",
        ),
        pytest.param(
            _check(seconds=0), "`seconds` is int 0\n  it must be above zero", id="no time"
        ),
        pytest.param(
            _check(device=["local"]), r"`device` is list \['local'\]\n  it must be", id="device"
        ),
        pytest.param(
            _estimate(3, target="host"), "`models` is int 3\n  it must be a path", id="models"
        ),
        pytest.param(
            _estimate("a.onnx"), "neither a target nor a profile was given\n", id="no profile"
        ),
        pytest.param(
            _call(edgetl.init, "images", exclude="pred/*"),
            r"`exclude` is str 'pred/\*'\n  it must be a list of texts, such as exclude=\['...'\]",
            id="one text for a list",
        ),
        pytest.param(
            _call(edgetl.init, "images", force="yes"),
            "`force` is str 'yes'\n  it must be True or False",
            id="flag",
        ),
        pytest.param(
            _call(edgetl.lint, "a.onnx", pixels="0..3"),
            "`pixels` is '0..3'\n  use one of: '0..255', '0..1', '-1..1'",
            id="pixels",
        ),
        pytest.param(
            _call(edgetl.profile, "host", threads=0),
            "`threads` is int 0\n  it must be an integer above zero",
            id="threads",
        ),
        pytest.param(
            _call(edgetl.profile, "host", log=True),
            "`log` is bool\n  it must be a function of one text",
            id="log",
        ),
        pytest.param(
            _call(edgetl.profile, device="ssh://pi@pi"),
            "the target of device 'ssh://pi@pi' is unknown",
            id="profile without a target",
        ),
        pytest.param(
            _call(edgetl.check_target), "neither a target nor a device was given", id="no target"
        ),
    ],
)
def test_wrong_argument_is_one_sentence_with_a_remedy(
    call: Callable[[], object], message: str
) -> None:
    with pytest.raises(UsageError, match=f"^{message}") as caught:
        call()
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("words", "named", "message"),
    [
        pytest.param((3,), {}, "`bundle` is int 3\n  it must be the path of a bundle", id="path"),
        pytest.param(
            ("dist",), {"threads": 0}, "`threads` is int 0\n  it must be an integer", id="threads"
        ),
        pytest.param(("dist",), {}, "there is no folder 'dist'\n  check the path", id="folder"),
    ],
)
def test_wrong_argument_of_load_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Any, named: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EdgetlUsageError, match=f"^{message}"):
        edgetl.load(*words, **named)
