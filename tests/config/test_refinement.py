"""The `refine` list of a model: one known stage per entry, its options checked with lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.config.load import LoadedRecipe, load_recipe
from edgetl.config.table import Table
from edgetl.errors import ConfigError

_RECIPE = """\
name: parts
task: classification
data: {path: images}
teacher:
  family: mobilenet_v2
  refine:
"""


class Adapt(Table):
    method: str = "bn"
    strength: int = 1


class Prune(Table):
    share: float


def _load(folder: Path, entries: str) -> LoadedRecipe:
    path = folder / "recipe.yaml"
    path.write_text(_RECIPE + entries, encoding="utf-8")
    return load_recipe(
        str(path), (), {}, {"adapt": Adapt, "prune": Prune}, tasks=["classification"]
    )


def test_entries_keep_their_order_and_get_defaults(tmp_path: Path) -> None:
    loaded = _load(tmp_path, "    - prune: {share: 0.5}\n    - adapt:\n")
    first, second = loaded.refinements["teacher"]
    assert (first.stage, first.options) == ("prune", Prune(share=0.5))
    assert (second.stage, second.options) == ("adapt", Adapt())
    assert second.where == "teacher.refine.1.adapt"


def test_model_without_a_list_is_not_refined(tmp_path: Path) -> None:
    assert _load(tmp_path, "    []\n").refinements == {"teacher": ()}


@pytest.mark.parametrize(
    ("entries", "where", "what", "line"),
    [
        pytest.param(
            "    - adpat: {}\n",
            "teacher.refine.0",
            "unknown refining stage 'adpat'; did you mean 'adapt'? known: adapt, prune",
            7,
            id="unknown",
        ),
        pytest.param(
            "    - adapt: {}\n      prune: {share: 1}\n",
            "teacher.refine.0",
            "must name one refining stage, not 2: write one list entry for each",
            7,
            id="two in one",
        ),
        pytest.param(
            "    - adapt: {}\n    - adapt: {strenght: 2}\n",
            "teacher.refine.1.adapt.strenght",
            "unknown key; did you mean 'strength'? (allowed: method, strength)",
            8,
            id="unknown option",
        ),
        pytest.param(
            "    - prune: {}\n", "teacher.refine.0.prune.share", "is missing", 7, id="missing"
        ),
        pytest.param(
            "    - adapt\n",
            "teacher.refine.0",
            "is 'adapt'; must be a table of `key: value` lines",
            7,
            id="no table",
        ),
    ],
)
def test_wrong_entry_is_named_with_its_line(
    tmp_path: Path, entries: str, where: str, what: str, line: int
) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.yaml") as caught:
        _load(tmp_path, entries)
    [problem] = caught.value.problems
    assert (problem.where, problem.what, problem.line) == (where, what, line)
