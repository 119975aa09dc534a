"""A table has the keys of its stage, of the task and of the method that it names, and no others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import Field, model_validator

from edgetl.config.load import load_recipe
from edgetl.config.method_keys import MethodKeys, every_table
from edgetl.config.table import Table
from edgetl.errors import ConfigError

_RECIPE = """\
name: parts
task: {task}
data: {{path: images}}
teacher: {{family: mobilenet_v2, weights: none}}
tune:
  {key}
  epochs: 3
"""


class _Tune(Table):
    """Keys of the stage."""

    way: str
    """Which method."""
    epochs: int = Field(default=12, ge=1)


class _Labels(Table):
    smoothing: float = 0.1


class _Boxes(Table):
    mosaic: float = 0.5


class _Plain(Table):
    pass


class _Slow(Table):
    probe: int = Field(default=5, ge=1)

    @model_validator(mode="after")
    def _odd(self) -> _Slow:
        if self.probe % 2 == 0:
            raise ValueError(f"probe is {self.probe}; must be odd")
        return self


class _Maps(Table):
    maps: float = 1.0


@dataclass(frozen=True)
class _Method:
    tasks: tuple[str, ...] | None
    options: type[Table]


_TASKS = ("classification", "detection")
_METHODS = {
    "plain": _Method(None, _Plain),
    "slow-start": _Method(("classification",), _Slow),
    "slower-start": _Method(("classification",), _Slow),
    "with-maps": _Method(("detection",), _Maps),
}
_KEYS = MethodKeys(
    key="way",
    noun="way",
    names=lambda: tuple(_METHODS),
    load=_METHODS.__getitem__,
    tasks=lambda: _TASKS,
    task_table=lambda task: _Labels if task == "classification" else _Boxes,
    default=lambda task: "slow-start" if task == "classification" else "plain",
)


def _tune(
    tmp_path: Path, key: str = "", task: str = "classification", keys: MethodKeys = _KEYS
) -> Table:
    path = tmp_path / "recipe.yaml"
    path.write_text(_RECIPE.format(task=task, key=key), encoding="utf-8")
    return load_recipe(str(path), (), {"tune": _Tune}, tasks=_TASKS, methods={"tune": keys}).tables[
        "tune"
    ]


def _problems(tmp_path: Path, key: str, task: str = "classification") -> list[tuple[str, int]]:
    with pytest.raises(ConfigError, match=r"recipe\.yaml") as caught:
        _tune(tmp_path, key, task)
    return [
        (f"{problem.where}: {problem.what}", problem.line or 0) for problem in caught.value.problems
    ]


@pytest.mark.parametrize(
    ("key", "task", "expected"),
    [
        ("", "classification", {"way": "slow-start", "probe": 5, "smoothing": 0.1}),
        ("way:", "classification", {"way": "slow-start", "probe": 5, "smoothing": 0.1}),
        ("probe: 7", "classification", {"way": "slow-start", "probe": 7, "smoothing": 0.1}),
        ("way: plain", "classification", {"way": "plain", "smoothing": 0.1}),
        ("", "detection", {"way": "plain", "mosaic": 0.5}),
        ("way: with-maps", "detection", {"way": "with-maps", "maps": 1.0, "mosaic": 0.5}),
    ],
    ids=["default", "no-value", "own-key", "named", "other-task", "other-method"],
)
def test_table_has_the_keys_of_stage_task_and_method(
    tmp_path: Path, key: str, task: str, expected: dict[str, object]
) -> None:
    table = _tune(tmp_path, key, task)

    assert isinstance(table, _Tune)
    assert table.model_dump() == {"epochs": 3, **expected}


def test_key_of_another_method_is_refused_with_its_line_its_methods_and_what_is_allowed(
    tmp_path: Path,
) -> None:
    assert _problems(tmp_path, "way: plain\n  probe: 3") == [
        (
            (
                "tune.probe: unknown key; 'probe' belongs to `way: slow-start` or "
                "`way: slower-start` (allowed: smoothing, way, epochs)"
            ),
            7,
        )
    ]


def test_key_of_another_task_is_refused(tmp_path: Path) -> None:
    assert _problems(tmp_path, "mosaic: 0.3") == [
        (
            (
                "tune.mosaic: unknown key; 'mosaic' belongs to `task: detection` "
                "(allowed: smoothing, probe, way, epochs)"
            ),
            6,
        )
    ]


def test_unknown_method_names_the_closest_and_all_of_the_task(tmp_path: Path) -> None:
    assert _problems(tmp_path, "way: slow-stat") == [
        (
            (
                "tune.way: unknown way 'slow-stat'; did you mean 'slow-start'? known for "
                "`task: classification`: plain, slow-start, slower-start"
            ),
            6,
        )
    ]
    [(problem, _)] = _problems(tmp_path, "way: 3")
    assert problem == (
        "tune.way: unknown way 3; known for `task: classification`: plain, slow-start, slower-start"
    )


def test_method_of_another_task_is_refused(tmp_path: Path) -> None:
    assert _problems(tmp_path, "way: with-maps") == [
        (
            (
                "tune.way: way 'with-maps' is for `task: detection`; known for "
                "`task: classification`: plain, slow-start, slower-start"
            ),
            6,
        )
    ]


def test_other_keys_are_still_checked_where_the_method_is_unknown(tmp_path: Path) -> None:
    problems = _problems(tmp_path, "way: fast\n  probe: 0\n  maps: 2\n  colour: red")

    assert [(text.split(";")[0].split(" (")[0], line) for text, line in problems] == [
        ("tune.way: unknown way 'fast'", 6),
        ("tune.probe: is 0", 7),
        ("tune.colour: unknown key", 9),
    ]


def test_keys_are_not_blamed_on_a_task_that_does_not_exist(tmp_path: Path) -> None:
    [(problem, line)] = _problems(tmp_path, "mosaic: 0.3\n  probe: 3", "segmentation")

    assert problem.startswith("task: is 'segmentation'; must be")
    assert line == 2


def test_rules_of_a_method_and_its_ranges_hold_in_the_table(tmp_path: Path) -> None:
    assert _problems(tmp_path, "probe: 4") == [("tune: probe is 4; must be odd", 5)]
    assert _problems(tmp_path, "probe: 0")[0][0].startswith("tune.probe: is 0; must be greater")


def test_no_other_method_is_loaded_for_a_table_that_is_right(tmp_path: Path) -> None:
    loaded: list[str] = []

    def load(name: str) -> _Method:
        loaded.append(name)
        return _METHODS[name]

    _tune(tmp_path, "way: plain", keys=replace(_KEYS, load=load))

    assert set(loaded) == {"plain"}


def test_schema_has_every_method_of_every_task_and_asks_for_the_key_but_of_the_default() -> None:
    tables = {table.__name__: table.model_json_schema() for table in every_table(_Tune, _KEYS)}

    assert {name: schema.get("required", []) for name, schema in tables.items()} == {
        "_TunePlainClassification": ["way"],
        "_TuneSlowStartClassification": [],
        "_TuneSlowerStartClassification": ["way"],
        "_TunePlainDetection": [],
        "_TuneWithMapsDetection": ["way"],
    }
    way = tables["_TuneWithMapsDetection"]["properties"]["way"]
    assert (way["const"], way["description"]) == ("with-maps", "Which method.")
