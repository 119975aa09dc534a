"""How limits are judged and worded."""

from __future__ import annotations

import pytest

from edgetl.config.limits import LIMITS, Figures, Limits


@pytest.mark.parametrize(
    ("name", "value", "text", "excess"),
    [
        pytest.param("top1", 0.75, "0.75 < 0.875", 0.125, id="accuracy below"),
        pytest.param("top1", 0.875, "0.875 >= 0.875", 0.0, id="accuracy equal"),
        pytest.param("top1", 1.0, "1 >= 0.875", -0.125, id="accuracy above"),
        pytest.param("p95_ms", 0.75, "0.75 <= 0.875 ms", -0.125, id="time below"),
        pytest.param("p95_ms", 0.875, "0.875 <= 0.875 ms", 0.0, id="time equal"),
        pytest.param("p95_ms", 1.0, "1 > 0.875 ms", 0.125, id="time above"),
    ],
)
def test_figure_is_compared_with_its_bound(
    name: str, value: float, text: str, excess: float
) -> None:
    limit = LIMITS[name]
    assert limit.compared(value, 0.875) == text
    assert limit.excess(value, 0.875) == excess


def test_each_limit_judges_its_own_figure_in_its_unit() -> None:
    figures = Figures(
        title="mAP",
        accuracies={"top1": 0.9, "map": 0.5, "map50": None},
        at_chance=None,
        no_predictions=False,
        drop_pp=1.5,
        size_bytes=3 << 20,
        p95_ms=7.0,
        memory_bytes=64 << 20,
        interfered=False,
        end_to_end_p95_ms=9.0,
    )
    assert {name: (limit.figure(figures), limit.unit) for name, limit in LIMITS.items()} == {
        "top1": (0.9, ""),
        "map": (0.5, ""),
        "map50": (None, ""),
        "drop_pp": (1.5, "pp"),
        "p95_ms": (7.0, "ms"),
        "end_to_end_p95_ms": (9.0, "ms"),
        "size_mib": (3.0, "MiB"),
        "memory_mib": (64.0, "MiB"),
    }


def test_limits_of_accuracy_share_a_case_and_are_known_without_a_device() -> None:
    limits = {name: LIMITS[name] for name in ("top1", "map", "map50")}
    assert [limit.title for limit in limits.values()] == ["top-1", "mAP", "mAP50"]
    assert {limit.case for limit in limits.values()} == {"accuracy"}
    assert {limit.required(0.5) for limit in limits.values()} == {"at least 0.5"}
    assert not any(limit.source.on_device for limit in limits.values())
    assert [name for name, limit in LIMITS.items() if limit.source.on_device] == [
        "p95_ms",
        "end_to_end_p95_ms",
        "memory_mib",
    ]


def test_limits_that_are_set_are_told_in_words() -> None:
    limits = Limits(top1=0.9, p95_ms=3, size_mib=1.5)
    assert limits.in_words() == {
        "better_than_guessing": "better than guessing",
        "top1": "top-1 at least 0.9",
        "drop_pp": "drop at most 1 pp",
        "p95_ms": "p95 at most 3 ms",
        "size_mib": "size at most 1.5 MiB",
    }
    assert Limits(better_than_guessing=False, drop_pp=None).in_words() == {}


def test_limits_of_classes_come_with_their_names() -> None:
    limits = Limits(drop_pp=None, p95_ms=3, class_recall={"crack": 0.98}, class_precision={"a": 1})
    assert [(bound.name, bound.value) for bound in limits.bounds()] == [
        ("p95_ms", 3),
        ("class_recall.crack", 0.98),
        ("class_precision.a", 1),
    ]
    assert limits.in_words() == {
        "better_than_guessing": "better than guessing",
        "p95_ms": "p95 at most 3 ms",
        "class_recall.crack": "recall of crack at least 0.98",
        "class_precision.a": "precision of a at least 1",
    }
    assert [name for name in ("class_recall", "drop_pp") if limits.is_set(name)] == ["class_recall"]
    assert not Limits().is_set("class_precision")
    for none in (Limits(class_recall={}, drop_pp=None), Limits(class_recall=None, drop_pp=None)):
        assert not none.is_set("class_recall")
        assert list(none.bounds()) == []
        assert list(none.unknown_classes(("a",))) == []


def test_limits_of_classes_that_are_not_there_are_told() -> None:
    limits = Limits(class_recall={"crack": 0.5}, class_precision={"crak": 0.5, "z": 0.5})
    many = ["crack", *(f"c{number}" for number in range(9))]
    assert list(limits.unknown_classes(many)) == [
        "limits.class_precision: the model has no class 'crak'; did you mean 'crack'?",
        (
            "limits.class_precision: the model has no class 'z'; known: crack, c0, c1, c2, c3, c4, "
            "c5, c6 and 2 more"
        ),
    ]
