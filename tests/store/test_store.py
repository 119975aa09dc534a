"""An artifact is complete or absent, and later changes to it are detected."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgetl.errors import StoreError
from edgetl.facts import FactsModel
from edgetl.hashing import digest_file, digest_value
from edgetl.store.store import Artifact, Request, Store

_REQUEST = Request(
    "export", 1, {"format": "onnx"}, {"model": "d" * 64}, {"torch": "2"}, {"exporter onnx": "1"}
)


def _commit(store: Store, request: Request = _REQUEST, text: str = "weights") -> Artifact:
    out, _, _ = store.folders(request)
    (out / "sub").mkdir()
    (out / "model.bin").write_text(text)
    (out / "sub" / "labels.txt").write_text("a\nb\n")
    return store.commit(request, kind="float", label="export onnx", facts={"n": 1}, seconds=0.5)


def test_key_is_the_digest_of_the_request() -> None:
    assert _REQUEST.key == digest_value(
        {
            "stage": "export",
            "version": 1,
            "settings": {"format": "onnx"},
            "inputs": {"model": "d" * 64},
            "tools": {"torch": "2"},
            "plugins": {"exporter onnx": "1"},
        }
    )


def test_artifact_is_found_by_an_equal_request(tmp_path: Path) -> None:
    committed = _commit(Store(tmp_path))
    artifact = Store(tmp_path).find(replace(_REQUEST))
    assert artifact == committed
    assert artifact.manifest.facts == {"n": 1}
    assert artifact.file("sub/labels.txt").read_text() == "a\nb\n"
    assert artifact.manifest.digest == digest_value(
        {"kind": "float", "files": artifact.manifest.files, "facts": {"n": 1}}
    )


@pytest.mark.parametrize(
    "other",
    [
        replace(_REQUEST, version=2),
        replace(_REQUEST, settings={"format": "tflite"}),
        replace(_REQUEST, inputs={"model": "e" * 64}),
        replace(_REQUEST, tools={"torch": "3"}),
        replace(_REQUEST, plugins={"exporter onnx": "2"}),
    ],
    ids=["version", "settings", "inputs", "tools", "plugins"],
)
def test_any_other_request_has_no_artifact(tmp_path: Path, other: Request) -> None:
    store = Store(tmp_path)
    _commit(store)
    assert store.find(other) is None


def test_everything_lies_below_a_new_root_at_its_place(tmp_path: Path) -> None:
    root = tmp_path / "project" / ".edgetl"
    store, key = Store(root), _REQUEST.key
    with store.making(key, waits=lambda: None):
        folders = store.folders(_REQUEST)
        artifact = _commit(store)
    assert folders == (root / "work" / key, root / "scratch" / key, root / "logs" / "export" / key)
    assert artifact.folder == root / "artifacts" / "export" / key
    store.record_run("parts", {"export onnx": artifact})
    assert (root / "runs" / "parts.json").read_text() == (
        f'{{\n  "export onnx": "export/{key}"\n}}\n'
    )
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert files == [
        f"artifacts/export/{key}/manifest.json",
        f"artifacts/export/{key}/model.bin",
        f"artifacts/export/{key}/sub/labels.txt",
        f"locks/{key}",
        "runs/parts.json",
    ]
    assert not (root / "work" / key).exists()


def test_manifest_records_the_request_and_the_result(tmp_path: Path) -> None:
    store = Store(tmp_path)
    out, _, _ = store.folders(_REQUEST)
    (out / "model.bin").write_text("weights")
    before = datetime.now(UTC).replace(microsecond=0)
    artifact = store.commit(
        _REQUEST, kind="float", label="export onnx", facts={"shape": (1, 3)}, seconds=1.23456
    )
    text = (artifact.folder / "manifest.json").read_text()
    written = json.loads(text)
    assert text == json.dumps(written, indent=2) + "\n"
    made_at = datetime.fromisoformat(written.pop("made_at"))
    assert (made_at.utcoffset(), made_at.microsecond) == (timedelta(0), 0)
    assert before <= made_at <= datetime.now(UTC)
    # SHA-256 of b"weights"
    files = {"model.bin": "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"}
    assert written == {
        "schema_version": 2,
        "stage": "export",
        "version": 1,
        "kind": "float",
        "label": "export onnx",
        "settings": {"format": "onnx"},
        "inputs": {"model": "d" * 64},
        "tools": {"torch": "2"},
        "plugins": {"exporter onnx": "1"},
        "files": files,
        "facts": {"shape": [1, 3]},
        "key": _REQUEST.key,
        "digest": digest_value({"kind": "float", "files": files, "facts": {"shape": [1, 3]}}),
        "seconds": 1.235,
    }
    # New facts equal facts that are read again.
    assert artifact.manifest.facts == {"shape": [1, 3]}
    assert store.find(_REQUEST) == artifact


def test_manifest_is_utf8_and_commit_needs_no_scratch(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _, scratch, _ = store.folders(_REQUEST)
    scratch.rmdir()
    artifact = store.commit(_REQUEST, kind="float", label="Öse", facts={}, seconds=0.0)
    text = (artifact.folder / "manifest.json").read_bytes()
    assert '"label": "Öse"'.encode() in text
    assert text.endswith(b"}\n")


def test_same_content_has_the_same_digest_for_any_request(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other = Request("export", 1, {"format": "onnx", "new": 1}, {}, {})
    assert _commit(store).manifest.digest == _commit(store, other).manifest.digest
    changed = Request("export", 1, {"format": "onnx", "new": 2}, {}, {})
    assert (
        _commit(store, changed, "other").manifest.digest
        != _commit(store, Request("export", 1, {}, {}, {})).manifest.digest
    )


def test_work_of_a_dead_process_is_discarded_and_its_scratch_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    out, scratch, _ = store.folders(_REQUEST)
    (out / "half.bin").write_text("half")
    (scratch / "epoch-3").write_text("checkpoint")
    assert store.find(_REQUEST) is None
    out, scratch, _ = store.folders(_REQUEST)
    assert list(out.iterdir()) == []
    assert (scratch / "epoch-3").read_text() == "checkpoint"


def test_commit_removes_the_scratch(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _, scratch, logs = store.folders(_REQUEST)
    _commit(store)
    assert not scratch.exists()
    assert logs.is_dir()


def test_commit_puts_everything_on_the_disk_before_it_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "artifacts" / "export" / _REQUEST.key
    synced: list[tuple[int, bool]] = []

    def fsync(handle: int) -> None:
        synced.append((os.fstat(handle).st_ino, folder.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    _commit(Store(tmp_path))

    # After a loss of power a renamed folder may hold empty files, unless each was synced before.
    inodes = {path.relative_to(folder).as_posix(): path.stat().st_ino for path in folder.rglob("*")}
    assert set(inodes) == {"model.bin", "sub", "sub/labels.txt", "manifest.json"}
    before = {inode for inode, is_renamed in synced if not is_renamed}
    assert before == {*inodes.values(), folder.stat().st_ino}
    # The rename itself is an entry of the folder above.
    assert [inode for inode, is_renamed in synced if is_renamed] == [folder.parent.stat().st_ino]


def test_check_that_passed_is_not_run_again_and_one_that_failed_is(tmp_path: Path) -> None:
    runs: list[str] = []

    def fails() -> None:
        runs.append("failed")
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            Store(tmp_path).once("a", fails)
    for key in ("a", "a", "b"):
        Store(tmp_path).once(key, lambda: runs.append("passed"))

    assert runs == ["failed", "failed", "passed", "passed"]


def test_checks_that_passed_are_recorded_below_a_new_root(tmp_path: Path) -> None:
    root = tmp_path / "project" / ".edgetl"
    for key in ("a", "b"):
        Store(root).once(key, lambda: None)
    assert sorted(root.rglob("*")) == [
        root / "checked",
        root / "checked" / "a",
        root / "checked" / "b",
    ]


def test_check_runs_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "checked").touch()
    runs: list[bool] = []

    Store(tmp_path).once("a", lambda: runs.append(True))

    assert runs == [True]


def test_result_is_recalled_under_its_key_unless_it_is_none(tmp_path: Path) -> None:
    results = iter([None, "first", "second"])
    recalled = [Store(tmp_path).recall(key, lambda: next(results)) for key in "aaab"]
    assert recalled == [None, "first", "first", "second"]


def test_result_is_returned_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "checked").touch()
    assert Store(tmp_path).recall("a", lambda: "text") == "text"


def test_stage_may_not_write_the_manifest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    out, _, _ = store.folders(_REQUEST)
    (out / "manifest.json").write_text("{}")
    with pytest.raises(
        StoreError, match=r"stage 'export' wrote a file named manifest\.json"
    ) as caught:
        store.commit(_REQUEST, kind="float", label="x", facts={}, seconds=0.0)
    assert caught.value.remedy == ("this is a bug in the stage; please report it with this message")
    assert (out / "manifest.json").read_text() == "{}"


def test_facts_that_are_not_json_are_a_bug(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.folders(_REQUEST)
    with pytest.raises(ValueError, match="Out of range float"):
        store.commit(_REQUEST, kind="float", label="x", facts={"n": float("inf")}, seconds=0.0)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: _flip(folder / "model.bin"), r"'model\.bin' was changed"),
        (lambda folder: (folder / "model.bin").unlink(), r"'model\.bin' is missing"),
        (
            lambda folder: _edit(folder, lambda manifest: manifest["facts"].update(n=2)),
            r"manifest\.json was changed",
        ),
        (
            lambda folder: _edit(folder, lambda manifest: manifest["settings"].update(x=2)),
            r"manifest\.json does not belong to this key",
        ),
        (lambda folder: (folder / "manifest.json").unlink(), r"manifest\.json cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "cannot be read"),
    ],
    ids=["flipped bit", "file gone", "facts", "settings", "manifest gone", "manifest torn"],
)
def test_tampered_artifact_is_refused_with_the_remedy(
    tmp_path: Path, damage: object, message: str
) -> None:
    committed = _commit(Store(tmp_path))
    assert callable(damage)
    damage(committed.folder)
    with pytest.raises(StoreError, match=message) as caught:
        Store(tmp_path).find(_REQUEST)
    assert "edgetl verify-store --repair" in caught.value.remedy
    assert caught.value.exit_code == 6


def _edit(folder: Path, change: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert callable(change)
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_file_missing_from_the_manifest_is_refused(tmp_path: Path) -> None:
    committed = _commit(Store(tmp_path))
    (committed.folder / "extra.bin").write_text("x")
    with pytest.raises(StoreError, match=r"artifact 'export onnx' has no file 'extra\.bin'"):
        committed.file("extra.bin")


def test_second_process_waits_and_then_finds_the_artifact(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from edgetl.store.store import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "with store.making('k', waits=lambda: None):\n"
        "    print('held', flush=True); time.sleep(0.5)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waited: list[bool] = []
    started = time.monotonic()
    with Store(tmp_path).making("k", waits=lambda: waited.append(True)):
        assert waited == [True]
        assert time.monotonic() - started > 0.2
    holder.communicate()
    assert holder.returncode == 0


def _record(root: Path, number: int) -> None:
    store = Store(root)
    request = Request("s", 1, {"number": number % 2}, {}, {})
    with store.making(request.key, waits=lambda: None):
        if store.find(request) is None:
            _commit(store, request)


def test_processes_with_the_same_request_share_an_artifact(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_record, args=(tmp_path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert len(list((tmp_path / "artifacts" / "s").iterdir())) == 2


def test_unused_are_artifacts_of_no_last_run_and_leftovers_of_dead_processes(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    kept = _commit(store)
    old = _commit(store, Request("export", 1, {"format": "tflite"}, {}, {}))
    store.folders(Request("export", 1, {"format": "dead"}, {}, {}))
    store.record_run("parts", {"export onnx": kept})
    unused = store.unused()
    assert old.folder in unused
    assert kept.folder not in unused
    assert {path.parent.name for path in unused} == {"export", "work", "scratch"}
    assert store.runs() == {"parts": {"export onnx": f"export/{_REQUEST.key}"}}


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[]", b'{"index": 1}', b"\xff"])
def test_damaged_record_of_a_run_is_refused_and_then_rewritten(
    tmp_path: Path, content: bytes
) -> None:
    store = Store(tmp_path)
    used = {"export onnx": _commit(store)}
    record = tmp_path / "runs" / "parts.json"
    record.parent.mkdir()
    record.write_bytes(content)
    with pytest.raises(StoreError, match=r"parts\.json cannot be read.*\n.*run the recipe again"):
        store.unused()
    store.record_run("parts", used)
    assert store.unused() == []


def test_artifact_in_progress_is_not_unused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    request = Request("export", 1, {"format": "busy"}, {}, {})
    with store.making(request.key, waits=lambda: None):
        store.folders(request)
        busy = [path for path in store.unused() if path.parent.name in {"work", "scratch"}]
    assert busy == []


def test_damage_reads_files_again_with_digest_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    committed = _commit(store)
    assert store.damage(committed, digest_file) == ""
    assert [artifact for _, artifact in store.artifacts()] == [committed]


def _commit_of_schema_1(store: Store) -> Artifact:
    """Write an artifact as an edgetl did whose keys did not know plug-ins."""
    committed = _commit(store)
    key = digest_value(
        {
            "stage": "export",
            "version": 1,
            "settings": {"format": "onnx"},
            "inputs": {"model": "d" * 64},
            "tools": {"torch": "2"},
        }
    )

    def age(manifest: dict[str, object]) -> None:
        del manifest["plugins"]
        manifest.update(schema_version=1, key=key)

    _edit(committed.folder, age)
    committed.folder.rename(committed.folder.with_name(key))
    [(_, artifact)] = store.artifacts()
    assert artifact is not None
    return artifact


def test_artifact_of_schema_1_is_undamaged_by_the_key_of_its_time(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert _commit(store).manifest.schema_version == 2
    old = _commit_of_schema_1(Store(tmp_path / "old"))
    assert (old.manifest.schema_version, old.manifest.plugins) == (1, {})
    assert store.damage(old, digest_file) == ""


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            lambda folder: _edit(folder, lambda manifest: manifest["settings"].update(x=2)),
            "manifest.json does not belong to this key",
        ),
        (
            lambda folder: _edit(folder, lambda manifest: manifest.update(schema_version=2)),
            "manifest.json does not belong to this key",
        ),
        (lambda folder: folder.rename(folder.with_name("0" * 64)), "manifest.json does not belong"),
        (lambda folder: _flip(folder / "model.bin"), "'model.bin' was changed"),
    ],
    ids=["settings", "schema", "folder", "flipped bit"],
)
def test_tampered_artifact_of_schema_1_is_damaged(
    tmp_path: Path, damage: Callable[[Path], object], expected: str
) -> None:
    store = Store(tmp_path)
    damage(_commit_of_schema_1(store).folder)
    [(_, artifact)] = store.artifacts()
    assert artifact is not None
    assert store.damage(artifact, digest_file).startswith(expected)


class _Counted(FactsModel):
    n: int


class _Other(FactsModel):
    share: float


class _Nested(FactsModel):
    inner: _Counted


def test_facts_are_read_as_their_model(tmp_path: Path) -> None:
    assert _commit(Store(tmp_path)).read(_Counted) == _Counted(n=1)


def test_facts_that_do_not_fit_name_the_stage_and_what_to_do(tmp_path: Path) -> None:
    artifact = _commit(Store(tmp_path))
    with pytest.raises(StoreError, match="do not fit this edgetl") as caught:
        artifact.read(_Other)
    assert caught.value.message == (
        f"the facts of artifact 'export onnx', made by {_REQUEST.stage} v{_REQUEST.version}, do "
        "not fit this edgetl: share: field required"
    )
    assert caught.value.remedy == (
        f"run the recipe again; if that reuses it, remove {artifact.folder} first"
    )


def test_nested_facts_that_do_not_fit_are_named_by_their_place(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.folders(_REQUEST)
    artifact = store.commit(
        _REQUEST, kind="float", label="x", facts={"inner": {"n": "many"}}, seconds=0.0
    )
    with pytest.raises(StoreError, match=r"do not fit this edgetl: inner\.n: input should be a"):
        artifact.read(_Nested)
