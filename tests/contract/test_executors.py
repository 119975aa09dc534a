"""Every executor makes the same artifacts, and fails in the same way."""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from edgetl.errors import EdgetlError
from edgetl.pipeline.execute import run_nodes
from edgetl.pipeline.executors import EXECUTORS
from edgetl.runtime import installed
from edgetl.runtime.errors import EdgetlRuntimeError
from edgetl.stages import STAGES, Node
from edgetl.store.store import Artifact, Store

_PACKAGE = Path(__file__).parent / "executor_package"
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(_PACKAGE)
    acme: Any = importlib.import_module("acme_steps.stages")

_NAMES = (*EXECUTORS.names(), "backwards")
_KINDS = ("one", "all", "machine", "large")


@dataclass
class _Recorder:
    """Keeps what a run reports."""

    events: list[str] = field(default_factory=list)

    def begins(self, node: Node) -> None:
        self.events.append(f"begins {node.label}")

    def step(self, node: Node, done: int, total: int, text: str) -> None:
        self.events.append(f"step {node.label} {done}/{total} {text}")

    def note(self, node: Node, text: str) -> None:
        self.events.append(f"note {node.label}: {text}")

    def ends(self, node: Node, artifact: Artifact, *, reused: bool) -> None:
        value = artifact.manifest.facts["value"]
        self.events.append(f"{'reused' if reused else 'made'} {node.label} {value}")


@dataclass(frozen=True)
class _Span:
    """When, and by which process, a node was made."""

    started: float
    ended: float
    process: int

    def overlaps(self, other: _Span) -> bool:
        return self.started < other.ended and other.started < self.ended


@pytest.fixture(scope="module", autouse=True)
def package() -> Iterator[None]:
    """Install the package, also for the processes that tests of this module start."""
    path = os.pathsep.join(filter(None, (str(_PACKAGE), os.environ.get("PYTHONPATH"))))
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(_PACKAGE)
        patched.setenv("PYTHONPATH", path)
        installed._by_group.cache_clear()
        yield
    installed._by_group.cache_clear()


@pytest.fixture
def recorder() -> _Recorder:
    return _Recorder()


def _node(kind: str, label: str, *inputs: Node, number: int = 1, **changes: Any) -> Node:
    settings = acme.Step(number=number, **changes)
    return Node(f"acme-{kind}", label, settings, {each.label: each for each in inputs})


def _run(
    nodes: Sequence[Node], root: Path, recorder: _Recorder, executor: str
) -> Mapping[str, Artifact]:
    stages = {f"acme-{kind}": STAGES.load(f"acme-{kind}") for kind in _KINDS}
    made = run_nodes(nodes, Store(root), stages, recorder, executor=EXECUTORS.load(executor))
    return {node.label: artifact for node, artifact in made.items()}


def _digests(made: Mapping[str, Artifact]) -> dict[str, str]:
    return {label: artifact.manifest.digest for label, artifact in made.items()}


def _spans(made: Mapping[str, Artifact], root: Path) -> dict[str, _Span]:
    spans = {}
    for label, artifact in made.items():
        stage, key = artifact.manifest.stage, artifact.manifest.key
        text = (root / "logs" / stage / key / "span.json").read_text(encoding="utf-8")
        spans[label] = _Span(**json.loads(text))
    return spans


def _diamond(**changes: Any) -> list[Node]:
    """Return 1, then 1 + 2 and 1 + 4 beside each other, then 3 + 5 + 8, then 16 + 16."""
    first = _node("all", "first")
    left = _node("one", "left", first, number=2, **changes)
    right = _node("one", "right", first, number=4, **changes)
    both = _node("one", "both", left, right, number=8)
    return [first, left, right, both, _node("machine", "last", both, number=16)]


@pytest.mark.parametrize("executor", _NAMES)
def test_every_node_is_made_after_those_that_it_reads(
    executor: str, tmp_path: Path, recorder: _Recorder
) -> None:
    nodes = _diamond(sleep_s=0.1)
    made = _run(nodes, tmp_path, recorder, executor)
    values = {label: artifact.manifest.facts["value"] for label, artifact in made.items()}
    assert values == {"first": 1, "left": 3, "right": 5, "both": 16, "last": 32}
    spans = _spans(made, tmp_path)
    for node in nodes:
        for source in node.inputs:
            assert spans[source].ended <= spans[node.label].started
    for node in nodes:
        own = [event for event in recorder.events if node.label in event]
        assert own == [
            f"begins {node.label}",
            f"step {node.label} 1/2 half",
            f"note {node.label}: added",
            f"made {node.label} {values[node.label]}",
        ]
    assert list((tmp_path / "work").iterdir()) == []

    recorder.events.clear()
    assert _digests(_run(nodes, tmp_path, recorder, executor)) == _digests(made)
    assert sorted(recorder.events) == sorted(f"reused {label} {values[label]}" for label in made)


@pytest.mark.parametrize("executor", [name for name in _NAMES if name != "serial"])
def test_digests_do_not_depend_on_the_executor(
    executor: str, tmp_path: Path, recorder: _Recorder
) -> None:
    serial = _run(_diamond(), tmp_path / "serial", recorder, "serial")
    other = _run(_diamond(), tmp_path / "other", recorder, executor)
    assert _digests(other) == _digests(serial)


@pytest.mark.parametrize("executor", _NAMES)
def test_torch_has_one_thread_where_a_stage_needs_one_core(
    executor: str, tmp_path: Path, recorder: _Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, usual = torch.get_num_threads(), min(2, os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", str(usual))  # of other processes
    torch.set_num_threads(usual)
    try:
        nodes = [
            _node(kind, kind, number=10, package="torch", counts_threads=True)
            for kind in ("one", "all")
        ]
        made = _run(nodes, tmp_path, recorder, executor)
        assert torch.get_num_threads() == usual
    finally:
        torch.set_num_threads(before)
    values = {label: artifact.manifest.facts["value"] for label, artifact in made.items()}
    assert values == {"one": 11, "all": 10 + usual}


@pytest.mark.parametrize("executor", _NAMES)
def test_two_nodes_with_the_same_request_are_made_once(
    executor: str, tmp_path: Path, recorder: _Recorder
) -> None:
    twins = [_node("one", "twin a", sleep_s=0.2), _node("one", "twin b", sleep_s=0.2)]
    made = _run(twins, tmp_path, recorder, executor)
    assert made["twin a"] == made["twin b"]
    assert len([event for event in recorder.events if event.startswith("begins")]) == 1


@pytest.mark.parametrize("executor", _NAMES)
@pytest.mark.parametrize("name", acme.ERRORS)
def test_error_of_a_stage_arrives_as_it_was_raised(
    name: str, executor: str, tmp_path: Path, recorder: _Recorder
) -> None:
    expected = acme.ERRORS[name]()
    nodes = [_node("one", "first"), _node("one", "fails", number=2, error=name)]
    kind = type(expected)
    if name == "full":
        with pytest.raises(EdgetlError, match="no space left on the disk of") as full:
            _run(nodes, tmp_path, recorder, executor)
        assert full.value.exit_code == 6
        return
    with pytest.raises(kind) as caught:
        _run(nodes, tmp_path, recorder, executor)
    assert type(caught.value) is kind
    assert str(caught.value) == str(expected)
    fields = {each: value for each, value in vars(caught.value).items() if each != "__notes__"}
    assert fields == vars(expected)
    if isinstance(expected, OSError):
        for attribute in ("errno", "strerror", "filename"):
            assert getattr(caught.value, attribute) == getattr(expected, attribute)
    elif not isinstance(expected, MemoryError):
        assert isinstance(expected, EdgetlError | EdgetlRuntimeError)

    nodes[1] = _node("one", "fails", number=2)
    _run(nodes, tmp_path, recorder, executor)
    assert "made first 1" in recorder.events  # in whichever run it was


@pytest.mark.parametrize("executor", _NAMES)
def test_after_a_failure_nothing_else_is_started(
    executor: str, tmp_path: Path, recorder: _Recorder
) -> None:
    nodes = [_node("all", f"node {i}", number=i, error="data" if i == 1 else "") for i in range(3)]
    with pytest.raises(EdgetlError, match="no images"):
        _run(nodes, tmp_path, recorder, executor)
    begun = [event for event in recorder.events if event.startswith("begins")]
    assert begun[-1] == "begins node 1"
    assert len(begun) == 2


def test_two_nodes_run_at_once_in_processes_that_are_used_again(
    tmp_path: Path, recorder: _Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_cores(monkeypatch, 2)
    nodes = [_node("one", f"node {i}", number=i, sleep_s=0.6) for i in range(6)]
    spans = _spans(_run(nodes, tmp_path, recorder, "processes"), tmp_path)
    assert any(a.overlaps(b) for a, b in _pairs(spans))
    assert len({span.process for span in spans.values()}) == 2
    assert os.getpid() not in {span.process for span in spans.values()}


def test_failure_lets_the_node_beside_it_finish(
    tmp_path: Path, recorder: _Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_cores(monkeypatch, 2)
    nodes = [
        _node("one", "long", sleep_s=3.0),
        _node("one", "fails", sleep_s=2.0, error="data"),
        _node("one", "later", number=3),
    ]
    with pytest.raises(EdgetlError, match="no images"):
        _run(nodes, tmp_path, recorder, "processes")
    assert "made long 1" in recorder.events
    assert "begins later" not in recorder.events


def test_node_that_needs_all_cores_or_the_machine_has_no_other_beside_it(
    tmp_path: Path, recorder: _Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_cores(monkeypatch, 3)
    kinds = ["machine", "one", "all"] * 3
    nodes = [_node(kind, f"{kind} {i}", number=i, sleep_s=0.1) for i, kind in enumerate(kinds)]
    made = _run(nodes, tmp_path, recorder, "processes")
    spans = _spans(made, tmp_path)
    together = [pair for pair in _pairs(spans) if pair[0].overlaps(pair[1])]
    alone = {span for label, span in spans.items() if not label.startswith("one")}
    assert not [pair for pair in together if alone.intersection(pair)]
    # Others wait for a training, and a timing disturbs least at the end.
    first = [label.split()[0] for label in sorted(spans, key=lambda label: spans[label].started)]
    assert first == ["all"] * 3 + ["one"] * 3 + ["machine"] * 3


def test_nodes_that_do_not_fit_into_memory_together_run_one_after_the_other(
    tmp_path: Path, recorder: _Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_cores(monkeypatch, 2)
    nodes = [_node("large", f"large {i}", number=i, sleep_s=0.2) for i in range(3)]
    nodes += [_node("one", f"small {i}", number=i, sleep_s=1.5) for i in range(4)]
    spans = _spans(_run(nodes, tmp_path, recorder, "processes"), tmp_path)
    large = {span for label, span in spans.items() if label.startswith("large")}
    together = [set(pair) for pair in _pairs(spans) if pair[0].overlaps(pair[1])]
    assert together
    assert not [pair for pair in together if pair & large]


def test_idle_worker_ends_where_another_node_needs_its_memory(
    tmp_path: Path, recorder: _Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_cores(monkeypatch, 2)
    first = [_node("one", f"first {i}", number=i, sleep_s=0.5) for i in range(2)]
    large = _node("large", "large", *first)
    then = [_node("one", f"then {i}", large, number=i, sleep_s=0.5) for i in range(2)]
    spans = _spans(_run([*first, large, *then], tmp_path, recorder, "processes"), tmp_path)
    before, after = ({spans[f"{word} {i}"].process for i in range(2)} for word in ("first", "then"))
    assert len(before) == len(after) == 2
    assert before & after == {spans["large"].process}


def test_node_goes_to_the_worker_that_has_imported_its_packages(
    tmp_path: Path, recorder: _Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_cores(monkeypatch, 2)
    packages = ("click", "pydantic")
    first = [_node("one", f"first {each}", package=each, sleep_s=0.5) for each in packages]
    gate = _node("one", "gate", *first)
    then = [
        _node("one", f"then {each}", gate, package=each, sleep_s=0.5) for each in packages[::-1]
    ]
    spans = _spans(_run([*first, gate, *then], tmp_path, recorder, "processes"), tmp_path)
    for each in packages:
        assert spans[f"first {each}"].process == spans[f"then {each}"].process
    assert spans["then click"].process != spans["then pydantic"].process


def test_worker_killed_at_ten_random_points_changes_nothing(
    tmp_path: Path, recorder: _Recorder
) -> None:
    rng = random.Random(5)  # noqa: S311 - spreads kills
    undisturbed: list[Node] = []
    disturbed: list[Node] = []
    for i in range(10):
        sleep_s = rng.uniform(0.0, 0.1)
        counter = tmp_path / f"kills-{i}"
        counter.write_text("1", encoding="utf-8")
        step: dict[str, Any] = {"number": i, "sleep_s": sleep_s}
        undisturbed.append(_node("one", f"node {i}", *undisturbed[-2:], **step))
        disturbed.append(_node("one", f"node {i}", *disturbed[-2:], kill_file=str(counter), **step))
    expected = _run(undisturbed, tmp_path / "serial", recorder, "serial")
    recorder.events.clear()
    made = _run(disturbed, tmp_path / "killed", recorder, "processes")
    assert _digests(made) == _digests(expected)
    notes = [event for event in recorder.events if "SIGKILL" in event]
    assert sorted(notes) == sorted(
        f"note node {i}: the process that was making this was ended by SIGKILL; making it again"
        for i in range(10)
    )
    assert list((tmp_path / "killed" / "work").iterdir()) == []


def test_node_whose_process_is_killed_twice_is_an_error_with_the_likely_cause(
    tmp_path: Path, recorder: _Recorder
) -> None:
    counter = tmp_path / "kills"
    counter.write_text("2", encoding="utf-8")
    node = _node("one", "node", kill_file=str(counter))
    message = r"node: its process was ended by SIGKILL twice; the memory probably ran out"
    with pytest.raises(EdgetlError, match=message) as caught:
        _run([node], tmp_path, recorder, "processes")
    assert "--executor serial" in caught.value.remedy
    assert caught.value.exit_code == 2
    assert _run([node], tmp_path, recorder, "processes")["node"].manifest.facts == {"value": 1}


def test_killed_process_is_replaced_although_its_fork_goes_on(
    tmp_path: Path, recorder: _Recorder
) -> None:
    counter = tmp_path / "kills"
    counter.write_text("1", encoding="utf-8")
    node = _node("one", "node", kill_file=str(counter), forks=True)
    made = _run([node], tmp_path, recorder, "processes")
    assert made["node"].manifest.facts == {"value": 1}


def test_bug_of_a_stage_is_printed_by_its_process_and_named(
    tmp_path: Path, recorder: _Recorder, capfd: pytest.CaptureFixture[str]
) -> None:
    message = "node: its process ended with 1; the reason is above"
    with pytest.raises(EdgetlError, match=message) as caught:
        _run([_node("one", "node", error="bug")], tmp_path, recorder, "processes")
    assert caught.value.exit_code == 1
    assert "LookupError: nobody expects this" in capfd.readouterr().err


_PARENT = """\
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_executors
node = test_executors._node("one", "node", sleep_s=60, child_file={child_file!r})
test_executors._run([node], Path({root!r}), test_executors._Recorder(), "processes")
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_and_what_they_started_end_with_the_run(sign: int, tmp_path: Path) -> None:
    child_file = tmp_path / "child"
    values = {"tests": str(Path(__file__).parent), "child_file": str(child_file)}
    code = _PARENT.format(root=str(tmp_path / "store"), **values)
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        _wait_until(lambda: child_file.is_file() and child_file.read_text().endswith(" "))
        started = child_file.read_text().split()
        assert all(map(_runs, started))
        process.send_signal(sign)
        process.wait(30)
    try:
        _wait_until(lambda: not any(map(_runs, started)))
    finally:
        for number in filter(_runs, started):
            os.kill(int(number), signal.SIGKILL)


def _pairs(spans: Mapping[str, _Span]) -> list[tuple[_Span, _Span]]:
    every = list(spans.values())
    return [(a, b) for i, a in enumerate(every) for b in every[:i]]


def _set_cores(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let the executor use `count` cores, on any machine."""
    module = importlib.import_module("edgetl.pipeline.executors.processes")
    monkeypatch.setattr(module, "usable_cores", lambda: count)


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(number: str) -> bool:
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"
