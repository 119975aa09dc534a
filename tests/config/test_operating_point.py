"""What a recipe may state about its operating point, and what each class gets of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from edgetl.config.check import check_table
from edgetl.config.operating_point import Goal, OperatingPointTable
from edgetl.config.yaml_file import Document


def _goals(**stated: object) -> Mapping[str, Goal | None]:
    table = OperatingPointTable.model_validate(stated)
    return {label: table.goal(label) for label in ("crack", "dent")}


@pytest.mark.parametrize(
    ("stated", "crack", "dent"),
    [
        pytest.param({}, None, None, id="nothing"),
        pytest.param(
            {"precision": 0.9}, Goal("precision", 0.9), Goal("precision", 0.9), id="every class"
        ),
        pytest.param({"recall": {"crack": 0.9}}, Goal("recall", 0.9), None, id="one class"),
        pytest.param(
            {"precision": 0.9, "recall": {"crack": 0.8}},
            Goal("recall", 0.8),
            Goal("precision", 0.9),
            id="every other class",
        ),
        pytest.param(
            {"precision": {"dent": 1}, "recall": 0.8},
            Goal("recall", 0.8),
            Goal("precision", 1.0),
            id="every other class the other way round",
        ),
        pytest.param(
            {"precision": {"dent": 0.7}, "recall": {"crack": 0.8}},
            Goal("recall", 0.8),
            Goal("precision", 0.7),
            id="each its own",
        ),
    ],
)
def test_class_gets_the_goal_that_names_it_or_that_of_all(
    stated: dict[str, object], crack: Goal | None, dent: Goal | None
) -> None:
    assert _goals(**stated) == {"crack": crack, "dent": dent}
    assert OperatingPointTable.model_validate(stated).is_set is bool(stated)


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        pytest.param(
            {"precision": 0.9, "recall": 0.8},
            "operating_point: states both precision and recall of every class; one threshold can "
            "be chosen for one of them: give numbers by class, or remove one",
            id="both of all",
        ),
        pytest.param(
            {"precision": {"dent": 0.9, "crack": 0.9}, "recall": {"crack": 0.8}},
            "operating_point: states both precision and recall of 'crack'; one threshold can be "
            "chosen for one of them: remove one",
            id="both of one",
        ),
        pytest.param(
            {"precision": 1.2},
            "operating_point.precision: is 1.2; must be less than or equal to 1 or a table of "
            "`key: value` lines",
            id="above one",
        ),
        pytest.param(
            {"precision": {"crack": 0}},
            "operating_point.precision.crack: is 0; must be greater than 0",
            id="zero of a class",
        ),
        pytest.param(
            {"recall": "much"},
            "operating_point.recall: is 'much'; must be a number or a table of `key: value` lines",
            id="no number",
        ),
        pytest.param(
            {"accuracy": 0.9},
            "operating_point.accuracy: unknown key (allowed: precision, recall)",
            id="another figure",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(stated: dict[str, object], problem: str) -> None:
    document = Document("recipe.yaml", {"operating_point": stated}, {})
    table, problems = check_table(OperatingPointTable, document, stated, above=("operating_point",))
    assert table is None
    assert [f"{each.where}: {each.what}" for each in problems] == [problem]


def test_class_that_is_not_there_is_named_with_what_may_be_meant() -> None:
    table = OperatingPointTable(precision={"crak": 0.9}, recall={"hole": 0.9, "dent": 0.9})
    assert list(table.unknown_classes(("crack", "dent"))) == [
        ("precision.crak", "the data have no class 'crak'; did you mean 'crack'?"),
        ("recall.hole", "the data have no class 'hole'; known: crack, dent"),
    ]
