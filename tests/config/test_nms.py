"""The recipe's table for non-maximum suppression."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from edgetl.cli import edgetl
from edgetl.config.load import load_recipe
from edgetl.config.recipe import NmsTable
from edgetl.errors import ConfigError

_RECIPE = """\
name: parts
task: detection
data: {path: images}
teacher: {family: yolox_nano}
"""


def _nms(folder: Path, table: str) -> NmsTable | None:
    path = folder / "recipe.yaml"
    path.write_text(f"{_RECIPE}nms: {table}\n", encoding="utf-8")
    return load_recipe(str(path), (), {}, tasks=["detection"]).recipe.nms


def test_missing_keys_have_defaults(tmp_path: Path) -> None:
    table = _nms(tmp_path, "{mode: class-agnostic, max_detections: 300}")

    assert table == NmsTable(
        mode="class-agnostic", iou=0.65, score_threshold=None, max_detections=300
    )
    assert _nms(tmp_path, "{score_threshold: null}") == NmsTable()
    assert _nms(tmp_path, "null") is None


@pytest.mark.parametrize(
    ("table", "where", "what"),
    [
        (
            "{mode: soft}",
            "nms.mode",
            "is 'soft'; must be 'class-aware', 'per-class' or 'class-agnostic'",
        ),
        ("{iou: 65}", "nms.iou", "is 65; must be less than or equal to 1"),
        (
            "{score_threshold: -1}",
            "nms.score_threshold",
            "is -1; must be greater than or equal to 0",
        ),
        ("{max_detections: 0}", "nms.max_detections", "is 0; must be greater than or equal to 1"),
        (
            "{max_detections: 5000}",
            "nms.max_detections",
            "is 5000; must be less than or equal to 3000",
        ),
        ("{max_detection: 9}", "nms.max_detection", "unknown key; did you mean 'max_detections'? "),
        ("class-agnostic", "nms", "is 'class-agnostic'; must be a table of"),
    ],
)
def test_wrong_nms_table_is_refused(tmp_path: Path, table: str, where: str, what: str) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.yaml:5: nms") as caught:
        _nms(tmp_path, table)

    [problem] = caught.value.problems
    assert problem.where == where
    assert problem.what.startswith(what)


def test_json_schema_of_a_recipe_includes_the_table() -> None:
    schema = json.loads(CliRunner().invoke(edgetl, ["schema"]).output)
    recipe = yaml.safe_load(_RECIPE)

    jsonschema.validate(recipe | {"nms": {"mode": "per-class", "score_threshold": None}}, schema)
    with pytest.raises(jsonschema.ValidationError, match="soft"):
        jsonschema.validate(recipe | {"nms": {"mode": "soft"}}, schema)
