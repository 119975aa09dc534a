"""The table that says which boxes of a detector are answers."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from edgetl.cli import edgetl
from edgetl.config.load import load_recipe
from edgetl.config.recipe import SuppressionTable
from edgetl.errors import ConfigError

_RECIPE = """\
name: parts
task: detection
data: {path: photos}
teacher: {family: yolox_nano}
"""


def _suppression(folder: Path, table: str) -> SuppressionTable | None:
    path = folder / "recipe.yaml"
    path.write_text(f"{_RECIPE}suppression: {table}\n", encoding="utf-8")
    return load_recipe(str(path), (), {}).recipe.suppression


def test_what_is_not_said_is_as_usual(tmp_path: Path) -> None:
    found = _suppression(tmp_path, "{mode: class-agnostic, limit: 300}")

    assert found == SuppressionTable(mode="class-agnostic", iou=0.65, score=None, limit=300)
    assert _suppression(tmp_path, "{score: null}") == SuppressionTable()
    assert _suppression(tmp_path, "null") is None


@pytest.mark.parametrize(
    ("table", "where", "what"),
    [
        (
            "{mode: soft}",
            "suppression.mode",
            "is 'soft'; must be 'class-aware', 'per-class' or 'class-agnostic'",
        ),
        ("{iou: 65}", "suppression.iou", "is 65; must be less than or equal to 1"),
        ("{score: -1}", "suppression.score", "is -1; must be greater than or equal to 0"),
        ("{limit: 0}", "suppression.limit", "is 0; must be greater than or equal to 1"),
        ("{limit: 5000}", "suppression.limit", "is 5000; must be less than or equal to 3000"),
        ("{limits: 9}", "suppression.limits", "unknown key; did you mean 'limit'? "),
        ("class-agnostic", "suppression", "is 'class-agnostic'; must be a table of"),
    ],
)
def test_suppression_that_makes_no_sense_is_refused(
    tmp_path: Path, table: str, where: str, what: str
) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.yaml:5: suppression") as caught:
        _suppression(tmp_path, table)

    [problem] = caught.value.problems
    assert problem.where == where
    assert problem.what.startswith(what)


def test_schema_of_a_recipe_knows_the_table() -> None:
    schema = json.loads(CliRunner().invoke(edgetl, ["schema"]).output)
    recipe = yaml.safe_load(_RECIPE)

    jsonschema.validate(recipe | {"suppression": {"mode": "per-class", "score": None}}, schema)
    with pytest.raises(jsonschema.ValidationError, match="soft"):
        jsonschema.validate(recipe | {"suppression": {"mode": "soft"}}, schema)
