"""The Python API on a finished run: the same results as the command line, typed and readable."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edgetl as api
from edgetl.errors import ConfigError
from edgetl.stages import Node
from edgetl.store.store import Artifact

Done = Any


@pytest.fixture
def place(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a finished run, which is the working directory."""
    monkeypatch.chdir(finished)
    return finished


def test_run_returns_what_the_command_prints(
    place: Path, edgetl: Callable[..., Done], capfd: pytest.CaptureFixture[str]
) -> None:
    result = api.run("recipe.yaml")
    assert capfd.readouterr() == ("", "")
    printed = edgetl(place, "run", "recipe.yaml").stdout
    assert printed.endswith(f"\n\n{result!r}\n")
    as_json = edgetl(place, "run", "recipe.yaml", "--json").stdout
    assert json.loads(as_json) == json.loads(json.dumps(result.as_json()))

    host = result.targets["host"]
    assert result.held
    assert (result.recipe, host.name, host.verdict, host.why) == ("tiny", "host", "held", "")
    assert host.chosen is not None
    assert host.chosen in host.candidates
    assert {row.candidate.name for row in host.candidates} == {"onnx fp32", "onnx int8"}
    assert host.bundle == Path("dist/host")
    assert repr(host) == f"TargetResult(host: held, {host.chosen.candidate.name} in dist/host)"
    assert result.artifacts["distill"].manifest.stage == "distill"


def test_run_with_settings_reports_to_a_listener(place: Path) -> None:
    heard: list[tuple[str, bool]] = []

    class Listener:
        def begins(self, node: Node) -> None:
            heard.append((f"begins {node.label}", False))

        def ends(self, node: Node, artifact: Artifact, *, reused: bool) -> None:
            del artifact
            heard.append((node.label, reused))

        def step(self, node: object, done: int, total: int, text: str) -> None: ...

        def note(self, node: object, text: str) -> None: ...

    changed = {"benchmark.count": 21}
    result = api.run(
        place / "recipe.yaml", set=changed, dist="out", executor="serial", progress=Listener()
    )
    labels = [label for label, _ in heard if not label.startswith("begins")]
    assert labels == list(result.artifacts)
    assert ("index", True) in heard
    remade = {label for label, reused in heard if not reused and not label.startswith("begins")}
    assert {f"begins {label}" for label in remade} == {
        label for label, _ in heard if label.startswith("begins")
    }
    assert "distill" not in remade
    assert result.targets["host"].bundle == Path("out/host")


def test_limit_that_is_missed_is_a_result_and_no_error(place: Path) -> None:
    target = place / "targets" / "host.yaml"
    target.write_text(target.read_text().replace("drop_pp: 100", "drop_pp: 100, size_mib: 0.001"))
    result = api.run("recipe.yaml")
    host = result.targets["host"]
    assert not result.held
    assert (host.verdict, host.chosen, host.bundle) == ("missed", None, None)
    assert host.why in repr(host)
    assert f"host: no bundle; {host.why}" in repr(result).splitlines()


def test_plan_returns_what_the_command_prints(place: Path, edgetl: Callable[..., Done]) -> None:
    planned = api.plan("recipe.yaml", set={"distill.epochs": 2})
    words = ("plan", "recipe.yaml", "--set", "distill.epochs=2")
    assert edgetl(place, *words).stdout == f"{planned!r}\n"
    assert json.loads(edgetl(place, *words, "--json").stdout) == planned.as_json()
    assert "distill" in [step.label for step in planned.to_run]
    (finetune,) = (step for step in planned.steps if step.stage == "finetune")
    assert finetune.reused
    assert finetune.artifact is not None
    assert finetune.summary
    assert sum(planned.data[0].facts.images.values()) == 60
    assert planned.missing == ()
    # The new distillation and all that reads it; the first one took its time.
    expected = [step.expected_s for step in planned.to_run]
    assert None not in expected
    assert [step.expected_s for step in planned.steps if step.reused] == [None] * 3
    (distill,) = (step for step in planned.to_run if step.label == "distill")
    assert distill.expected_s is not None
    assert distill.expected_s > 0.1


@pytest.mark.usefixtures("place")
def test_quick_run_times_in_few_and_short_turns() -> None:
    result = api.run("recipe.yaml", quick=True, set={"benchmark.count": 25})
    settings = result.artifacts["benchmark local x1"].manifest.settings
    assert {key: settings[key] for key in ("seconds", "count", "most_rounds")} == {
        "seconds": 0.02, "count": 25, "most_rounds": 8,
    }  # fmt: skip


@pytest.mark.usefixtures("place")
def test_why_names_the_setting_that_changed() -> None:
    (reason,) = api.why("recipe.yaml", "distill", set={"distill.epochs": 2})
    assert ("settings.training.epochs", 1, 2) in [
        (c.field, c.before, c.now) for c in reason.changes
    ]
    with pytest.raises(api.EdgetlError, match=r"no stage of recipe\.yaml is called 'distil'"):
        api.why("recipe.yaml", "distil")


def test_check_returns_what_the_command_prints(
    place: Path, edgetl: Callable[..., Done], quieten: Callable[[Path], None]
) -> None:
    quieten(place / "dist" / "host")
    checked = api.check("dist/host", target="host", seconds=0.05)
    assert checked.passed, checked
    done = edgetl(place, "check", "dist/host", "--target", "host", "--seconds", "0.05")
    assert [line[:38] for line in done.stdout.splitlines()] == [
        line[:38] for line in repr(checked).splitlines()
    ]
    assert [case.name for case in checked.cases][:2] == ["files", "labels"]
    assert "<testsuite" in checked.junit()
    assert checked.markdown().startswith("### edgetl check tiny on host: passed")


def test_check_with_a_missed_limit_is_a_result_and_no_error(place: Path) -> None:
    target = place / "targets" / "host.yaml"
    target.write_text(target.read_text().replace("drop_pp: 100", "drop_pp: -1"))
    with pytest.raises(ConfigError, match="drop_pp"):
        api.check("dist/host", target="host", seconds=0.05)
    target.write_text(target.read_text().replace("drop_pp: -1", "drop_pp: 100, size_mib: 0.001"))
    checked = api.check("dist/host", target="host", seconds=0.05)
    assert (checked.verdict, checked.passed) == ("failed", False)


@pytest.mark.usefixtures("place")
def test_baseline_is_written_and_returned() -> None:
    recorded = api.record_baseline("recipe.yaml", "kept.json")
    assert json.loads(Path("kept.json").read_text()) == recorded.model_dump(mode="json")
    assert (recorded.name, recorded.target) == ("tiny", "host")
    checked = api.check("dist/host", target="host", baseline="kept.json", seconds=0.05)
    assert "accuracy against baseline" in [case.name for case in checked.cases]


def test_report_is_what_the_command_writes(place: Path, edgetl: Callable[..., Done]) -> None:
    report = api.make_report("recipe.yaml")
    assert report.save("mine/report.html").read_text() == report.html()
    printed = edgetl(place, "report", "recipe.yaml", "--markdown").stdout
    assert printed == report.markdown() == repr(report)
    as_json = json.loads(edgetl(place, "report", "recipe.yaml", "--json").stdout)
    assert as_json == {"html": None, **json.loads(json.dumps(report.as_json()))}
    assert report.notice == ""
    assert api.make_report("recipe.yaml", set={"distill.epochs": 2}).notice


def test_loaded_bundle_predicts(place: Path) -> None:
    predictor = api.load("dist/host")
    prediction = predictor.predict(next((place / "images").rglob("*.jpg")))
    assert prediction.row(predictor.contract.labels, None)


def test_new_recipe_is_written_and_planned(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    made = api.init("images")
    assert made.recipe == Path("images/recipe.yaml")
    assert repr(made).startswith("60 images of 6 classes in images\n")
    assert repr(made).endswith("wrote images/recipe.yaml\nnext: edgetl plan images/recipe.yaml")
    assert made.unsettled == ()
    assert capfd.readouterr() == ("", "")
    assert api.plan(made.recipe).to_run
    with pytest.raises(api.EdgetlError, match=r"'images/recipe\.yaml' already exists"):
        api.init("images")
    assert api.init("images", force=True).data == made.data


@pytest.mark.usefixtures("place")
def test_device_is_compared_with_a_target() -> None:
    checked = api.check_target("host", device="local")
    assert checked.matches
    checked.require()
    assert repr(checked).startswith("local as host:\n  ")
    assert checked.as_json()["target"] == "host"


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_example_of_the_documentation_runs(
    place: Path, page: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (Path(api.__file__).parents[1] / page).read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import edgetl\n.*?)```", text, flags=re.DOTALL)
    image = next((place / "images").rglob("*.jpg"))
    for shown, here in (
        ("images/recipe.yaml", "recipe.yaml"),
        ('"distill.epochs": 40', '"distill.epochs": 1'),
        ("image.jpg", str(image)),
    ):
        assert shown in code
        code = code.replace(shown, here)
    exec(compile(code, page, "exec"), {})  # noqa: S102 - our own page
    assert "\nTargetResult(host: held, onnx " in capfd.readouterr().out
