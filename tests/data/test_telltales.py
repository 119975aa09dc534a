"""Classes that something besides their content tells apart are remarked."""

from __future__ import annotations

import pytest

from edgetl.data.telltales import telltales


def notes(*groups: tuple[str, str, int]) -> list[str]:
    """Return the notes on images by class, value of the property and number."""
    labels: dict[str, str] = {}
    values: dict[str, str] = {}
    for label, value, count in groups:
        for _ in range(count):
            name = str(len(labels))
            labels[name], values[name] = label, value
    return [*telltales(labels, {"file format": values})]


def test_property_of_a_class_alone_is_named_with_its_danger() -> None:
    (note,) = notes(("cat", "PNG", 20), ("dog", "JPEG", 19), ("dog", "PNG", 1))
    assert note == (
        "the file format alone tells classes from the others: 'cat' by PNG, 'dog' by JPEG; a "
        "classifier may learn it instead of what the images show, so take or save the images of "
        "all classes in the same way"
    )


def test_one_class_of_several_is_named() -> None:
    (note,) = notes(("a", "JPEG", 9), ("b", "JPEG", 9), ("c", "PNG", 9))
    assert "from the others: 'c' by PNG; a classifier" in note


@pytest.mark.parametrize(
    "groups",
    [
        [("cat", "PNG", 20), ("dog", "PNG", 20)],
        [("cat", "PNG", 4), ("dog", "JPEG", 20)],
        [("cat", "PNG", 18), ("cat", "JPEG", 2), ("dog", "JPEG", 18), ("dog", "PNG", 2)],
        [("cat", "PNG", 20)],
        *[[("cat", f"{k} x 9", 1) for k in range(9)] + [("dog", f"{k} x 8", 1) for k in range(9)]],
    ],
    ids=["equal", "few", "mixed", "one class", "all different"],
)
def test_other_properties_are_no_telltale(groups: list[tuple[str, str, int]]) -> None:
    assert notes(*groups) == []
