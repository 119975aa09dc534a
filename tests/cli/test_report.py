"""``edgetl report`` writes the page, prints Markdown or JSON, or names the missing run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgetl.api.survey import survey_recipe
from edgetl.cli import edgetl
from edgetl.config.limits import Limits
from edgetl.config.recipe import InputTable
from edgetl.errors import UsageError
from edgetl.facts.package import Part
from edgetl.facts.training import ComparisonFacts
from edgetl.models import SPEC_FILE, ModelSpec
from edgetl.pipeline.planner import all_stages
from edgetl.store.store import Artifact, Request, Store
from edgetl.types import Facts

_DETAILS: Facts = {
    "classes": [{"label": "screw", "support": 8, "recall": 1.0, "precision": 1.0}],
    "confusion": [[8]],
}


@pytest.fixture
def package(examples: Any) -> Facts:
    """A target that no device timed."""
    row = examples.row(
        "onnx fp32",
        verdict="unverified",
        reason="no device",
        p50_ms=None,
        p95_ms=None,
        p95_low_ms=None,
        p95_high_ms=None,
        provenance=None,
        memory_bytes=None,
    )
    example = examples.package(
        "board",
        row,
        device=None,
        limits=Limits(drop_pp=None),
        verdict="unverified",
        why="no device",
    )
    facts: Facts = example.model_dump(mode="json")
    return facts


@pytest.fixture
def store(tmp_path: Path, examples: Any, package: Facts) -> Path:
    """A store in which the built-in recipe ran, with one target without a device."""
    store = Store(tmp_path / "store")

    def put(label: str, kind: str, facts: Facts, **inputs: str) -> Artifact:
        request = Request(label.partition(" ")[0], 1, {}, inputs, {})
        out, _, _ = store.folders(request)
        (out / "verification.json").write_text(json.dumps(_DETAILS))
        return store.commit(request, kind=kind, label=label, facts=facts, seconds=0.0)

    facts = examples.verification("onnx fp32").model_dump(mode="json")
    verification = put("verify onnx fp32", "verification", facts)
    name = Part.VERIFICATION.of(examples.candidate("onnx fp32"))
    bundle = put("package board", "bundle", package, **{name: verification.manifest.digest})
    store.record_run("parts", {"verify onnx fp32": verification, "package board": bundle})
    return tmp_path / "store"


def _report(store: Path, *words: str) -> Result:
    return CliRunner().invoke(edgetl, ["report", "parts", "--store", str(store), *words])


def test_page_is_written_to_the_given_path(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "page.html"
    done = _report(store, "--out", str(out))
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}  0.0 MiB\n"
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_run_of_a_changed_recipe_has_a_notice(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = _report(store, "--out", str(out))
    notice = (
        "The recipe, the data, edgetl or a package changed after this run "
        "(index, package board); 'edgetl run parts' brings it up to date."
    )
    assert done.stderr == f"{notice}\n"
    assert notice.replace("'", "&#39;") in out.read_text(encoding="utf-8")


def test_run_that_is_up_to_date_has_no_notice(tmp_path: Path, package: Facts) -> None:
    spec = ModelSpec.of(
        "mobilenet_v2", width=1.0, classes=("nut", "screw"), image_input=InputTable(size=32)
    )
    known = {"bundle": package, "comparison": ComparisonFacts(images=0).model_dump(mode="json")}
    store = Store(tmp_path / "store")
    while missing := [
        (step.node, step.request)
        for step in survey_recipe("parts", (), store, all_stages()).steps
        if step.request is not None and step.artifact is None
    ]:
        for node, request in missing:
            out, _, _ = store.folders(request)
            kind = all_stages()[node.stage].makes
            if kind in {"teacher", "student"}:
                (out / SPEC_FILE).write_text(spec.model_dump_json())
            facts = known.get(kind, {"label": node.label})
            store.commit(request, kind=kind, label=node.label, facts=facts, seconds=0.0)
    steps = survey_recipe("parts", (), store, all_stages()).steps
    used = {step.node.label: step.artifact for step in steps if step.artifact is not None}
    store.record_run("parts", used)
    done = _report(store.root, "--json")
    assert json.loads(done.stdout)["notice"] == ""
    assert done.stderr == ""
    changed = _report(store.root, "--json", "--set", "finetune.epochs=5")
    assert "(finetune); 'edgetl run parts'" in json.loads(changed.stdout)["notice"]


def test_report_does_not_need_the_device(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("asyncssh")
    monkeypatch.chdir(tmp_path)
    target = "name: far\ndescription: away\ndevice: ssh://me@127.0.0.1:9\nthreads: 1\n"
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "far.yaml").write_text(f"{target}candidates: {{onnx: [fp32]}}\n")
    done = _report(store, "--json", "--set", "targets=[far]")
    notice = json.loads(done.stdout)["notice"]
    assert notice.startswith("It could not be checked whether this run is up to date: ")
    assert "127.0.0.1" in notice


def test_markdown_alone_writes_no_file(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _report(store, "--markdown")
    assert done.stdout.startswith("## parts\n")
    assert "? **board: unverified**, **onnx fp32**, no device" in done.stdout
    assert not (tmp_path / "report.html").exists()


def test_json_has_targets_lineage_and_the_page_if_requested(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    data = json.loads(_report(store, "--json", "--out", str(out)).stdout)
    assert data["html"] == str(out)
    assert out.is_file()
    assert data["targets"]["board"]["reason"] == "no device"
    assert data["targets"]["board"]["limits_in_words"] == ["better than guessing"]
    assert list(data["artifacts"]) == ["verify onnx fp32", "package board"]
    assert data["artifacts"]["package board"]["stage"] == "package"


def test_page_is_written_to_the_working_folder_by_default(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _report(store).stdout.startswith("report.html  ")
    first = (tmp_path / "report.html").read_bytes()
    _report(store)
    assert (tmp_path / "report.html").read_bytes() == first


def test_markdown_and_json_cannot_be_combined(store: Path) -> None:
    done = _report(store, "--markdown", "--json")
    assert isinstance(done.exception, UsageError)
    assert done.exception.message == (
        "--markdown and --json cannot be combined, as both print to standard output"
    )


def test_recipe_without_a_run_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgetl", "report", "parts", "--store", str(tmp_path / "empty")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"edgetl: recipe 'parts' has no finished run in {tmp_path / 'empty'}\n  edgetl run parts\n"
    )


def test_report_imports_no_framework(store: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        f"sys.argv = ['edgetl', 'report', 'parts', '--store', {str(store)!r}, '--out', 'r.html']\n"
        "from edgetl.cli import main\n"
        "main()\n"
        "print([name for name in ('torch', 'onnx', 'openvino', 'nncf') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.endswith("\n[]\n")
