"""All problems of a recipe and of the files that it names come in one message."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.errors import ConfigError, DataError
from edgetl.pipeline.job import load_job, roots_of
from edgetl.pipeline.planner import all_stages
from edgetl.store.store import Store

_RECIPE = """\
name: tiny
task: classification
data: {synthetic: {images: 60}}
teacher: {family: mobilenet_v9, weights: none}
finetune: {strategy: full}
calibration: few
targets: [odd, host]
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a recipe in the working directory that names an unknown family."""
    monkeypatch.chdir(tmp_path)
    for folder in ("targets", "calibration"):
        (tmp_path / folder).mkdir()
    (tmp_path / "recipe.yaml").write_text(_RECIPE, encoding="utf-8")
    few = "name: few\nsplit: train\ncount: 8\nsampling: random\n"
    (tmp_path / "calibration/few.yaml").write_text(few, encoding="utf-8")
    (tmp_path / "targets/odd.yaml").write_text("name: odd\nthreads: none\n", encoding="utf-8")
    return "recipe.yaml"


def _message(recipe: str, tmp_path: Path) -> ConfigError:
    with pytest.raises(ConfigError, match="odd") as caught:
        load_job(recipe, (), Store(tmp_path / "store"), all_stages())
    return caught.value


def test_broken_target_does_not_hide_the_problems_of_stages(recipe: str, tmp_path: Path) -> None:
    error = _message(recipe, tmp_path)
    assert "recipe.yaml:4: teacher.family: unknown model family 'mobilenet_v9'" in error.message
    assert "targets/odd.yaml:2: threads: is 'none'; must be a whole number" in error.message
    assert "edit recipe.yaml, or the file that it names" in error.remedy
    assert "edit targets/odd.yaml and run again" in error.remedy
    assert error.exit_code == 3


def test_files_beside_a_recipe_are_found_from_elsewhere(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="mobilenet_v9") as caught:
        load_job(f"../{recipe}", (), Store(tmp_path / "store"), all_stages())
    assert f"{tmp_path}/targets/odd.yaml:2: threads: is 'none'" in caught.value.message
    assert "no such file" not in caught.value.message


def test_option_that_a_stage_refuses_is_named_in_the_place_of_the_file(
    recipe: str, tmp_path: Path
) -> None:
    good = _RECIPE.replace("mobilenet_v9", "mobilenet_v2").replace("odd, ", "")
    (tmp_path / "recipe.yaml").write_text(good, encoding="utf-8")
    option = "teacher.family=mobilenet_v4"
    with pytest.raises(ConfigError, match=r"^--set ") as caught:
        load_job(recipe, [option], Store(tmp_path / "store"), all_stages())
    assert caught.value.message.startswith(
        f"--set {option}: teacher.family: unknown model family 'mobilenet_v4'"
    )
    assert caught.value.remedy == f"correct --set {option} and run again"


def test_target_that_an_option_names_twice_is_its_fault(recipe: str, tmp_path: Path) -> None:
    option = "targets=[host, host]"
    with pytest.raises(ConfigError, match=r"^--set ") as caught:
        load_job(recipe, [option], Store(tmp_path / "store"), all_stages())
    assert caught.value.message == f"--set {option}: targets: names host more than once"
    assert caught.value.remedy == f"correct --set {option} and run again"


def test_broken_calibration_and_target_come_together(recipe: str, tmp_path: Path) -> None:
    (tmp_path / "calibration/few.yaml").write_text("name: few\n", encoding="utf-8")
    error = _message(recipe, tmp_path)
    assert "calibration/few.yaml: split: is missing" in error.message
    assert "targets/odd.yaml:2: threads" in error.message


def test_problems_of_a_saved_model_come_with_their_lines(recipe: str, tmp_path: Path) -> None:
    text = _RECIPE.replace("teacher: {family: mobilenet_v9, weights: none}", "model: {path: away}")
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    error = _message(recipe, tmp_path)
    assert f"recipe.yaml:4: model.path: there is no folder '{tmp_path / 'away'}'" in error.message
    assert "recipe.yaml:5: finetune: is only read where a `teacher` is trained" in error.message
    assert "edit recipe.yaml, or the file that it names, and run again" in error.remedy
    assert error.exit_code == 3


def test_root_of_every_model_is_that_of_the_stage_that_makes_it() -> None:
    stages = all_stages()
    roots = roots_of(["teacher", "student"], stages.values())
    assert list(roots.items()) == [
        ("teacher", stages["finetune"].root), ("student", stages["distill"].root)
    ]  # fmt: skip
    with pytest.raises(KeyError, match="acme"):
        roots_of(["acme"], stages.values())


def test_weights_of_teacher_and_student_are_opened_before_anything_runs(
    recipe: str, tmp_path: Path
) -> None:
    (tmp_path / "t.pth").write_text("<!DOCTYPE html>")
    (tmp_path / "s.pth").write_text("no weights")
    changes = (
        "targets=[host]",
        "teacher={family: mobilenet_v2, width: 0.35, weights: t.pth}",
        "student={family: mobilenet_v2, width: 0.35, weights: s.pth}",
    )
    with pytest.raises(ConfigError, match="weights") as caught:
        load_job(recipe, changes, Store(tmp_path / "store"), all_stages())
    teacher, student = caught.value.problems
    assert (teacher.where, student.where) == ("teacher.weights", "student.weights")
    assert "is a web page, not the file itself" in teacher.what
    assert "cannot be read as weights: it is text, which begins with 'no weights'" in student.what


def test_broken_calibration_does_not_hide_the_problems_of_stages(
    recipe: str, tmp_path: Path
) -> None:
    (tmp_path / "calibration/few.yaml").write_text("name: few\n", encoding="utf-8")
    error = _message(recipe, tmp_path)
    assert "recipe.yaml:4: teacher.family: unknown model family 'mobilenet_v9'" in error.message
    assert "calibration/few.yaml: split: is missing" in error.message
    assert "undemanding" not in error.message


def test_data_that_cannot_be_listed_do_not_hide_other_problems(recipe: str, tmp_path: Path) -> None:
    text = _RECIPE.replace("{synthetic: {images: 60}}", "{path: away}")
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    error = _message(recipe, tmp_path)
    assert "teacher.family: unknown model family" in error.message
    assert "targets/odd.yaml:2: threads" in error.message
    assert error.message.count(f"data path '{tmp_path / 'away'}' does not exist") == 1
    assert "set `data: {path: ...}` in the recipe" in error.remedy


def test_data_that_cannot_be_listed_are_an_error_of_their_own(recipe: str, tmp_path: Path) -> None:
    text = _RECIPE.replace("{synthetic: {images: 60}}", "{path: away}")
    text = text.replace("mobilenet_v9", "mobilenet_v2").replace("odd, ", "")
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="does not exist"):
        load_job(recipe, (), Store(tmp_path / "store"), all_stages())


def test_broken_recipe_does_not_hide_the_problems_of_the_files_it_names(
    recipe: str, tmp_path: Path
) -> None:
    text = _RECIPE.replace("strategy: full", "epocs: 3").replace("calibration: few", "seed: x")
    (tmp_path / "recipe.yaml").write_text(f"{text}calibration: fw\n", encoding="utf-8")
    error = _message(recipe, tmp_path)
    assert "recipe.yaml:5: finetune.epocs: unknown key; did you mean 'epochs'?" in error.message
    assert "recipe.yaml:6: seed: is 'x'; must be a whole number" in error.message
    assert "targets/odd.yaml:2: threads: is 'none'" in error.message
    assert "calibration/fw.yaml: no such file; did you mean 'few'?" in error.message


@pytest.mark.parametrize("targets", ["7", "[1, {a: b}]", "null"])
def test_recipe_whose_targets_are_no_names_is_its_own_problem(
    recipe: str, tmp_path: Path, targets: str
) -> None:
    text = _RECIPE.replace("[odd, host]", targets)
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="targets") as caught:
        load_job(recipe, (), Store(tmp_path / "store"), all_stages())
    assert all(problem.source in {"", recipe} for problem in caught.value.problems)
