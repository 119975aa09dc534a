"""Class names are kept exactly as in data.yaml; a file that cannot be read is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl.config.recipe import Drop
from edgetl.data.container import open_container
from edgetl.data.sources import Listing, guess_label_kind, list_samples
from edgetl.errors import DataError
from edgetl.tasks import TASKS
from edgetl.types import LabelKind, Split

Tree = dict[str, bytes | None]
Write = Callable[[Tree], Path]

BOX = ".5 .5 .1 .1\n"
IMAGE: Tree = {"images/a.jpg": b"", "labels/a.txt": f"0 {BOX}".encode()}


def listing(root: Path) -> Listing:
    return list_samples(open_container(root), "images", TASKS.load("detection").data)


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        pytest.param(
            b"[1.10, 010, yes, 2024-01-01, 1_000, 0x1F, null, 1e3, 12:30:45]",
            ("1.10", "010", "yes", "2024-01-01", "1_000", "0x1F", "null", "1e3", "12:30:45"),
            id="list",
        ),
        pytest.param(b"\n  0: no\n  1: On\n  2: ~\n", ("no", "On", "~"), id="table"),
        pytest.param(b"{'0': off, 1: \"7.0\"}", ("off", "7.0"), id="quoted keys"),
    ],
)
def test_names_are_not_changed(tree: Write, names: bytes, classes: tuple[str, ...]) -> None:
    listed = listing(tree({**IMAGE, "data.yaml": b"names: " + names}))
    assert listed.classes == classes
    assert listed.samples[0].boxes[0].label == classes[0]


@pytest.mark.parametrize("nothing", [b"", b" ~", b" null", b" # optional"])
def test_split_keys_may_be_empty(tree: Write, nothing: bytes) -> None:
    text = b"names: [nut]\nnc: 1\npath: 2024\ntrain: images\nval:" + nothing + b"\n"
    listed = listing(tree({**IMAGE, "data.yaml": text}))
    assert [sample.split for sample in listed.samples] == [Split.TRAIN]


def test_folder_with_a_number_as_its_name_is_used(tree: Write) -> None:
    files: Tree = {"2024/images/a.jpg": b"", "2024/labels/a.txt": b""}
    listed = listing(tree({**files, "data.yaml": b"names: [nut]\ntrain: 2024\n"}))
    assert [sample.split for sample in listed.samples] == [Split.TRAIN]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"names: [Zahnr\xe4der]\n", r"not UTF-8 text \(byte 13\)"),
        (b"nc: 2\nnames: nut: 1\n", "line 2: mapping values are not allowed here"),
        (b"names: [a", r"line 1: expected ',' or ']', but got '<stream end>'"),
        (b"names: [a]\nnames: [b]\n", "line 2: 'names' is defined twice"),
        (b"names:\n  0: a\n  0: b\n", "line 3: '0' is defined twice"),
        (
            b"names: [a\x07]\n",
            "unacceptable character #x0007: special characters are not allowed in",
        ),
        (b"[" * 5_000, "nested too deeply"),
        (b"names: &a [*a]\n", "line 1: found unconstructable recursive node"),
        (b"? [a]\n: b\n", "line 1: found unhashable key"),
        (b"a" * 300_000, "too long to be a table of names"),
    ],
    ids=[
        "latin-1",
        "colon",
        "open",
        "two names",
        "two zeros",
        "bell",
        "deep",
        "itself",
        "list as key",
        "long",
    ],
)
def test_broken_data_yaml_is_refused_with_the_reason(tree: Write, text: bytes, reason: str) -> None:
    what = rf"but data\.yaml cannot be read: {reason}.*, so their classes have no names\n  fix "
    with pytest.raises(DataError, match=what) as caught:
        listing(tree({**IMAGE, "data.yaml": text}))
    assert caught.value.remedy == (
        "fix data.yaml and save it as UTF-8 text, for example `names: [nut, screw]`"
    )


def test_gap_in_a_list_of_names_is_refused(tree: Write) -> None:
    """Skipping it would shift all later names by one."""
    files: Tree = {**IMAGE, "classes.txt": b"nut\n\nscrew\n\n \n"}
    with pytest.raises(DataError, match=r"classes\.txt: two classes have the same name, or one ha"):
        listing(tree(files))
    assert listing(tree({**files, "classes.txt": b"nut\nscrew\n\n \n"})).classes == ("nut", "screw")


@pytest.mark.parametrize(
    ("names", "numbers", "fix"),
    [
        pytest.param(
            "[bracket gear nut screw]",
            [0, 1, 2, 3, 3],
            "fix `names` in data.yaml: it has 1 class, 'bracket gear nut screw', but the labels "
            "have numbers from 0 to 3; put commas between names",
            id="no commas",
        ),
        pytest.param(
            "[bracket, gear, nut, screw, pin]",
            [1, 2, 3, 4] * 20 + [5] * 3,
            "fix `names` in data.yaml: it has 5 classes, from 0 to 4, but the labels have numbers "
            "from 1 to 5",
            id="counted from 1",
        ),
    ],
)
def test_labels_that_do_not_fit_the_names_blame_the_names(
    tree: Write, names: str, numbers: list[int], fix: str
) -> None:
    lines = "".join(f"{number} {BOX}" for number in numbers).encode()
    files: Tree = {"images/a.jpg": b"", "labels/a.txt": lines}
    problems = listing(tree({**files, "data.yaml": f"names: {names}\n".encode()})).problems
    assert {(problem.fix, problem.drop, problem.image) for problem in problems} == {
        (fix, Drop.BAD_LABELS, "images/a.jpg")
    }


def test_labels_that_do_not_fit_a_list_of_names_blame_its_file(tree: Write) -> None:
    files: Tree = {"images/a.jpg": b"", "labels/a.txt": (f"0 {BOX}" + f"3 {BOX}" * 3).encode()}
    problems = listing(tree({**files, "classes.txt": b"gear nut screw\n"})).problems
    (fix,) = {problem.fix for problem in problems}
    assert fix == (
        "fix classes.txt: it has 1 class, 'gear nut screw', "
        "but the labels have numbers from 0 to 3; write one name per line"
    )


def test_single_line_with_an_unnamed_class_is_a_broken_line(tree: Write) -> None:
    lines = (f"0 {BOX}" * 10 + f"1 {BOX}").encode()
    files: Tree = {"images/a.jpg": b"", "labels/a.txt": lines, "data.yaml": b"names: [nut]"}
    (problem,) = listing(tree(files)).problems
    assert (problem.title, problem.fix) == ("broken label line", "")
    assert problem.example == "labels/a.txt:11: there is no class 1; only 0 is named"


@pytest.mark.parametrize("names", ["[cat, dog]", "{0: cat, 1: dog}"])
def test_data_yaml_beside_class_folders_with_its_names_is_not_about_boxes(
    tmp_path: Path, names: str
) -> None:
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            (tmp_path / split / label / "1.jpg").write_bytes(b"")
    (tmp_path / "data.yaml").write_text(f"train: train\nval: val\nnames: {names}\n")
    assert guess_label_kind(open_container(tmp_path)) is LabelKind.CLASSES
    (tmp_path / "data.yaml").write_text("train: train\nval: val\nnames: [cat, nut]\n")
    assert guess_label_kind(open_container(tmp_path)) is LabelKind.BOXES
