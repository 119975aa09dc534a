"""A run that is killed anywhere, or stopped by hand, goes on and ends with the same artifacts."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
Edgetl = Callable[..., Done]
Digests = Callable[[Path], dict[str, str]]

_LONGEST_S = {
    "index": 0.1, "view": 0.1, "finetune": 4.0, "distill": 4.0, "compare": 0.2, "export": 6.0,
    "quantize": 2.5, "benchmark": 1.0, "verify": 2.0, "package": 0.05,
}  # fmt: skip
"""About how long each stage of the tiny recipe takes; only spreads the kills over it."""
_TRIES = 6
_MUST_BE_HIT = {"index", "view", "finetune", "distill", "export", "quantize", "verify", "package"}


def _start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start a run in a process group of its own; what a kill leaves in TMPDIR stays in `folder`."""
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "edgetl", "run", "recipe.yaml", *words],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _stop_when(process: subprocess.Popen[str], is_time: Callable[[], bool], sign: int) -> Done:
    while process.poll() is None and not is_time():
        time.sleep(0.001)
    if process.poll() is None:
        os.killpg(process.pid, sign)
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess([], process.returncode, stdout, stderr)


def _made_since(pattern: Callable[[], list[Path]], since_ns: int) -> bool:
    for path in pattern():
        try:
            if path.stat().st_ctime_ns > since_ns:
                return True
        except FileNotFoundError:
            continue  # the stage was done between the two looks
    return False


def _work_of(folder: Path, stage: str) -> list[Path]:
    store = folder / ".edgetl"
    keys = {path.name for path in store.glob(f"logs/{stage}/*")}
    return [path for path in store.glob("work/*") if path.name in keys]


def _kill_in(folder: Path, stage: str, after_s: float) -> bool:
    """Run until `after_s` of `stage` and kill; return whether that stage was not yet done."""
    started_ns = time.time_ns()
    process = _start(folder)
    begun: list[float] = []

    def is_time() -> bool:
        if not begun and _made_since(lambda: _work_of(folder, stage), started_ns):
            begun.append(time.monotonic())
        return bool(begun) and time.monotonic() >= begun[0] + after_s

    killed = _stop_when(process, is_time, signal.SIGKILL).returncode == -signal.SIGKILL
    return killed and bool(_work_of(folder, stage))


def _hit(folder: Path, stage: str, after_s: float) -> bool:
    """Kill a run in `stage`; if it was done before the kill came, make it again and try anew."""
    for _ in range(_TRIES):
        if _kill_in(folder, stage, after_s):
            return True
        shutil.rmtree(folder / ".edgetl" / "artifacts" / stage, ignore_errors=True)
        after_s /= 2
    return False


def _compare(folder: Path, undisturbed: Path, edgetl: Edgetl, digests: Digests) -> None:
    """Finish the run in `folder`; nothing but the times may differ from the undisturbed one."""
    done = edgetl(folder, "run", "recipe.yaml")
    assert done.returncode == 0, done.stderr
    timed = ("benchmark", "package")
    found, expected = (
        {label: value for label, value in digests(where).items() if not label.startswith(timed)}
        for where in (folder, undisturbed)
    )
    assert found == expected
    assert list((folder / ".edgetl" / "work").iterdir()) == []
    assert list((folder / ".edgetl" / "scratch").iterdir()) == []
    assert [path.name for path in (folder / "dist").iterdir()] == ["host"]
    verified = edgetl(folder, "verify-store")
    assert verified.returncode == 0, verified.stdout


def test_run_killed_in_every_kind_of_stage_ends_with_the_same_digests(
    project: Path, chain: tuple[Path, Done], edgetl: Edgetl, digests: Digests
) -> None:
    rng = random.Random(0)  # noqa: S311 - spreads kills
    hit = {
        stage
        for stage in _LONGEST_S
        if stage in _MUST_BE_HIT and _hit(project, stage, rng.uniform(0, 0.01))
    }
    assert hit == _MUST_BE_HIT
    _compare(project, chain[0], edgetl, digests)


def test_training_killed_after_a_checkpoint_goes_on_from_it(
    project: Path, chain: tuple[Path, Done], digests: Digests
) -> None:
    process = _start(project)
    checkpoints = project / ".edgetl" / "scratch"
    killed = _stop_when(process, lambda: bool(list(checkpoints.glob("*/full.pt"))), signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert set(digests(project)) == {"index", "view"}

    started_ns = time.time_ns()
    again = _stop_when(
        _start(project),
        lambda: _made_since(lambda: _work_of(project, "distill"), started_ns),
        signal.SIGKILL,
    )
    assert "training resumes after epoch 1, where it was interrupted" in again.stderr
    assert digests(project)["finetune"] == digests(chain[0])["finetune"]


def test_ctrl_c_is_one_paragraph_and_the_next_run_goes_on(
    project: Path, chain: tuple[Path, Done], digests: Digests
) -> None:
    for stage, before in (("finetune", {"view"}), ("export", {"view", "finetune", "distill"})):
        started_ns = time.time_ns()

        def is_time(stage: str = stage, started_ns: int = started_ns) -> bool:
            return _made_since(lambda: _work_of(project, stage), started_ns)

        stopped = _stop_when(_start(project), is_time, signal.SIGINT)
        # Python dies of the signal itself if it came while C code ran Python; a shell says 130 too.
        assert stopped.returncode in {130, -signal.SIGINT}, stopped.stderr
        assert stopped.stderr.endswith(
            "edgetl: stopped\n  run the same command again to continue\n"
        )
        assert "Traceback" not in stopped.stderr
        assert set(digests(project)) >= before
    expected = digests(chain[0])
    assert digests(project).items() <= expected.items()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_run_killed_twenty_times_ends_with_the_same_digests(
    project: Path, chain: tuple[Path, Done], edgetl: Edgetl, digests: Digests
) -> None:
    rng = random.Random(1)  # noqa: S311 - spreads kills
    # From the first stage to the last, so that few are made again; one of each kind comes at once.
    kills = [(stage, 0.0) for stage in _LONGEST_S]
    kills += [
        (stage, rng.uniform(0, _LONGEST_S[stage]))
        for stage in rng.choices(list(_LONGEST_S), k=20 - len(kills))
    ]
    order = list(_LONGEST_S)
    kills.sort(key=lambda kill: (order.index(kill[0]), kill[1]))
    hit = {stage for stage, after_s in kills if _hit(project, stage, after_s)}
    assert hit >= _MUST_BE_HIT
    _compare(project, chain[0], edgetl, digests)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_run_whose_workers_are_killed_ten_times_ends_with_the_same_digests(
    project: Path, chain: tuple[Path, Done], edgetl: Edgetl, digests: Digests
) -> None:
    rng = random.Random(2)  # noqa: S311 - spreads kills
    kills = 0
    while kills < 10:
        process = _start(project, "--executor", "processes")
        while process.poll() is None:
            time.sleep(rng.uniform(0.5, 4.0))
            workers = _children(process.pid)
            if workers and kills < 10:
                with contextlib.suppress(ProcessLookupError):  # the run has just ended
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    kills += 1
        _, stderr = process.communicate()
        # Two kills may hit the same node.
        assert process.returncode in {0, 2}, stderr
        assert (process.returncode == 2) == ("was ended by SIGKILL twice" in stderr)
        if kills < 10:
            stage = rng.choice(("finetune", "export", "quantize", "verify"))
            shutil.rmtree(project / ".edgetl" / "artifacts" / stage, ignore_errors=True)
    _compare(project, chain[0], edgetl, digests)


def _children(number: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{number}/task").iterdir())
        texts = [(task / "children").read_text(encoding="ascii") for task in tasks]
    except FileNotFoundError:  # it has just ended
        return []
    return [int(child) for text in texts for child in text.split()]
