"""All problems of a file are reported in one message, each with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import Field

from edgetl.config.load import LoadedRecipe, load_calibration, load_recipe, load_target
from edgetl.config.recipe import ModelTable
from edgetl.config.table import Table
from edgetl.errors import ConfigError

_TASKS = ("classification", "detection")
_GOOD = """\
name: parts
task: classification
data: {path: images}
teacher: {family: mobilenet_v2, weights: none}
"""


class _Finetune(Table):
    epochs: int = Field(default=12, ge=1)


class _NoOptions(Table):
    pass


_TABLES: dict[str, type[Table]] = {"finetune": _Finetune, "index": _NoOptions}


def _load(tmp_path: Path, text: str, *overrides: str) -> LoadedRecipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(str(path), overrides, _TABLES, tasks=_TASKS)


def _problems(tmp_path: Path, text: str, *overrides: str) -> list[tuple[str, str, int | None]]:
    with pytest.raises(ConfigError, match=r"recipe\.yaml|^--set ") as caught:
        _load(tmp_path, text, *overrides)
    return [(problem.where, problem.what, problem.line) for problem in caught.value.problems]


def test_minimal_recipe_gets_defaults_and_its_own_folder(tmp_path: Path) -> None:
    loaded = _load(tmp_path, _GOOD)
    assert loaded.folder == tmp_path
    assert loaded.recipe.targets == ("host",)
    assert loaded.recipe.student is None
    assert loaded.tables["finetune"] == _Finetune(epochs=12)


def test_stage_table_and_override_are_read(tmp_path: Path) -> None:
    loaded = _load(tmp_path, _GOOD + "finetune: {epochs: 5}\n", "finetune.epochs=7", "seed=4")
    assert loaded.tables["finetune"] == _Finetune(epochs=7)
    assert loaded.recipe.seed == 4


def _refused(tmp_path: Path, text: str, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError, match=r": is | unknown key") as caught:
        _load(tmp_path, text, *overrides)
    return caught.value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ["finetune.epochs=0"],
            "--set finetune.epochs=0: finetune.epochs: is 0; must be greater than or equal to 1",
            id="value",
        ),
        pytest.param(
            ["finetune.epchs=3"],
            "--set finetune.epchs=3: finetune.epchs: unknown key; did you mean 'epochs'?",
            id="key",
        ),
        pytest.param(
            ["data.val=2", "data.test=half"],
            "--set data.val=2: data.val: is 2; must be less than 1\n"
            "--set data.test=half: data.test: is 'half'; must be a number or 'val'",
            id="two",
        ),
        pytest.param(
            ["data={path: images, vall: 0.1}"],
            "--set data={path: images, vall: 0.1}: data.vall: unknown key; did you mean 'val'?",
            id="whole table",
        ),
        pytest.param(["targets=host"], "--set targets=host: targets: is 'host'; must be a list"),
    ],
)
def test_option_that_is_wrong_is_named_in_the_place_of_the_file(
    tmp_path: Path, options: list[str], message: str
) -> None:
    error = _refused(tmp_path, _GOOD + "finetune: {epochs: 5}\n", *options)
    assert error.message.partition(" (allowed")[0] == message
    named = ", ".join(f"correct --set {option}" for option in options)
    assert error.remedy == f"{named} and run again"


def test_option_and_file_that_are_wrong_are_both_named(tmp_path: Path) -> None:
    error = _refused(tmp_path, f"{_GOOD}finetune: {{epochs: 0}}\n", "data.val=2")
    assert error.message == (
        "--set data.val=2: data.val: is 2; must be less than 1\n"
        f"{tmp_path}/recipe.yaml:5: finetune.epochs: is 0; must be greater than or equal to 1"
    )
    assert error.remedy == f"correct --set data.val=2, edit {tmp_path}/recipe.yaml and run again"


def test_table_that_only_an_option_makes_is_its_fault(tmp_path: Path) -> None:
    class Needing(Table):
        first: int
        second: int

    path = str(tmp_path / "recipe.yaml")
    Path(path).write_text(_GOOD, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^--set stage\.first=1: stage\.second: is missing\n"):
        load_recipe(path, ["stage.first=1"], {"stage": Needing}, tasks=_TASKS)


def test_option_that_is_right_takes_no_blame(tmp_path: Path) -> None:
    error = _refused(tmp_path, _GOOD + "finetune: {epochs: 0}\n", "seed=3", "data.val=0.1")
    assert error.message.startswith(f"{tmp_path}/recipe.yaml:5: finetune.epochs: is 0; ")


def test_targets_and_calibration_beside_the_recipe_are_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project / "targets", project / "calibration", elsewhere / "targets"):
        folder.mkdir(parents=True)
    target = (
        "name: {name}\ndescription: {what}\ndevice: null\nthreads: 1\n"
        "candidates: {{onnx: [fp32]}}\nlimits: {{}}\n"
    )
    for name in ("mine", "both", "host"):
        text = target.format(name=name, what="beside the recipe")
        (project / "targets" / f"{name}.yaml").write_text(text, encoding="utf-8")
    here = target.format(name="both", what="in the working directory")
    (elsewhere / "targets" / "both.yaml").write_text(here, encoding="utf-8")
    few = "name: few\nsplit: train\ncount: 8\nsampling: random\n"
    (project / "calibration" / "few.yaml").write_text(few, encoding="utf-8")
    monkeypatch.chdir(elsewhere)

    assert load_target("mine", beside=project).description == "beside the recipe"
    assert load_target("both", beside=project).description == "in the working directory"
    # edgetl has a target of this name, too.
    assert load_target("host", beside=project).description == "beside the recipe"
    assert load_calibration("few", beside=project).count == 8
    with pytest.raises(ConfigError, match="did you mean 'mine'"):
        load_target("mime", beside=project)
    with pytest.raises(ConfigError, match=r"^targets/mine\.yaml: no such file"):
        load_target("mine")


def test_broken_target_beside_the_recipe_is_named_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project" / "targets").mkdir(parents=True)
    path = tmp_path / "project" / "targets" / "odd.yaml"
    path.write_text("name: odd\nthreads: none\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"(?m)^{path}:2: threads: is 'none'") as caught:
        load_target("odd", beside=tmp_path / "project")
    assert caught.value.remedy == f"edit {path} and run again"
    monkeypatch.chdir(tmp_path / "project")
    with pytest.raises(ConfigError, match=r"(?m)^targets/odd\.yaml:2: "):
        load_target("odd", beside=tmp_path / "project")


@pytest.mark.parametrize("given", ["detecton", "Detection"])
def test_unknown_task_is_refused_with_the_closest_one(tmp_path: Path, given: str) -> None:
    text = _GOOD.replace("task: classification", f"task: {given}")
    assert _problems(tmp_path, text) == [
        (
            "task",
            f"is '{given}'; did you mean 'detection'? must be 'classification' or 'detection'",
            2,
        )
    ]


def test_all_problems_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """\
name: parts
task: segmentation
data: {path: images, vall: 0.1}
teacher: {family: mobilenet_v2, weights: none, width: wide}
finetune: {epochs: 0}
colour: red
"""
    assert _problems(tmp_path, text) == [
        ("task", "is 'segmentation'; must be 'classification' or 'detection'", 2),
        (
            "data.vall",
            (
                "unknown key; did you mean 'val'? "
                "(allowed: path, synthetic, val, test, seed, group, exclude, layout, "
                "drop, repair, accept)"
            ),
            3,
        ),
        ("teacher.width", "is 'wide'; must be a number", 4),
        ("finetune.epochs", "is 0; must be greater than or equal to 1", 5),
        (
            "colour",
            (
                "unknown key (allowed: name, task, data, unlabelled, evaluation, input, "
                "teacher, student, model, nms, calibration, targets, seed, device, finetune)"
            ),
            6,
        ),
    ]


def test_key_of_another_table_gets_a_hint(tmp_path: Path) -> None:
    ((where, what, _),) = _problems(tmp_path, _GOOD, "teacher.epochs=3")
    assert where == "teacher.epochs"
    assert what.startswith("unknown key; 'epochs' belongs to `finetune`")


def test_missing_table_is_named(tmp_path: Path) -> None:
    assert _problems(tmp_path, "name: a\ntask: classification\nteacher: {family: f}\n") == [
        ("data", "is missing", None)
    ]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("{}", "give either `path` or `synthetic`"),
        ("{path: a, synthetic: {}}", "give either `path` or `synthetic`"),
        ("{path: a, val: 0.5, test: 0.5}", "val + test must be below 1 to leave images"),
        ("{path: a, test: train}", "is 'train'; must be a number or 'val'"),
        ("{path: a, test: 3}", "is 3; must be less than 1 or 'val'"),
        (
            "{path: a, drop: [bad]}",
            "must be 'unreadable', 'empty-classes', 'duplicates', 'bad-labels',",
        ),
        ("images", "is 'images'; must be a table"),
    ],
)
def test_contradictory_data_table_is_refused(tmp_path: Path, data: str, what: str) -> None:
    text = _GOOD.replace("{path: images}", data)
    ((_, message, line),) = _problems(tmp_path, text)
    assert what in message
    assert line == 3


def test_table_that_is_null_is_left_out(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"{_GOOD}finetune: {{epochs: 3}}\n", "utf-8")
    for overrides, fields in (((), {"epochs"}), (("finetune=null",), set())):
        loaded = load_recipe(str(recipe), overrides, _TABLES, tasks=_TASKS)
        assert loaded.tables["finetune"].model_fields_set == fields


def test_name_that_is_not_a_file_name_is_refused(tmp_path: Path) -> None:
    ((where, what, _),) = _problems(tmp_path, _GOOD, "name=../up")
    assert (where, what) == ("name", "is '../up'; letters, digits, '.', '_' and '-' only")


def test_folder_instead_of_recipe_names_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder; a recipe is a YAML file: 'edgetl init"):
        load_recipe(str(tmp_path), (), _TABLES, tasks=_TASKS)


def test_unknown_recipe_names_the_ready_made_ones() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'parts'\? known: .*parts"):
        load_recipe("partz", (), _TABLES, tasks=_TASKS)


def test_target_of_the_working_directory_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "host.yaml").write_text(
        "{name: host, description: mine, device: null, threads: 3, candidates: {onnx: [fp32]}}"
    )
    monkeypatch.chdir(tmp_path)
    assert load_target("host").threads == 3


def test_target_name_that_differs_from_its_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "mine.yaml").write_text(
        "{name: host, description: mine, device: null, threads: 3, candidates: {onnx: [fp32]}}"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"name: is 'host' but the file is named 'mine'"):
        load_target("mine")


def test_unknown_target_and_calibration_name_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"targets/hots\.yaml: no such file; did you mean 'host'"
    ) as caught:
        load_target("hots")
    assert caught.value.remedy == "use one of these, or write targets/hots.yaml"
    with pytest.raises(
        ConfigError, match=r"calibration/x\.yaml: no such file; known: balanced-256"
    ) as caught:
        load_calibration("x")
    assert caught.value.remedy == ("use one of these in the recipe, or write calibration/x.yaml")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RPI4", "targets/RPI4.yaml: no such file; did you mean 'rpi4'? known: "),
        ("targets/rpi4.yaml", "targets/rpi4.yaml: is a path; give the name of a file in targets/"),
        ("targets/rpi4.yaml", "without folder and extension: did you mean 'rpi4'? known: "),
        ("./RPi4.yml", "./RPi4.yml: is a path; give the name of a file in targets/ without folder"),
        ("rpi4.yaml", "did you mean 'rpi4'?"),
    ],
)
def test_wrong_form_of_a_target_name_gets_a_suggestion(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_target(name)
    assert caught.value.remedy.startswith("use one of these")


def test_target_file_elsewhere_gets_a_copy_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    with pytest.raises(
        ConfigError, match=r"mine\.yaml: is a path; give the name of a file in"
    ) as caught:
        load_target("mine.yaml")
    assert caught.value.remedy == "cp mine.yaml targets/mine.yaml, and use the name 'mine'"


def test_device_of_a_target_is_checked_if_requested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "mine.yaml").write_text(
        "name: mine\ndescription: mine\ndevice: moon\nthreads: 3\ncandidates: {onnx: [fp32]}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert load_target("mine").device == "moon"
    assert load_target("mine", check_address=lambda _: None).device == "moon"
    with pytest.raises(ConfigError, match=r"^targets/mine\.yaml:3: device: moon is too far\n"):
        load_target("mine", check_address=lambda address: f"{address} is too far")


_NO_MODEL = "name: a\ntask: classification\ndata: {path: images}\n"
_TEACHER = "teacher: {family: mobilenet_v2}\n"
_STUDENT = "student: {family: mobilenet_v2}\n"
_MODEL = "model: {path: saved}\n"


class _Borrowed(ModelTable):
    """The table of a stage that begins a model chain."""

    source: str


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        pytest.param(
            "",
            (
                "teacher",
                (
                    "is missing; a recipe trains a `teacher: {family: NAME}`, or takes a model "
                    "that edgetl saved, `model: {path: FOLDER}`"
                ),
                None,
            ),
            id="none",
        ),
        pytest.param(
            _STUDENT,
            ("student", "has no teacher to learn from; add `teacher: {family: NAME}`", 4),
            id="student alone",
        ),
        pytest.param(
            _MODEL + _TEACHER,
            (
                "model",
                (
                    "takes the place of `teacher`, which the recipe has as well; remove one or the "
                    "other"
                ),
                4,
            ),
            id="teacher",
        ),
        pytest.param(
            _TEACHER + _STUDENT + _MODEL,
            (
                "model",
                (
                    "takes the place of `teacher` and `student`, which the recipe has as well; "
                    "remove one or the other"
                ),
                6,
            ),
            id="both",
        ),
        pytest.param(
            _STUDENT + _MODEL,
            (
                "model",
                (
                    "takes the place of `student`, which the recipe has as well; remove one or the "
                    "other"
                ),
                5,
            ),
            id="student",
        ),
        pytest.param(
            _MODEL + "borrowed: {source: there}\n",
            (
                "borrowed",
                "takes the place of `model`, which the recipe has as well; remove one or the other",
                5,
            ),
            id="of a package",
        ),
        pytest.param("model: {}\n", ("model.path", "is missing", 4), id="no path"),
    ],
)
def test_recipe_deploys_exactly_one_model(
    tmp_path: Path, models: str, expected: tuple[str, str, int | None]
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(_NO_MODEL + models, encoding="utf-8")
    tables: dict[str, type[Table]] = {"borrowed": _Borrowed} if "borrowed" in models else {}
    with pytest.raises(ConfigError, match=r"recipe\.yaml") as caught:
        load_recipe(str(path), (), tables, tasks=_TASKS)
    problems = [(problem.where, problem.what, problem.line) for problem in caught.value.problems]
    assert problems == [expected]


@pytest.mark.parametrize(
    ("text", "models"),
    [
        pytest.param(_TEACHER, ["teacher"], id="teacher"),
        pytest.param(_STUDENT + _TEACHER, ["teacher", "student"], id="student"),
        pytest.param(_MODEL, ["model"], id="model"),
        pytest.param("teacher:\n" + _MODEL, ["model"], id="empty table"),
        pytest.param("borrowed: {source: there}\n", ["borrowed"], id="of a package"),
    ],
)
def test_models_come_in_the_order_in_which_they_are_made(
    tmp_path: Path, text: str, models: list[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(_NO_MODEL + text, encoding="utf-8")
    tables: dict[str, type[Table]] = {"borrowed": _Borrowed} if "borrowed" in text else {}
    assert list(load_recipe(str(path), (), tables, tasks=_TASKS).refinements) == models
