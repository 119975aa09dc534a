"""The command line: starts fast; errors of users are one paragraph and an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from edgetl.cli import COMMANDS, edgetl, main
from edgetl.store.store import Request, Store

_FRAMEWORKS = ("torch", "onnx", "onnxruntime", "openvino", "nncf", "litert_torch", "numpy", "PIL")


def _edgetl(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgetl", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_lists_every_command_and_imports_no_framework(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv = ['edgetl', '--help']\n"
        "from edgetl.cli import main\n"
        "try:\n    main()\n"
        f"finally: print([name for name in {_FRAMEWORKS!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0
    assert done.stdout.endswith("[]\n")
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    done = CliRunner().invoke(edgetl, [name, "--help"])
    assert done.exit_code == 0
    assert f"edgetl {name}" in done.output


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["rum"], 2, "No such command 'rum'"),
        (["run"], 2, "Missing argument 'RECIPE'"),
        (["run", "nowhere.yaml"], 3, "nowhere.yaml: no such file"),
        (["run", "parts", "--set", "seed"], 3, "must have the form key=value"),
        (["run", "parts", "--set", "targets=[hots]"], 3, "did you mean 'host'?"),
        (["run", "parts", "--set", "targets=[host,host]"], 3, "names host more than once"),
        (["plan", "parts", "--set", "teacher.family=mobilenet_v4"], 3, "mobilenet_v4"),
        (["targets", "show", "mars"], 3, "targets/mars.yaml: no such file"),
        (["why", "parts", "quantise"], 2, "no stage of parts is called 'quantise'"),
        (["show", "parts", "index"], 2, "'index' does not exist yet"),
        (["init", "nowhere"], 3, "'nowhere' does not exist\n  name a folder or zip of labelled"),
    ],
)
def test_mistake_ends_in_one_paragraph_and_its_exit_code(
    tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    done = _edgetl(*words, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_schema_of_a_recipe_accepts_the_ready_made_one_and_refuses_a_typo() -> None:
    done = CliRunner().invoke(edgetl, ["schema"])
    schema = json.loads(done.output)
    ready = Path(__file__).parents[2] / "edgetl" / "recipes" / "parts.yaml"
    recipe = yaml.safe_load(ready.read_text(encoding="utf-8"))
    jsonschema.validate(recipe, schema)
    with pytest.raises(jsonschema.ValidationError, match="'segmentation' is not one of"):
        jsonschema.validate(recipe | {"task": "segmentation"}, schema)
    with pytest.raises(jsonschema.ValidationError, match="epocs"):
        jsonschema.validate(recipe | {"finetune": {"epocs": 3}}, schema)


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        pytest.param({"adapt": {"method": "bn-statistics"}}, "", id="right"),
        pytest.param({"adapt": None}, "", id="defaults"),
        pytest.param({"adapt": {"method": "magic"}}, "magic", id="value"),
        pytest.param({"adpat": {}}, "adpat", id="stage"),
    ],
)
def test_schema_of_a_recipe_knows_the_entries_of_refine_lists(
    entry: dict[str, object], wrong: str
) -> None:
    schema = json.loads(CliRunner().invoke(edgetl, ["schema"]).output)
    assert "adapt" not in schema["properties"]
    recipe = {
        "name": "a", "task": "classification", "data": {"path": "."},
        "teacher": {"family": "mobilenet_v2", "refine": [entry]},
    }  # fmt: skip
    if not wrong:
        jsonschema.validate(recipe, schema)
        return
    with pytest.raises(jsonschema.ValidationError, match=wrong):
        jsonschema.validate(recipe, schema)


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        pytest.param({"path": "saved", "refine": [{"adapt": None}]}, "", id="right"),
        pytest.param({"refine": []}, "'path' is a required property", id="no path"),
        pytest.param({"path": "saved", "family": "mobilenet_v2"}, "'family' was", id="family"),
        pytest.param({"path": "saved", "refine": [{"adpat": {}}]}, "adpat", id="stage"),
    ],
)
def test_schema_of_a_recipe_knows_the_table_of_a_saved_model(
    model: dict[str, object], wrong: str
) -> None:
    schema = json.loads(CliRunner().invoke(edgetl, ["schema"]).output)
    described = schema["properties"]["model"]["description"]
    assert described == "A saved model, in place of `teacher` and `student`."
    recipe = {"name": "a", "task": "classification", "data": {"path": "."}, "model": model}
    if not wrong:
        jsonschema.validate(recipe, schema)
        return
    with pytest.raises(jsonschema.ValidationError, match=wrong):
        jsonschema.validate(recipe, schema)


def test_schema_of_a_recipe_has_the_keys_of_every_method_and_keeps_them_apart() -> None:
    schema = json.loads(CliRunner().invoke(edgetl, ["schema"]).output)
    ready = Path(__file__).parents[2] / "edgetl" / "recipes" / "parts.yaml"
    recipe = yaml.safe_load(ready.read_text(encoding="utf-8"))

    for right in (
        "finetune: {strategy: linear-probe, probe_epochs: 3}",
        "finetune: {probe_epochs: 3}",
        "distill: {method: soft-targets, soft_weight: 0.5}",
        "distill: {method: cwd, feature_weight: 0.5, mosaic: 0.5}",
    ):
        jsonschema.validate(recipe | yaml.safe_load(right), schema)
    for wrong in (
        "finetune: {strategy: full, probe_epochs: 3}",
        "distill: {method: soft-targets, alpha: 0.5}",
        "distill: {method: kd}",
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(recipe | yaml.safe_load(wrong), schema)
    documented = [
        key
        for table in schema["$defs"].values()
        for key, described in table.get("properties", {}).items()
        if key in {"probe_epochs", "soft_weight", "box_weight", "mosaic", "label_smoothing"}
        and described["description"]
    ]
    assert set(documented) == {
        "probe_epochs", "soft_weight", "box_weight", "mosaic", "label_smoothing"
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["target", "calibration"])
def test_schema_of_the_other_files_is_printed(kind: str) -> None:
    done = CliRunner().invoke(edgetl, ["schema", kind])
    assert "name" in json.loads(done.output)["properties"]


def _commit(root: Path, text: str) -> Path:
    store = Store(root)
    request = Request("export", 1, {"text": text}, {}, {})
    out, _, _ = store.folders(request)
    (out / "model.bin").write_text(text)
    artifact = store.commit(request, kind="float", label="export onnx", facts={}, seconds=0)
    store.record_run(text, {"export onnx": artifact})
    return artifact.folder


def test_verify_store_names_damaged_artifacts_and_removes_them(tmp_path: Path) -> None:
    root = tmp_path / ".edgetl"
    good, bad = _commit(root, "good"), _commit(root, "bad")
    (bad / "model.bin").write_text("BAD")
    done = _edgetl("verify-store", cwd=tmp_path)
    assert done.returncode == 6
    assert f"{bad.relative_to(tmp_path)}: 'model.bin' was changed" in done.stdout
    assert "1 artifacts intact, 1 damaged" in done.stdout
    assert "edgetl verify-store --repair" in done.stderr
    done = _edgetl("verify-store", "--repair", cwd=tmp_path)
    assert done.returncode == 0
    assert good.is_dir()
    assert not bad.exists()


def test_prune_removes_only_unused_artifacts(tmp_path: Path) -> None:
    root = tmp_path / ".edgetl"
    kept, old = _commit(root, "kept"), _commit(root, "old")
    (root / "runs" / "old.json").unlink()
    done = _edgetl("prune", "--dry-run", cwd=tmp_path)
    assert "would be removed" in done.stdout
    assert old.is_dir()
    done = _edgetl("prune", cwd=tmp_path)
    assert done.returncode == 0
    assert kept.is_dir()
    assert not old.exists()


def test_generated_scenes_result_in_a_recipe_for_detection_that_plans(tmp_path: Path) -> None:
    synthetic = _edgetl("generate", "scenes", "--task", "detection", "--images", "60", cwd=tmp_path)
    assert synthetic.returncode == 0
    assert "next: edgetl init scenes" in synthetic.stdout
    done = _edgetl("init", "scenes", cwd=tmp_path)
    assert "60 images with 152 boxes of 6 classes in scenes" in done.stdout
    assert "next: edgetl plan scenes/recipe.yaml" in done.stdout
    text = (tmp_path / "scenes" / "recipe.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["task"] == "detection"
    for word in ("yolox_nano, weights: coco", "size: 416", "repair: [clip-boxes"):
        assert word in text
    schema = json.loads(CliRunner().invoke(edgetl, ["schema"]).output)
    jsonschema.validate(yaml.safe_load(text), schema)
    plan = _edgetl("plan", "scenes/recipe.yaml", cwd=tmp_path)
    assert plan.returncode == 0, plan.stderr


def test_init_of_a_single_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.jpg").write_bytes(b"no zip")
    done = _edgetl("init", "image.jpg", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr == (
        "edgetl: 'image.jpg' is neither a folder nor a zip\n"
        "  name a folder or zip of labelled images\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["image.jpg"]


def test_generated_images_result_in_a_recipe_that_plans(tmp_path: Path) -> None:
    assert _edgetl("generate", "images", "--images", "60", cwd=tmp_path).returncode == 0
    refused = _edgetl("generate", "images", cwd=tmp_path)
    assert refused.returncode == 2
    assert "'images' is not empty" in refused.stderr
    done = _edgetl("init", "images", cwd=tmp_path)
    assert done.returncode == 0
    assert "60 images of 6 classes in images" in done.stdout
    again = _edgetl("init", "images", cwd=tmp_path)
    assert again.returncode == 2
    assert "'images/recipe.yaml' already exists" in again.stderr
    plan = _edgetl("plan", "images/recipe.yaml", "--set", "calibration=random-128", cwd=tmp_path)
    assert plan.returncode == 3  # 60 images are too few for 128 of the training split
    assert "128" in plan.stderr


def test_lack_of_memory_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**options: object) -> None:
        raise MemoryError(options)

    monkeypatch.setattr(edgetl, "main", refuse)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        "edgetl: there is not enough memory\n"
        "  stop other programs, or use a machine with more; finished work is kept\n"
    )
