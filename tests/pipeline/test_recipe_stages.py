"""A recipe loads the built-in stages, and of installed packages those that it uses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from edgetl.config.load import stage_names
from edgetl.errors import ConfigError, PluginError
from edgetl.pipeline.job import load_job, recipe_of, recipe_stages
from edgetl.pipeline.planner import plan_round
from edgetl.stages import STAGES
from edgetl.store.store import Store

_RECIPE = """\
name: parts
task: classification
data: {path: images}
teacher: {family: mobilenet_v2}
"""
_STAGE = """\
from edgetl.config.table import Table
from edgetl.facts import NoFacts
from edgetl.stages import Stage

class Options(Table):
    times: int = 1

STAGE = Stage(
    name="tally", version=1, needs=(), makes="tally", options=Options, plan=lambda job, made: [],
    tools=lambda settings: (), facts=NoFacts, run=lambda *_: NoFacts(), summary=lambda facts: "",
)
"""


@pytest.fixture(params=[_STAGE, "1 / 0\n"], ids=["usable", "broken"])
def tally(install_package: Callable[..., Path], request: pytest.FixtureRequest) -> bool:
    """Install a package with the stage `tally`; return whether it is broken."""
    files = {"acme_stages.py": request.param}
    install_package("acme-stages", files, {"edgetl.stages": {"tally": "acme_stages"}})
    return bool(request.param != _STAGE)


def _write(folder: Path, text: str) -> str:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_package_that_a_recipe_does_not_use_is_not_imported(tmp_path: Path, *, tally: bool) -> None:
    del tally
    recipe = _write(tmp_path, _RECIPE)
    stages = recipe_stages(recipe, ())
    assert set(stages) == set(STAGES.built_in())
    assert recipe_of(recipe, (), stages).recipe.name == "parts"
    assert "acme_stages" not in sys.modules


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        pytest.param("tally: {times: 2}\n", (), id="table"),
        pytest.param("", ("tally.times=2",), id="override"),
        pytest.param(
            "student: {family: mobilenet_v2, refine: [{tally: {times: 2}}]}\n", (), id="refine"
        ),
    ],
)
def test_stage_that_a_recipe_uses_is_loaded_or_its_package_named(
    tmp_path: Path, text: str, overrides: tuple[str, ...], *, tally: bool
) -> None:
    recipe = _write(tmp_path, _RECIPE + text)
    if not tally:
        assert "tally" in recipe_stages(recipe, overrides)
        return
    with pytest.raises(
        PluginError, match=r"stage 'tally' of package 'acme-stages 0\.3' cannot be imported"
    ):
        recipe_stages(recipe, overrides)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "taly: {times: 2}\n", r"taly: unknown key; did you mean 'tally'\?", id="table"
        ),
        pytest.param(
            "student: {family: mobilenet_v2, refine: [{taly: {}}]}\n",
            r"unknown refining stage 'taly'; did you mean 'tally'\?",
            id="refine",
        ),
    ],
)
def test_name_like_that_of_an_installed_stage_gets_a_hint(
    tmp_path: Path, text: str, message: str, *, tally: bool
) -> None:
    del tally
    recipe = _write(tmp_path, _RECIPE + text)
    with pytest.raises(ConfigError, match=message):
        recipe_of(recipe, (), recipe_stages(recipe, ()))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("teacher: {refine: [{adapt: }, {prune: {}}]}\n", "adapt prune", id="entries"),
        pytest.param("teacher: {refine: adapt}\n", "", id="no list"),
        pytest.param("teacher: {refine: [adapt]}\n", "", id="no tables"),
        pytest.param("teacher: \n", "", id="empty table"),
    ],
)
def test_names_of_stages_are_read_from_whatever_is_written(
    tmp_path: Path, text: str, names: str
) -> None:
    assert stage_names(_write(tmp_path, text), ()) == {"teacher", *names.split()}


_ROOT = """\
from edgetl.config.recipe import InputTable, ModelTable
from edgetl.config.table import Table
from edgetl.facts.training import ModelFacts
from edgetl.stages import Node, Root, Stage
from edgetl.stages.view import Settings

class Options(ModelTable):
    size: int

def plan(job, made):
    inputs = {"dataset": made["view"][0]}
    return [Node("borrow", "borrow", Table(), inputs, key="borrow")]

STAGE = Stage(
    name="borrow", version=1, needs=("view",), makes="borrowed", options=Options, plan=plan,
    root=Root("borrow", lambda job: InputTable(size=job.tables["borrow"].size)),
    tools=lambda settings: (), facts=ModelFacts, run=lambda *_: None, summary=lambda facts: "",
)
"""


def test_package_adds_a_root_of_model_chains_with_its_own_table(
    install_package: Callable[..., Path], tmp_path: Path
) -> None:
    files = {"acme_stages.py": _ROOT}
    install_package("acme-stages", files, {"edgetl.stages": {"borrow": "acme_stages"}})
    text = _RECIPE.replace("{path: images}", "{synthetic: {images: 240}}").replace(
        "teacher: {family: mobilenet_v2}", "borrow: {size: 48, refine: [{adapt: }]}"
    )
    (tmp_path / "there").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "there" / "a.png")
    recipe = _write(tmp_path, text + "unlabelled: {path: there}\ncalibration: random-128\n")
    stages = recipe_stages(recipe, ())
    job = load_job(recipe, (), Store(tmp_path / "store"), stages)
    nodes = {node.label: node for node in plan_round(job, stages, lambda _: None).nodes}
    assert nodes["view"].settings.model_dump()["input"]["size"] == 48
    assert nodes["adapt borrow"].inputs["model"] is nodes["borrow"]
    assert nodes["export onnx"].inputs["model"] is nodes["adapt borrow"]
    assert nodes["package host"].inputs["borrow 0"] is nodes["borrow"]
    with pytest.raises(ConfigError, match="borrow: takes the place of `teacher`"):
        recipe_of(recipe, ("teacher={family: mobilenet_v2}",), stages)
